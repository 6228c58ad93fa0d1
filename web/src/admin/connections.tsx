/* connections.tsx - who is connected: a page of them, one of them, and the way to part with one. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatDuration, formatExact, formatNumber } from '../shared/text.ts';
import { Pager, patternOf, Result, Search, SureButton } from './controls.tsx';
import { formatShort } from './metrics.ts';
import { addressOf, detail } from './state.ts';
import { strings } from './strings.ts';
import { useAction, useCall } from './use-call.ts';

interface Row {
    client: string;
    user: string;
    transport: string;
    address: string;
    connected_at_ms: number;
    queue_bytes: number;
    num_channels: number;
    worker: number;
    channels?: string[];
}

interface Page {
    connections: Row[];
    total: number;
    cursor?: string;
}

const PAGE = 50;
const EVERY_MS = 3_000;
/* A walk over very many connections is not repeated so often. */
const MANY = 20_000;
const EVERY_MANY_MS = 15_000;

const text = strings.connections;
const sinceOf = (row: Row): string => formatDuration((Date.now() - row.connected_at_ms) / 1000);

function UserName({ user }: { user: string }): JSX.Element {
    return user === '' ? <span class="hint">{text.anonymous}</span> : <bdi>{user}</bdi>;
}

function Detail({ client }: { client: string }): JSX.Element {
    const { result, problem, refresh } = useCall<Page>('connections', { client }, 2_000);
    const { outcome, run } = useAction();
    const row = result?.connections[0];
    const act = (method: string, params: object): void => {
        void run(method, params, () => strings.done).then(refresh);
    };
    return (
        <section class="card detail" aria-label={text.details(client)}>
            <div class="detail-head">
                <h2 class="mono">{client}</h2>
                <a class="button" href={addressOf('connections')}>
                    <Icon name="close" />
                    {strings.sections.connections}
                </a>
            </div>
            {problem !== '' ? <p class="problem">{strings.failed(problem)}</p> : null}
            {result === null ? (
                <p class="hint">{strings.loading}</p>
            ) : row === undefined ? (
                <p class="hint">{text.gone}</p>
            ) : (
                <>
                    <dl class="facts-list">
                        {(
                            [
                                [text.user, <UserName user={row.user} />],
                                [text.address, row.address],
                                [text.transport, row.transport],
                                [text.worker, String(row.worker)],
                                [text.connectedAt, formatExact(row.connected_at_ms)],
                                [text.since, sinceOf(row)],
                                [text.queue, formatShort(row.queue_bytes, 'B')],
                            ] as [string, JSX.Element | string][]
                        ).map(([name, value]) => (
                            <div key={name}>
                                <dt>{name}</dt>
                                <dd>{value}</dd>
                            </div>
                        ))}
                    </dl>
                    <h3>
                        {text.channels} ({formatNumber(row.num_channels)})
                    </h3>
                    {row.num_channels === 0 ? (
                        <p class="hint">{text.noChannels}</p>
                    ) : (
                        <ul class="chips">
                            {(row.channels ?? []).map((channel) => (
                                <li key={channel}>
                                    <a href={addressOf('channels', channel)} dir="auto">
                                        {channel}
                                    </a>
                                    <button
                                        type="button"
                                        class="quiet icon-only small"
                                        aria-label={text.unsubscribe(channel)}
                                        title={text.unsubscribe(channel)}
                                        onClick={() => act('unsubscribe', { user: row.user, client, channel })}
                                    >
                                        <Icon name="close" />
                                    </button>
                                </li>
                            ))}
                        </ul>
                    )}
                    <div class="actions">
                        <SureButton
                            label={text.disconnect}
                            question={text.disconnectSure}
                            onSure={() => act('disconnect', { user: row.user, client })}
                        />
                        {row.user === '' ? null : (
                            <SureButton
                                label={text.disconnectUser}
                                question={text.disconnectSure}
                                onSure={() => act('disconnect', { user: row.user })}
                            />
                        )}
                    </div>
                </>
            )}
            <Result {...outcome} />
        </section>
    );
}

function Rows({ rows, act }: { rows: readonly Row[]; act(row: Row): void }): JSX.Element {
    return (
        <div class="scroll" tabIndex={0} role="group" aria-label={text.title}>
            <table class="grid">
                <thead>
                    <tr>
                        <th scope="col">{text.client}</th>
                        <th scope="col">{text.user}</th>
                        <th scope="col">{text.address}</th>
                        <th scope="col" class="number">
                            {text.since}
                        </th>
                        <th scope="col" class="number">
                            {text.channels}
                        </th>
                        <th scope="col" class="number">
                            {text.queue}
                        </th>
                        <td />
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={row.client}>
                            <th scope="row">
                                <a class="mono" href={addressOf('connections', row.client)} title={row.client}>
                                    {row.client.slice(0, 8)}
                                </a>
                            </th>
                            <td class="name">
                                <UserName user={row.user} />
                            </td>
                            <td>{row.address}</td>
                            <td class="number">{sinceOf(row)}</td>
                            <td class="number">{formatNumber(row.num_channels)}</td>
                            <td class={`number ${row.queue_bytes > 0 ? 'queued' : ''}`}>
                                {formatShort(row.queue_bytes, 'B')}
                            </td>
                            <td class="row-action">
                                <SureButton
                                    label={text.disconnect}
                                    question={text.disconnectSure}
                                    onSure={() => act(row)}
                                />
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function List(): JSX.Element {
    const [typed, setTyped] = useState('');
    const [sort, setSort] = useState<'client' | 'queue'>('client');
    const [cursor, setCursor] = useState('');
    const [isMany, setMany] = useState(false);
    const pattern = patternOf(typed);
    const query = {
        limit: PAGE,
        sort,
        ...(pattern === '' ? {} : { pattern }),
        ...(cursor === '' ? {} : { cursor }),
    };
    const { result, problem, refresh } = useCall<Page>('connections', query, isMany ? EVERY_MANY_MS : EVERY_MS);
    const { outcome, run } = useAction();
    if (result !== null && result.total > MANY !== isMany) {
        setMany(result.total > MANY);
    }
    return (
        <section class="card" aria-labelledby="connections-title">
            <h2 id="connections-title">{text.title}</h2>
            <div class="tools-line">
                <Search
                    id="find-connections"
                    label={strings.search.connections}
                    value={typed}
                    onSearch={(next) => {
                        setTyped(next);
                        setCursor('');
                    }}
                />
                <div class="field">
                    <label for="order">{text.order}</label>
                    <select
                        id="order"
                        value={sort}
                        onChange={(event) => {
                            setSort(event.currentTarget.value === 'queue' ? 'queue' : 'client');
                            setCursor('');
                        }}
                    >
                        <option value="client">{text.byClient}</option>
                        <option value="queue">{text.byQueue}</option>
                    </select>
                </div>
            </div>
            {problem !== '' ? <p class="problem">{strings.failed(problem)}</p> : null}
            {result === null ? (
                <p class="hint">{strings.loading}</p>
            ) : (
                <>
                    <p class="hint" role="status">
                        {result.total === 0 ? (typed === '' ? text.none : text.noneFound) : text.total(result.total)}
                    </p>
                    {result.connections.length === 0 ? null : (
                        <Rows
                            rows={result.connections}
                            act={(row) => {
                                const whom = { user: row.user, client: row.client };
                                void run('disconnect', whom, () => strings.done).then(refresh);
                            }}
                        />
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
            <Result {...outcome} />
        </section>
    );
}

export function Connections(): JSX.Element {
    return detail.value === '' ? <List /> : <Detail key={detail.value} client={detail.value} />;
}
