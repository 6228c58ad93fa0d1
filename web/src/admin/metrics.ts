/* metrics.ts - the server's counters, once a second, as what a chart can show. Pure. */

export type Counters = ReadonlyMap<string, number>;

/* The Prometheus text format, as far as this server writes it: samples of one name are summed over labels. */
export function parseMetrics(text: string): Counters {
    const counters = new Map<string, number>();
    for (const line of text.split('\n')) {
        const match = /^starling_([a-z0-9_]+)(?:\{[^}]*\})? ([0-9.eE+-]+)$/.exec(line);
        if (match !== null) {
            const value = Number(match[2]);
            counters.set(match[1]!, (counters.get(match[1]!) ?? 0) + (Number.isFinite(value) ? value : 0));
        }
    }
    return counters;
}

export const SERIES = [
    'clients',
    'connections',
    'messagesIn',
    'messagesOut',
    'bytesIn',
    'bytesOut',
    'lag',
    'answer',
    'queue',
] as const;
export type SeriesName = (typeof SERIES)[number];

/* One point of every chart; null where it is not known. */
export type Sample = { time: number } & Record<SeriesName, number | null>;

export interface Reading {
    /* When it was read, ms. */
    time: number;
    counters: Counters | null;
    /* From the API's info, which is there without /metrics. */
    clients: number | null;
    answerMs: number | null;
}

/* What happened between two readings: counters become rates. A counter that fell belongs to a new process. */
export function sampleOf(before: Reading | null, now: Reading): Sample {
    const seconds = before === null ? 0 : (now.time - before.time) / 1000;
    const value = (name: string): number | null => now.counters?.get(name) ?? null;
    const growth = (name: string): number | null => {
        const from = before?.counters?.get(name);
        const to = now.counters?.get(name);
        return from === undefined || to === undefined || to < from ? null : to - from;
    };
    const rate = (name: string): number | null => {
        const grown = growth(name);
        return grown === null || seconds <= 0 ? null : grown / seconds;
    };
    const samples = growth('loop_lag_samples_total');
    const lagSum = growth('loop_lag_microseconds_total');
    return {
        time: now.time / 1000,
        clients: now.clients ?? value('node_num_clients'),
        connections: value('connections'),
        messagesIn: rate('publications_received_total'),
        messagesOut: rate('deliveries_total'),
        bytesIn: rate('received_bytes_total'),
        bytesOut: rate('sent_bytes_total'),
        lag: samples === null || lagSum === null || samples === 0 ? null : lagSum / samples / 1000,
        answer: now.answerMs,
        queue: value('outbox_bytes'),
    };
}

export const SAMPLES_MAX = 300;

export function addSample(samples: readonly Sample[], sample: Sample): Sample[] {
    return [...samples.slice(-(SAMPLES_MAX - 1)), sample];
}

const UNITS: [number, string][] = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
];

/* 1234 → "1.23 k": three digits, as much as fits beside a chart. */
export function formatShort(value: number | null, unit = ''): string {
    if (value === null) {
        return '–';
    }
    const [size, prefix] = UNITS.find(([least]) => Math.abs(value) >= least) ?? [1, ''];
    const scaled = value / size;
    const digits = Number.isInteger(scaled) ? 0 : Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
    return `${scaled.toFixed(digits)}${prefix === '' && unit === '' ? '' : ` ${prefix}${unit}`}`;
}
