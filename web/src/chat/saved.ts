/* saved.ts - messages that have not arrived yet, kept over a reload.
 *
 * Each has the id it was given when it was typed. Whoever sends it again sends that id, and every page shows a
 * message with a known id once: that is what makes sending again safe.
 */
import { load, save, saveText } from '../shared/storage.ts';
import { cleanName } from '../shared/text.ts';
import { MESSAGE_CHARACTERS_MAX, type Message } from './timeline.ts';

const SAVED_MAX = 50;

export type Saved = Pick<Message, 'id' | 'author' | 'text' | 'time'>;

const keyOf = (room: string): string => `outbox.${room}`;

/* What stands there is checked: it may be of another version, or of somebody's making. */
export function parseOutbox(value: unknown): Saved[] {
    const saved: Saved[] = [];
    for (const entry of Array.isArray(value) ? value.slice(0, SAVED_MAX) : []) {
        const { id, author, text, time } = (entry ?? {}) as Partial<Record<keyof Saved, unknown>>;
        const name = cleanName(author);
        if (
            typeof id === 'string' &&
            /^[0-9a-f]{32}$/.test(id) &&
            typeof text === 'string' &&
            text !== '' &&
            text.length <= MESSAGE_CHARACTERS_MAX &&
            typeof time === 'number' &&
            Number.isFinite(time) &&
            name !== '' &&
            !saved.some((other) => other.id === id)
        ) {
            saved.push({ id, author: name, text, time });
        }
    }
    return saved;
}

export const loadOutbox = (room: string): Saved[] => parseOutbox(load(keyOf(room)));

export function saveOutbox(room: string, messages: readonly Message[]): void {
    if (messages.length === 0) {
        saveText(keyOf(room), '');
    } else {
        save(
            keyOf(room),
            messages.slice(0, SAVED_MAX).map(({ id, author, text, time }): Saved => ({ id, author, text, time })),
        );
    }
}
