/* burst.tsx - far more updates than a screen can show, and a page that stays calm.
 *
 * Every publication only changes a plain object; what is on the screen is drawn once a frame. The time the page
 * spends on publications and on drawing is measured and shown.
 */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatNumber } from '../shared/text.ts';
import { strings } from '../strings.ts';
import { connection } from './state.ts';

const CHANNEL = 'board:demo';
const PER_SECOND = 1_000;
const SECONDS = 5;
const BATCH_MS = 50;
const VALUES = 12;
const text = strings.feed;

interface Run {
    isRunning: boolean;
    problem: string;
    sent: number;
    received: number;
    frames: number;
    longestMs: number;
    busyMs: number;
    delayMs: number | null;
    elapsedMs: number;
    values: readonly number[];
}

const IDLE: Run = {
    isRunning: false,
    problem: '',
    sent: 0,
    received: 0,
    frames: 0,
    longestMs: 0,
    busyMs: 0,
    delayMs: null,
    elapsedMs: 0,
    values: [],
};
const run = signal<Run | null>(null);

/* What arrives changes this; a frame copies it into the signal. */
let live: Run & { values: number[] } = { ...IDLE, values: [] };

function onUpdate(data: unknown): void {
    const start = performance.now();
    const { item, value, t } = (data ?? {}) as { item?: unknown; value?: unknown; t?: unknown };
    if (typeof item === 'number' && item >= 0 && item < VALUES && typeof value === 'number') {
        live.values[Math.floor(item)] = value;
        live.delayMs = typeof t === 'number' ? Math.max(0, Math.round(Date.now() - t)) : live.delayMs;
    }
    live.received += 1;
    live.busyMs += performance.now() - start;
}

async function publishBatch(count: number): Promise<string> {
    const t = Date.now();
    const commands = Array.from({ length: count }, (_, index) => ({
        publish: {
            channel: CHANNEL,
            data: { item: (live.sent + index) % VALUES, value: Math.round(Math.random() * 10_000) / 100, t },
        },
    }));
    try {
        const answer = await fetch('/api/batch', { method: 'POST', body: JSON.stringify({ commands, parallel: true }) });
        if (!answer.ok) {
            return String(answer.status);
        }
        const { replies } = (await answer.json()) as { replies?: { publish?: { error?: { message: string } } }[] };
        const failed = replies?.find((reply) => reply.publish?.error !== undefined);
        return failed?.publish?.error?.message ?? '';
    } catch (error) {
        return (error as Error).message;
    }
}

function drawWhileRunning(started: number): void {
    let last = performance.now();
    const draw = (now: number): void => {
        const start = performance.now();
        live.frames += 1;
        live.longestMs = Math.max(live.longestMs, now - last);
        last = now;
        live.elapsedMs = start - started;
        run.value = { ...live, values: [...live.values] };
        live.busyMs += performance.now() - start;
        if (live.isRunning) {
            requestAnimationFrame(draw);
        }
    };
    requestAnimationFrame(draw);
}

async function start(): Promise<void> {
    live = { ...IDLE, isRunning: true, values: new Array<number>(VALUES).fill(0) };
    run.value = { ...live };
    const { client } = connection;
    const subscription = client.getSubscription(CHANNEL) ?? client.newSubscription(CHANNEL);
    subscription.removeAllListeners();
    subscription.on('publication', (publication) => onUpdate(publication.data));
    subscription.subscribe();
    await subscription.ready(5_000).catch((error: Error) => (live.problem = error.message));
    const started = performance.now();
    drawWhileRunning(started);
    while (live.problem === '' && live.sent < PER_SECOND * SECONDS) {
        const due = Math.min(PER_SECOND * SECONDS, Math.floor(((performance.now() - started) / 1000) * PER_SECOND));
        const count = Math.min(due - live.sent, 500);
        if (count > 0) {
            live.problem = await publishBatch(count);
            live.sent += live.problem === '' ? count : 0;
        }
        await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    live.isRunning = false;
    run.value = { ...live };
    subscription.unsubscribe();
}

export function Burst(): JSX.Element {
    const shown = run.value;
    const seconds = Math.max(0.001, (shown?.elapsedMs ?? 0) / 1000);
    const facts: [string, string][] =
        shown === null
            ? []
            : [
                  [text.burstSent, formatNumber(shown.sent)],
                  [text.burstReceived, formatNumber(shown.received)],
                  [text.burstFrames, formatNumber(Math.round(shown.frames / seconds))],
                  [text.burstLongest, text.latency(Math.round(shown.longestMs))],
                  [text.burstBusy, text.percent((shown.busyMs / (seconds * 1000)) * 100)],
                  [text.burstDelay, shown.delayMs === null ? '–' : text.latency(shown.delayMs)],
              ];
    return (
        <section class="card burst" aria-labelledby="burst-title">
            <h2 id="burst-title">{text.burstTitle}</h2>
            <p class="hint">{text.burstText}</p>
            <button
                type="button"
                class="primary"
                disabled={shown?.isRunning === true || connection.status.value.phase !== 'connected'}
                onClick={() => void start()}
            >
                <Icon name="pulse" />
                {shown?.isRunning === true ? text.burstRunning : text.burstStart}
            </button>
            {shown === null ? null : (
                <>
                    <dl class="burst-facts">
                        {facts.map(([name, value]) => (
                            <div key={name}>
                                <dt>{name}</dt>
                                <dd data-burst={name}>{value}</dd>
                            </div>
                        ))}
                    </dl>
                    <ul class="burst-values" aria-hidden="true">
                        {shown.values.map((value, index) => (
                            <li key={index}>{value.toFixed(2)}</li>
                        ))}
                    </ul>
                    <p class="problem" role="alert">
                        {shown.problem === '' ? '' : text.burstFailed(shown.problem)}
                    </p>
                </>
            )}
        </section>
    );
}
