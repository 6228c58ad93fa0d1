/* app.tsx - the live board. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Banner } from '../shared/banner.tsx';
import { Snippet } from '../shared/copy.tsx';
import { Icon } from '../shared/icons.tsx';
import { PageHeader } from '../shared/page-header.tsx';
import { formatNumber, formatTime } from '../shared/text.ts';
import { strings } from '../strings.ts';
import { Burst } from './burst.tsx';
import { rateOf, trendPath, type TrackedRow } from './model.ts';
import {
    board,
    connection,
    cutOff,
    frame,
    heldBack,
    isPaused,
    recoveries,
    refused,
    togglePause,
    watch,
    watched,
} from './state.ts';

const TREND_WIDTH = 120;
const TREND_HEIGHT = 28;

function Trend({ row }: { row: TrackedRow }): JSX.Element {
    return (
        <svg
            class="trend"
            viewBox={`0 0 ${TREND_WIDTH} ${TREND_HEIGHT}`}
            preserveAspectRatio="none"
            aria-hidden="true"
        >
            <path d={trendPath(row.trend, TREND_WIDTH, TREND_HEIGHT)} />
        </svg>
    );
}

function direction(change: number): 'up' | 'down' | 'same' {
    return change > 0 ? 'up' : change < 0 ? 'down' : 'same';
}

function Rows({
    title,
    rows,
    digits,
}: {
    title: string;
    rows: Map<string, TrackedRow>;
    digits: number;
}): JSX.Element {
    void frame.value;
    const format = new Intl.NumberFormat(undefined, {
        minimumFractionDigits: digits,
        maximumFractionDigits: Math.max(digits, 2),
    });
    const signed = new Intl.NumberFormat(undefined, {
        minimumFractionDigits: digits,
        maximumFractionDigits: Math.max(digits, 2),
        signDisplay: 'exceptZero',
    });
    return (
        <section class="card board" aria-label={title}>
            <h2>{title}</h2>
            {rows.size === 0 ? (
                <p class="hint">{strings.feed.none}</p>
            ) : (
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{strings.feed.item}</th>
                            <th scope="col" class="number">
                                {strings.feed.value}
                            </th>
                            <th scope="col" class="number">
                                {strings.feed.change}
                            </th>
                            <th scope="col" class="trend-cell">
                                {strings.feed.trend}
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {[...rows.values()].map((row) => (
                            <tr key={row.key} class={direction(row.change)}>
                                <th scope="row" dir="auto">
                                    {row.label}
                                </th>
                                <td class="number value">
                                    {/* A new key restarts the flash. */}
                                    <span key={row.count} class="flash">
                                        {format.format(row.value)}
                                    </span>
                                </td>
                                <td class="number change">{signed.format(row.change)}</td>
                                <td class="trend-cell">
                                    <Trend row={row} />
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            )}
        </section>
    );
}

function Channels(): JSX.Element {
    /* The board is not a signal: what reads it has to ask for the frame. */
    void frame.value;
    const now = Date.now();
    return (
        <ul class="channels" aria-label={strings.feed.title}>
            {watched.value.map((channel) => {
                const stats = board.channels.get(channel)!;
                const reason = refused.value.get(channel);
                return (
                    <li key={channel} class="card channel">
                        <p class="channel-name">{channel}</p>
                        {reason !== undefined ? (
                            <p class="problem">{strings.feed.refused(reason)}</p>
                        ) : (
                            <dl>
                                <div>
                                    <dt>{strings.feed.rate}</dt>
                                    <dd>{strings.feed.perSecond(rateOf(stats, now))}</dd>
                                </div>
                                <div>
                                    <dt>{strings.feed.delay}</dt>
                                    <dd>
                                        {stats.delayMs === null ? '–' : strings.feed.latency(stats.delayMs)}
                                    </dd>
                                </div>
                                <div>
                                    <dt>{strings.feed.offset}</dt>
                                    <dd data-offset={channel}>{formatNumber(stats.offset)}</dd>
                                </div>
                                <div>
                                    <dt>{strings.feed.received}</dt>
                                    <dd>{formatNumber(stats.count)}</dd>
                                </div>
                            </dl>
                        )}
                    </li>
                );
            })}
        </ul>
    );
}

