/* model.ts - what the feed page keeps of the publications it receives. Pure, and bounded whatever arrives.
 *
 * Publications only change a Board, which is plain and mutable: at a thousand a second nothing is drawn for
 * each. The page takes a look at the board once per animation frame.
 */
import { truncate } from '../shared/text.ts';

export const TREND_POINTS = 60;
export const ROWS_MAX = 200;
export const LOG_MAX = 200;
const LABEL_CHARACTERS_MAX = 60;
const LOG_CHARACTERS_MAX = 2_000;
/* The rate is that of the last whole seconds. */
const RATE_SECONDS = 5;

export interface TrackedRow {
    key: string;
    label: string;
    value: number;
    /* Against the value before; its sign is the direction. */
    change: number;
    trend: number[];
    count: number;
}

export interface LogLine {
    key: string;
    channel: string;
    level: string;
    text: string;
    /* 0: it comes from the history, which does not say when it was published. */
    time: number;
}

export interface ChannelStats {
    channel: string;
    count: number;
    offset: number;
    /* Publication to arrival, by the two clocks; null when the publication carries no time. */
    delayMs: number | null;
    /* Count per second of wall clock, the newest last. */
    seconds: { second: number; count: number }[];
}

export interface Board {
    prices: Map<string, TrackedRow>;
    counters: Map<string, TrackedRow>;
    log: LogLine[];
    channels: Map<string, ChannelStats>;
    lines: number;
}

export function newBoard(): Board {
    return { prices: new Map(), counters: new Map(), log: [], channels: new Map(), lines: 0 };
}

export function addChannel(board: Board, channel: string): ChannelStats {
    const known = board.channels.get(channel);
    if (known !== undefined) {
        return known;
    }
    const stats: ChannelStats = { channel, count: 0, offset: 0, delayMs: null, seconds: [] };
    board.channels.set(channel, stats);
    return stats;
}

function noteArrival(stats: ChannelStats, offset: number | undefined, sentMs: unknown, now: number): void {
    stats.count += 1;
    stats.offset = offset ?? stats.offset;
    const second = Math.floor(now / 1000);
    const last = stats.seconds[stats.seconds.length - 1];
    if (last?.second === second) {
        last.count += 1;
    } else {
        stats.seconds.push({ second, count: 1 });
        stats.seconds = stats.seconds.slice(-RATE_SECONDS - 1);
    }
    if (typeof sentMs === 'number' && sentMs > 1e12 && sentMs < 1e14) {
        stats.delayMs = Math.max(0, Math.round(now - sentMs));
    }
}

/* Publications a second over the last RATE_SECONDS whole seconds. */
export function rateOf(stats: ChannelStats, now: number): number {
    const second = Math.floor(now / 1000);
    const counted = stats.seconds.filter(
        (part) => part.second < second && part.second >= second - RATE_SECONDS,
    );
    return counted.reduce((sum, part) => sum + part.count, 0) / RATE_SECONDS;
}

function track(rows: Map<string, TrackedRow>, label: string, value: number): void {
    const key = truncate(label, LABEL_CHARACTERS_MAX);
    const row = rows.get(key);
    if (row !== undefined) {
        row.change = value - row.value;
        row.value = value;
        row.count += 1;
        row.trend.push(value);
        if (row.trend.length > TREND_POINTS) {
            row.trend.shift();
        }
    } else if (rows.size < ROWS_MAX) {
        rows.set(key, { key, label: key, value, change: 0, trend: [value], count: 1 });
    }
}

function addLine(board: Board, channel: string, level: string, text: string, time: number): void {
    board.lines += 1;
    board.log.push({
        key: String(board.lines),
        channel,
        level,
        text: truncate(text, LOG_CHARACTERS_MAX),
        time,
    });
    if (board.log.length > LOG_MAX) {
        board.log.shift();
    }
}

/* A live publication: counted, and shown. */
export function receive(
    board: Board,
    channel: string,
    data: unknown,
    offset: number | undefined,
    now: number,
): void {
    const sentMs = (data as { t?: unknown } | null)?.t;
    noteArrival(addChannel(board, channel), offset, sentMs, now);
    show(board, channel, data, now);
}

/* Puts a publication where it belongs by its shape; what has no known shape goes into the log as JSON.
 * `time` is 0 for one from the history. */
export function show(board: Board, channel: string, data: unknown, time: number): void {
    const fields = (data ?? {}) as Record<string, unknown>;
    if (
        typeof fields.symbol === 'string' &&
        typeof fields.price === 'number' &&
        Number.isFinite(fields.price)
    ) {
        track(board.prices, fields.symbol, fields.price);
    } else if (
        typeof fields.name === 'string' &&
        typeof fields.value === 'number' &&
        Number.isFinite(fields.value)
    ) {
        track(board.counters, fields.name, fields.value);
    } else if (typeof fields.text === 'string') {
        addLine(
            board,
            channel,
            typeof fields.level === 'string' ? truncate(fields.level, 12) : 'info',
            fields.text,
            time,
        );
    } else {
        addLine(board, channel, 'data', JSON.stringify(data) ?? 'null', time);
    }
}

/* An SVG path through `points`, in a box of `width` by `height`; a flat line when they do not differ. */
export function trendPath(points: readonly number[], width: number, height: number): string {
    if (points.length === 0) {
        return '';
    }
    const low = Math.min(...points);
    const span = Math.max(...points) - low;
    const step = width / (TREND_POINTS - 1);
    const first = width - (points.length - 1) * step;
    return points
        .map((point, index) => {
            const x = first + index * step;
            const y = span === 0 ? height / 2 : height - 2 - ((point - low) / span) * (height - 4);
            return `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
        })
        .join('');
}
