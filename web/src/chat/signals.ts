/* signals.ts - what is said in typing:<room>: who is typing, and how they are called.
 *
 * The channel keeps nothing. "hello" tells the others a name, because without accounts the server knows people
 * only by the id of their connection; `ask` wants the others' names back.
 */
import { cleanName } from '../shared/text.ts';

/* How often one person says "typing", and how long it counts. */
export const TYPING_THROTTLE_MS = 3_000;
export const TYPING_EXPIRES_MS = 6_000;
/* In a fuller room nobody answers a question for names: the answers would be as many as the people, squared. */
export const HELLO_PEOPLE_MAX = 50;

export type RoomSignal =
    | { kind: 'typing'; name: string }
    | { kind: 'idle'; name: string }
    | { kind: 'hello'; name: string; ask: boolean; away: boolean };

export function parseSignal(data: unknown): RoomSignal | null {
    const { kind, name, ask, away } = (data ?? {}) as Partial<Record<'kind' | 'name' | 'ask' | 'away', unknown>>;
    const clean = cleanName(name);
    if (clean === '') {
        return null;
    }
    switch (kind) {
        case 'typing':
        case 'idle':
            return { kind, name: clean };
        case 'hello':
            return { kind, name: clean, ask: ask === true, away: away === true };
        default:
            return null;
    }
}

export interface Typist {
    client: string;
    name: string;
    until: number;
}

/* The list after `client` said `signal`. */
export function noteTyping(
    typists: readonly Typist[],
    client: string,
    signal: RoomSignal,
    now: number,
): Typist[] {
    const others = typists.filter((typist) => typist.client !== client && typist.until > now);
    return signal.kind === 'typing'
        ? [...others, { client, name: signal.name, until: now + TYPING_EXPIRES_MS }]
        : others;
}
