/* text.ts - what strangers wrote, made fit to be shown: names, dates, numbers. Pure. */

/* Control characters and everything that changes the reading direction of what follows it. */
const CONTROL =
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
/* In running text only the overrides are taken out: the others are needed by right-to-left writers. */
const OVERRIDE = /[\u202d\u202e]/g;

export const NAME_CHARACTERS_MAX = 40;

/* At most `max` characters, never half of a surrogate pair. */
export function truncate(text: string, max: number): string {
    if (text.length <= max) {
        return text;
    }
    const end = /[\ud800-\udbff]/.test(text.charAt(max - 1)) ? max - 1 : max;
    return text.slice(0, end);
}

/* A display name: one line, no control characters, bounded. Empty when nothing is left. */
export function cleanName(name: unknown): string {
    if (typeof name !== 'string') {
        return '';
    }
    const oneLine = truncate(name, 400).replace(CONTROL, ' ').replace(/\s+/g, ' ').trim();
    return truncate(oneLine, NAME_CHARACTERS_MAX).trim();
}

export function cleanText(text: string): string {
    return text.replace(OVERRIDE, '');
}

export function initialOf(name: string): string {
    const first = [...name][0];
    return first === undefined ? '?' : first.toLocaleUpperCase();
}

/* A small number that is always the same for the same name: which of `count` colours it gets. */
export function colourOf(name: string, count: number): number {
    /* FNV-1a, 32 bits. */
    let hash = 0x811c9dc5;
    for (const character of name) {
        hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
    }
    return ((hash ^ (hash >>> 15)) >>> 0) % count;
}

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const numberFormat = new Intl.NumberFormat();

export const formatTime = (ms: number): string => timeFormat.format(ms);
export const formatDay = (ms: number): string => dayFormat.format(ms);
export const formatExact = (ms: number): string => exactFormat.format(ms);
export const formatNumber = (value: number): string => numberFormat.format(value);

export function formatDuration(seconds: number): string {
    const units: [number, string][] = [
        [86_400, 'd'],
        [3_600, 'h'],
        [60, 'min'],
        [1, 's'],
    ];
    const whole = Math.max(0, Math.floor(seconds));
    const index = units.findIndex(([size]) => whole >= size);
    if (index < 0) {
        return '0 s';
    }
    const [size, unit] = units[index]!;
    const next = units[index + 1];
    const rest = next === undefined ? 0 : Math.floor((whole % size) / next[0]);
    return `${Math.floor(whole / size)} ${unit}${rest > 0 ? ` ${rest} ${next![1]}` : ''}`;
}

/* The same local day? */
export function isSameDay(a: number, b: number): boolean {
    return new Date(a).toDateString() === new Date(b).toDateString();
}
