/* overview.tsx - the nodes, what they do now, and what went wrong. */
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatDuration, formatNumber } from '../shared/text.ts';
import { Chart } from './chart.tsx';
import { formatShort } from './metrics.ts';
import { counters, hasMetrics, health, nodes } from './state.ts';
import { strings } from './strings.ts';

function Nodes(): JSX.Element {
    const text = strings.nodes;
    return (
        <section class="card" aria-labelledby="nodes-title">
            <h2 id="nodes-title">{text.title}</h2>
            <div class="scroll" tabIndex={0} role="group" aria-labelledby="nodes-title">
                <table class="grid">
                    <thead>
                        <tr>
                            <th scope="col">{text.name}</th>
                            <th scope="col">{text.version}</th>
                            {[
                                text.uptime,
                                text.clients,
                                text.users,
                                text.subscriptions,
                                text.channels,
                                text.cpu,
                                text.memory,
                            ].map((title) => (
                                <th key={title} scope="col" class="number">
                                    {title}
                                </th>
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {nodes.value.map((node) => (
                            <tr key={node.uid}>
                                <th scope="row" title={node.uid}>
                                    {node.name}
                                </th>
                                <td>{node.version}</td>
                                <td class="number">{formatDuration(node.uptime)}</td>
                                <td class="number">{formatNumber(node.num_clients)}</td>
                                <td class="number">{formatNumber(node.num_users)}</td>
                                <td class="number">{formatNumber(node.num_subs)}</td>
                                <td class="number">{formatNumber(node.num_channels)}</td>
                                <td class="number">
                                    {node.process === undefined ? '–' : `${node.process.cpu.toFixed(1)} %`}
                                </td>
                                <td class="number">
                                    {node.process === undefined ? '–' : formatShort(node.process.rss, 'B')}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}

function Charts(): JSX.Element {
    const text = strings.charts;
    return (
        <section aria-labelledby="charts-title">
            <h2 id="charts-title">{text.title}</h2>
            {hasMetrics.value === false ? <p class="hint">{text.noMetrics}</p> : null}
            <div class="charts">
                <Chart
                    title={text.connections}
                    unit=""
                    lines={[
                        { series: 'clients', label: text.clients, colour: 'first' },
                        { series: 'connections', label: text.sockets, colour: 'second' },
                    ]}
                />
                <Chart
                    title={text.messages}
                    unit=""
                    lines={[
                        { series: 'messagesOut', label: text.out, colour: 'first' },
                        { series: 'messagesIn', label: text.in, colour: 'second' },
                    ]}
                />
                <Chart
                    title={text.bytes}
                    unit="B"
                    lines={[
                        { series: 'bytesOut', label: text.out, colour: 'first' },
                        { series: 'bytesIn', label: text.in, colour: 'second' },
                    ]}
                />
                <Chart
                    title={text.lag}
                    unit="ms"
                    lines={[
                        { series: 'lag', label: text.loop, colour: 'first' },
                        { series: 'answer', label: text.answer, colour: 'second' },
                    ]}
                />
                <Chart
                    title={text.queue}
                    unit="B"
                    lines={[{ series: 'queue', label: text.queued, colour: 'first' }]}
                />
            </div>
        </section>
    );
}

function Trouble(): JSX.Element | null {
    const known = counters.value;
    if (known === null) {
        return null;
    }
    const rows = Object.entries(strings.trouble.counters).filter(([name]) => (known.get(name) ?? 0) > 0);
    return (
        <section class="card" aria-labelledby="trouble-title">
            <h2 id="trouble-title">{strings.trouble.title}</h2>
            {rows.length === 0 ? (
                <p class="hint">{strings.trouble.none}</p>
            ) : (
                <dl class="counts">
                    {rows.map(([name, text]) => (
                        <div key={name}>
                            <dt>{text}</dt>
                            <dd class="number">{formatNumber(known.get(name)!)}</dd>
                        </div>
                    ))}
                </dl>
            )}
        </section>
    );
}

export function HealthCard(): JSX.Element {
    const known = health.value;
    const text = strings.health;
    return (
        <section class="card" aria-labelledby="health-title">
            <h2 id="health-title">{text.title}</h2>
            {known.state === 'unknown' ? (
                <p class="hint">{text.unknown}</p>
            ) : (
                <>
                    <p class={`verdict ${known.state === 'ready' ? 'good' : 'problem'}`}>
                        <Icon name={known.state === 'ready' ? 'check' : 'warn'} />
                        {known.state === 'ready' ? text.ready : text.notReady}
                    </p>
                    <dl class="counts">
                        {known.checks.map((check) => (
                            <div key={check.name}>
                                <dt>{check.name}</dt>
                                <dd class={check.isGood ? 'good' : 'problem'}>{check.isGood ? text.ok : text.bad}</dd>
                            </div>
                        ))}
                    </dl>
                </>
            )}
        </section>
    );
}

export function Overview(): JSX.Element {
    return (
        <>
            <Nodes />
            <Charts />
            <div class="two">
                <HealthCard />
                <Trouble />
            </div>
        </>
    );
}