function Log(): JSX.Element {
    void frame.value;
    const lines = board.log.slice(-100).reverse();
    return (
        <section class="card log-card" aria-labelledby="log-title">
            <h2 id="log-title">{strings.feed.log}</h2>
            {lines.length === 0 ? (
                <p class="hint">{strings.feed.logNone}</p>
            ) : (
                <ol class="lines" tabIndex={0} aria-label={strings.feed.log}>
                    {lines.map((line) => (
                        <li
                            key={line.key}
                            class={`line level-${/^(info|warn|error|data)$/.test(line.level) ? line.level : 'info'}`}
                        >
                            <time>{line.time === 0 ? strings.feed.earlier : formatTime(line.time)}</time>
                            <span class="level">{line.level}</span>
                            <span class="line-channel">{line.channel}</span>
                            <span class="line-text" dir="auto">
                                {line.text}
                            </span>
                        </li>
                    ))}
                </ol>
            )}
        </section>
    );
}

function Recovery(): JSX.Element {
    return (
        <section class="card recovery" aria-labelledby="recovery-title">
            <h2 id="recovery-title">{strings.feed.recovery}</h2>
            {recoveries.value.length === 0 ? (
                <p class="hint">{strings.feed.recoveryNone}</p>
            ) : (
                <ol class="recoveries">
                    {recoveries.value.map((entry) => (
                        <li key={entry.key} class={entry.isGood ? 'good' : 'poor'}>
                            <Icon name={entry.isGood ? 'check' : 'warn'} />
                            <span>
                                <b>{entry.channel}</b> {entry.text}
                            </span>
                            <time>{formatTime(entry.time)}</time>
                        </li>
                    ))}
                </ol>
            )}
        </section>
    );
}

function Watch(): JSX.Element {
    const [typed, setTyped] = useState('');
    const [problem, setProblem] = useState('');
    const submit = (event: Event): void => {
        event.preventDefault();
        const reason = watch(typed);
        setProblem(reason);
        if (reason === '') {
            setTyped('');
        }
    };
    return (
        <form class="watch" onSubmit={submit}>
            <label for="watch-channel">{strings.feed.watch}</label>
            <div class="watch-line">
                <input
                    id="watch-channel"
                    value={typed}
                    placeholder={strings.feed.watchPlaceholder}
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    aria-describedby="watch-problem"
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <button type="submit">{strings.feed.watchAdd}</button>
            </div>
            <p id="watch-problem" class="problem" role="alert">
                {problem}
            </p>
        </form>
    );
}

function Controls(): JSX.Element {
    const phase = connection.status.value.phase;
    return (
        <div class="controls">
            <button type="button" aria-pressed={isPaused.value} onClick={togglePause}>
                <Icon name={isPaused.value ? 'play' : 'pause'} />
                {isPaused.value ? strings.feed.resume : strings.feed.pause}
            </button>
            <button type="button" class="cut" disabled={phase !== 'connected'} onClick={cutOff}>
                <Icon name="cut" />
                {phase === 'cut' ? strings.feed.cutRunning : strings.feed.cut}
            </button>
            {isPaused.value ? (
                <p class="hint" role="status">
                    {strings.feed.paused(heldBack.value)}
                </p>
            ) : null}
        </div>
    );
}

export function App(): JSX.Element {
    const curl =
        `curl -X POST ${location.origin}/api/publish \\\n` +
        `  -d '{"channel":"feed:log","data":{"level":"info","text":"hello from curl"}}'`;
    return (
        <>
            <PageHeader current="feed">
                <Banner connection={connection} />
            </PageHeader>
            <main class="feed">
                <div class="feed-head">
                    <div>
                        <h1>{strings.feed.title}</h1>
                        <p class="hint">{strings.feed.intro}</p>
                    </div>
                    <Controls />
                </div>
                <Channels />
                <div class="boards">
                    <Rows title={strings.feed.prices} rows={board.prices} digits={2} />
                    <Rows title={strings.feed.counters} rows={board.counters} digits={0} />
                </div>
                <Burst />
                <Log />
                <div class="boards">
                    <Recovery />
                    <section class="card try" aria-labelledby="try-title">
                        <h2 id="try-title">{strings.feed.tryTitle}</h2>
                        <p class="hint">{strings.feed.tryText}</p>
                        <Snippet code={curl} label={strings.feed.tryTitle} />
                        <Watch />
                    </section>
                </div>
            </main>
        </>
    );
}
