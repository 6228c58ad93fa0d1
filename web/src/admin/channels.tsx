/* channels.tsx - the channels with subscribers, and one of them: who is in it, what it keeps, what comes. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatNumber } from '../shared/text.ts';
import { call } from './api.ts';
import { Console } from './console.tsx';
import { Json, Pager, patternOf, Result, Search, SureButton } from './controls.tsx';
import { Publish } from './publish.tsx';
import { addressOf, detail } from './state.ts';
import { strings } from './strings.ts';
import { useAction, useCall } from './use-call.ts';

const PAGE = 50;
const HISTORY_PAGE = 20;
const PRESENCE_SHOWN = 200;
const text = strings.channels;

/* ---- one channel ---- */

interface Presence {
    presence: Record<string, { client: string; user: string; conn_info?: unknown; chan_info?: unknown }>;
    truncated?: boolean;
}

function PresenceCard({ channel }: { channel: string }): JSX.Element {
    const { result, problem } = useCall<Presence>('presence', { channel }, 3_000);
    const people = Object.values(result?.presence ?? {});
    const shown = people.slice(0, PRESENCE_SHOWN);
    return (
        <section class="card" aria-labelledby="presence-title">
            <h2 id="presence-title">
                {text.presence} {result === null ? '' : `(${formatNumber(people.length)})`}
            </h2>
            {problem !== '' ? (
                <p class="hint">{problem}</p>
            ) : result === null ? (
                <p class="hint">{strings.loading}</p>
            ) : people.length === 0 ? (
                <p class="hint">{text.presenceNone}</p>
            ) : (
                <div class="scroll tall" tabIndex={0} role="group" aria-labelledby="presence-title">
                    <table class="grid">
                        <thead>
                            <tr>
                                <th scope="col">{text.client}</th>
                                <th scope="col">{text.user}</th>
                                <th scope="col">{text.info}</th>
                            </tr>
                        </thead>
                        <tbody>
                            {shown.map((person) => (
                                <tr key={person.client}>
                                    <th scope="row">
                                        <a class="mono" href={addressOf('connections', person.client)}>
                                            {person.client.slice(0, 8)}
                                        </a>
                                    </th>
                                    <td class="name">
                                        <bdi>{person.user}</bdi>
                                    </td>
                                    <td>
                                        {person.conn_info === undefined ? null : <Json value={person.conn_info} />}
                                        {person.chan_info === undefined ? null : <Json value={person.chan_info} />}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {shown.length < people.length || result?.truncated ? (
                <p class="hint">{text.truncated(shown.length)}</p>
            ) : null}
        </section>
    );
}

interface Publication {
    data: unknown;
    offset?: number;
    info?: { client: string; user: string };
    tags?: Record<string, string>;
}
interface History {
    publications: Publication[];
    offset: number;
    epoch: string;
}

function HistoryCard({ channel }: { channel: string }): JSX.Element {
    const first = useCall<History>('history', { channel, limit: HISTORY_PAGE, reverse: true }, 3_000);
    const [older, setOlder] = useState<readonly Publication[]>([]);
    const { outcome, run, say } = useAction();
    const newest = first.result?.publications ?? [];
    /* Pages that overlap show what they share once. */
    const lowest = newest[newest.length - 1]?.offset ?? Infinity;
    const list = [...newest, ...older.filter((publication) => (publication.offset ?? 0) < lowest)];
    const last = list[list.length - 1]?.offset ?? 0;

    const loadOlder = async (): Promise<void> => {
        const since = { offset: last, epoch: first.result?.epoch ?? '' };
        const answer = await call<History>('history', { channel, limit: HISTORY_PAGE, reverse: true, since });
        if (answer.ok) {
            setOlder([...list.slice(newest.length), ...answer.result.publications]);
        } else {
            say(answer.message, false);
        }
    };
    return (
        <section class="card" aria-labelledby="history-title">
            <h2 id="history-title">{text.history}</h2>
            {first.result === null ? (
                <p class="hint">{first.problem === '' ? strings.loading : first.problem}</p>
            ) : (
                <>
                    <p class="hint">{text.position(first.result.offset, first.result.epoch)}</p>
                    {list.length === 0 ? (
                        <p class="hint">{text.historyNone}</p>
                    ) : (
                        <ol class="stream" tabIndex={0} aria-label={text.history}>
                            {list.map((publication) => (
                                <li key={publication.offset}>
                                    <span class="offset">#{formatNumber(publication.offset ?? 0)}</span>
                                    {publication.info?.user ? <bdi class="who">{publication.info.user}</bdi> : null}
                                    <Json value={publication.data} />
                                </li>
                            ))}
                        </ol>
                    )}
                    <div class="actions">
                        <button
                            type="button"
                            class="small"
                            disabled={last <= 1 || list.length === 0}
                            onClick={() => void loadOlder()}
                        >
                            {text.more}
                        </button>
                        <SureButton
                            label={text.removeHistory}
                            question={text.removeHistorySure}
                            onSure={() => {
                                setOlder([]);
                                void run('history_remove', { channel }, () => strings.done).then(first.refresh);
                            }}
                        />
                    </div>
                </>
            )}
            <Result {...outcome} />
        </section>
    );
}

function Detail({ channel }: { channel: string }): JSX.Element {
    const pattern = channel.replace(/[*?[\]\\]/g, '?');
    const { result } = useCall<Page>('channels', { pattern, limit: 10 }, 3_000);
    const count = result?.channels[channel]?.num_clients ?? 0;
    return (
        <>
            <div class="detail-head">
                <h2 class="mono" dir="auto">
                    {channel}
                </h2>
                <span class="tag">{result === null ? '…' : text.subscribed(count)}</span>
                <a class="button" href={addressOf('channels')}>
                    <Icon name="close" />
                    {text.back}
                </a>
            </div>
            <Console channel={channel} />
            <div class="two">
                <HistoryCard channel={channel} />
                <PresenceCard channel={channel} />
            </div>
            <Publish channel={channel} />
        </>
    );
}

/* ---- all channels ---- */

interface Page {
    channels: Record<string, { num_clients: number }>;
    cursor?: string;
}

function OpenForm(): JSX.Element {
    const [typed, setTyped] = useState('');
    return (
        <form
            class="search"
            onSubmit={(event) => {
                event.preventDefault();
                if (typed.trim() !== '') {
                    location.hash = addressOf('channels', typed.trim());
                }
            }}
        >
            <label for="open-channel">{text.open}</label>
            <div class="search-line">
                <input
                    id="open-channel"
                    value={typed}
                    placeholder="chat:lobby"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    maxLength={255}
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <button type="submit">{text.openButton}</button>
            </div>
        </form>
    );
}

function List(): JSX.Element {
    const [typed, setTyped] = useState('');
    const [cursor, setCursor] = useState('');
    const pattern = patternOf(typed);
    const query = {
        limit: PAGE,
        ...(pattern === '' ? {} : { pattern }),
        ...(cursor === '' ? {} : { cursor }),
    };
    const { result, problem, refresh } = useCall<Page>('channels', query, 3_000);
    const rows = Object.entries(result?.channels ?? {});
    return (
        <section class="card" aria-labelledby="channels-title">
            <h2 id="channels-title">{text.title}</h2>
            <div class="tools-line">
                <Search
                    id="find-channels"
                    label={strings.search.channels}
                    value={typed}
                    onSearch={(next) => {
                        setTyped(next);
                        setCursor('');
                    }}
                />
                <OpenForm />
            </div>
            {problem !== '' ? <p class="problem">{strings.failed(problem)}</p> : null}
            {result === null ? (
                <p class="hint">{strings.loading}</p>
            ) : (
                <>
                    {rows.length === 0 ? (
                        <p class="hint">{typed === '' ? text.none : text.noneFound}</p>
                    ) : (
                        <table class="grid">
                            <thead>
                                <tr>
                                    <th scope="col">{text.name}</th>
                                    <th scope="col" class="number">
                                        {text.subscribers}
                                    </th>
                                </tr>
                            </thead>
                            <tbody>
                                {rows.map(([name, { num_clients: count }]) => (
                                    <tr key={name}>
                                        <th scope="row" class="long">
                                            <a class="mono" href={addressOf('channels', name)} dir="auto">
                                                {name}
                                            </a>
                                        </th>
                                        <td class="number">{formatNumber(count)}</td>
                                    </tr>
                                ))}
                            </tbody>
                        </table>
                    )}
                    <Pager
                        isFirst={cursor === ''}
                        hasNext={result.cursor !== undefined}
                        onFirst={() => setCursor('')}
                        onNext={() => setCursor(result.cursor ?? '')}
                        onRefresh={refresh}
                    />
                </>
            )}
        </section>
    );
}

export function Channels(): JSX.Element {
    return detail.value === '' ? <List /> : <Detail key={detail.value} channel={detail.value} />;
}
