/* console.tsx - what is published into a channel, as a subscriber sees it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import type { Centrifuge, Subscription } from 'centrifuge';
import { Banner } from '../shared/banner.tsx';
import { createConnection, type Connection } from '../shared/connection.ts';
import { formatNumber } from '../shared/text.ts';
import { Json } from './controls.tsx';
import { strings } from './strings.ts';

const LINES_MAX = 200;
const text = strings.console;

interface Line {
    number: number;
    time: number;
    offset: number | undefined;
    user: string;
    data: unknown;
}

/* One for the page, made when it is first needed. */
let shared: Connection | null = null;
function connectionOf(): Connection {
    shared ??= createConnection(null);
    shared.client.connect();
    return shared;
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

type Phase = { name: 'subscribing' } | { name: 'live' } | { name: 'refused'; text: string };

function dropSubscription(client: Centrifuge, subscription: Subscription): void {
    subscription.removeAllListeners();
    subscription.unsubscribe();
    client.removeSubscription(subscription);
}

function Live({ channel }: { channel: string }): JSX.Element {
    const connection = connectionOf();
    const [phase, setPhase] = useState<Phase>({ name: 'subscribing' });
    const [view, setView] = useState<{ lines: readonly Line[]; count: number }>({ lines: [], count: 0 });
    const kept = useRef<{ lines: Line[]; count: number; isDirty: boolean }>({ lines: [], count: 0, isDirty: false });

    useEffect(() => {
        const { client } = connection;
        const old = client.getSubscription(channel);
        if (old !== null) {
            dropSubscription(client, old);
        }
        const subscription = client.newSubscription(channel);
        subscription.on('subscribed', () => setPhase({ name: 'live' }));
        subscription.on('subscribing', () => setPhase({ name: 'subscribing' }));
        subscription.on('unsubscribed', (context) =>
            setPhase({ name: 'refused', text: text.refused(context.reason, context.code) }),
        );
        subscription.on('error', (context) =>
            setPhase({ name: 'refused', text: text.refused(context.error.message, context.error.code) }),
        );
        subscription.on('publication', (publication) => {
            const now = kept.current;
            now.count += 1;
            now.isDirty = true;
            now.lines.unshift({
                number: now.count,
                time: Date.now(),
                offset: publication.offset,
                user: publication.info?.user ?? '',
                data: publication.data,
            });
            now.lines.length = Math.min(now.lines.length, LINES_MAX);
        });
        subscription.subscribe();
        /* However fast they come, the list is drawn once a frame. */
        let frame = requestAnimationFrame(function draw() {
            if (kept.current.isDirty) {
                kept.current.isDirty = false;
                setView({ lines: [...kept.current.lines], count: kept.current.count });
            }
            frame = requestAnimationFrame(draw);
        });
        return () => {
            cancelAnimationFrame(frame);
            dropSubscription(client, subscription);
        };
    }, [channel]);

    const status =
        phase.name === 'refused' ? phase.text : phase.name === 'live' ? text.watching(view.count) : text.waiting;
    return (
        <>
            <Banner connection={connection} />
            <p class={phase.name === 'refused' ? 'problem' : 'hint'} role="status">
                {status}
            </p>
            {view.lines.length === 0 ? (
                phase.name === 'live' ? (
                    <p class="hint">{text.none}</p>
                ) : null
            ) : (
                <ol class="stream" tabIndex={0} aria-label={text.log}>
                    {view.lines.map((line) => (
                        <li key={line.number}>
                            <time>{clock.format(line.time)}</time>
                            {line.offset === undefined ? null : (
                                <span class="offset">#{formatNumber(line.offset)}</span>
                            )}
                            {line.user === '' ? null : <bdi class="who">{line.user}</bdi>}
                            <Json value={line.data} />
                        </li>
                    ))}
                </ol>
            )}
        </>
    );
}

export function Console({ channel }: { channel: string }): JSX.Element {
    const [isOn, setOn] = useState(false);
    return (
        <section class="card" aria-labelledby="console-title">
            <div class="detail-head">
                <h2 id="console-title">{text.title}</h2>
                <button type="button" aria-pressed={isOn} onClick={() => setOn(!isOn)}>
                    {isOn ? text.stop : text.start}
                </button>
            </div>
            {isOn ? <Live channel={channel} /> : <p class="hint">{text.hint}</p>}
        </section>
    );
}
