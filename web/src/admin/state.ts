/* state.ts - everything the admin page knows; the views render from here and call what is here. */
import { computed, effect, signal } from '@preact/signals';
import { strings as common } from '../strings.ts';
import { access, call } from './api.ts';
import { addSample, parseMetrics, sampleOf, type Counters, type Reading, type Sample } from './metrics.ts';
import { strings } from './strings.ts';

export type Section = 'overview' | 'channels' | 'connections' | 'tools';
export const SECTIONS: readonly Section[] = ['overview', 'channels', 'connections', 'tools'];

export interface Node {
    uid: string;
    name: string;
    version: string;
    num_clients: number;
    num_users: number;
    num_subs: number;
    num_channels: number;
    uptime: number;
    process?: { cpu: number; rss: number };
}

export interface Check {
    name: string;
    isGood: boolean;
}
export type Health = { state: 'unknown' } | { state: 'ready' | 'notReady'; checks: Check[] };

const POLL_MS = 1_000;
const HEALTH_EVERY = 5;

export const section = signal<Section>('overview');
/* What follows the section in the address: the name of a channel, or the ID of a client. */
export const detail = signal('');
export const nodes = signal<readonly Node[]>([]);
export const isDown = signal(false);
export const samples = signal<readonly Sample[]>([]);
export const counters = signal<Counters | null>(null);
/* null: not asked yet. */
export const hasMetrics = signal<boolean | null>(null);
export const health = signal<Health>({ state: 'unknown' });
export const isIn = computed(() => access.value === 'granted');

let last: Reading | null = null;
let rounds = 0;

/* Where the server serves no metrics there is no point in asking every second. */
async function readMetrics(): Promise<Counters | null> {
    if (hasMetrics.value === false && rounds % 30 !== 0) {
        return null;
    }
    try {
        const answer = await fetch('/metrics', { cache: 'no-store', signal: AbortSignal.timeout(5_000) });
        const isText = (answer.headers.get('content-type') ?? '').startsWith('text/plain');
        hasMetrics.value = answer.ok && isText;
        return hasMetrics.value ? parseMetrics(await answer.text()) : null;
    } catch {
        return null;
    }
}

async function readHealth(): Promise<void> {
    try {
        const answer = await fetch('/health/ready', { cache: 'no-store', signal: AbortSignal.timeout(5_000) });
        const body = (await answer.json()) as { ready?: unknown; checks?: Record<string, { ok?: unknown }> };
        const checks = Object.entries(body.checks ?? {}).map(([name, check]) => ({ name, isGood: check.ok === true }));
        health.value = { state: body.ready === true ? 'ready' : 'notReady', checks };
    } catch {
        health.value = { state: 'unknown' };
    }
}

async function poll(): Promise<void> {
    const start = performance.now();
    const outcome = await call<{ nodes: Node[] }>('info', {});
    const answerMs = performance.now() - start;
    isDown.value = !outcome.ok && outcome.status === 0;
    if (!outcome.ok) {
        last = null;
        return;
    }
    nodes.value = outcome.result.nodes;
    const reading: Reading = {
        counters: await readMetrics(),
        time: Date.now(),
        clients: outcome.result.nodes.reduce((sum, node) => sum + node.num_clients, 0),
        answerMs,
    };
    counters.value = reading.counters;
    samples.value = addSample(samples.value, sampleOf(last, reading));
    last = reading;
    if (rounds % HEALTH_EVERY === 0) {
        await readHealth();
    }
    rounds += 1;
}

/* One round after another, and never two at once; a page nobody sees asks for nothing. */
async function run(): Promise<void> {
    for (;;) {
        const start = performance.now();
        if (document.visibilityState === 'visible' && access.value !== 'key' && access.value !== 'password') {
            await poll();
        }
        await new Promise((resolve) => setTimeout(resolve, Math.max(200, POLL_MS - (performance.now() - start))));
    }
}

function followHash(): void {
    const match = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash);
    const name = SECTIONS.find((candidate) => candidate === match?.[1]) ?? 'overview';
    let rest = '';
    try {
        rest = decodeURIComponent(match?.[2] ?? '');
    } catch {
        rest = '';
    }
    section.value = name;
    detail.value = rest;
}

export function addressOf(name: Section, rest = ''): string {
    return `#/${name}${rest === '' ? '' : `/${encodeURIComponent(rest)}`}`;
}

export function start(): void {
    addEventListener('hashchange', followHash);
    followHash();
    effect(() => {
        const place = detail.value === '' ? strings.sections[section.value] : detail.value;
        document.title = `${place} · ${strings.title} · ${common.product}`;
    });
    void run();
}
