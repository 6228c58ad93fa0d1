/* changes.ts - what was said about a message after it: a new text, its deletion, reactions. Pure.
 *
 * A change is an ordinary publication that names the message by the id its sender gave it, so history and
 * recovery carry changes as they carry messages, in the same order. They are merged wherever they arrive: the
 * message may come before or after them. Only whoever wrote a message changes or deletes it, as far as names can
 * tell: with tokens the server vouches for them, without it does not.
 */
import { truncate } from '../shared/text.ts';
import type { Message, ReceivedPublication } from './timeline.ts';

export const EMOJI_CHARACTERS_MAX = 16;
const REACTIONS_MAX = 20;

export type ChangeKind = 'edit' | 'delete' | 'react' | 'unreact';

/* What this page publishes into chat:<room> to change a message. */
export interface ChangeData {
    kind: ChangeKind;
    of: string;
    id: string;
    name: string;
    /* edit: the new text; react, unreact: the emoji. */
    text: string;
    t: number;
}

export interface Change {
    kind: ChangeKind;
    of: string;
    offset: number;
    id: string;
    author: string;
    text: string;
}

export interface Reaction {
    emoji: string;
    names: readonly string[];
}

const KINDS: readonly string[] = ['edit', 'delete', 'react', 'unreact'];

/* The publication as a change; null: it is a message. */
export function changeOf(publication: ReceivedPublication, author: string): Change | null {
    const data = (publication.data ?? {}) as Partial<Record<keyof ChangeData, unknown>>;
    if (typeof data.kind !== 'string' || !KINDS.includes(data.kind) || typeof data.of !== 'string' || data.of === '') {
        return null;
    }
    const kind = data.kind as ChangeKind;
    const isReaction = kind === 'react' || kind === 'unreact';
    const text = typeof data.text === 'string' ? data.text : '';
    if (isReaction && (text === '' || text.length > EMOJI_CHARACTERS_MAX || !/^\p{Extended_Pictographic}/u.test(text))) {
        return { kind: 'unreact', of: '', offset: publication.offset ?? 0, id: '', author, text: '' };
    }
    return {
        kind,
        of: truncate(data.of, 64),
        offset: publication.offset ?? 0,
        id: typeof data.id === 'string' ? truncate(data.id, 64) : '',
        author,
        text,
    };
}

function react(reactions: readonly Reaction[], change: Change): Reaction[] {
    const others = reactions.map((reaction) =>
        reaction.emoji === change.text
            ? { ...reaction, names: reaction.names.filter((name) => name !== change.author) }
            : reaction,
    );
    if (change.kind === 'react') {
        const known = others.find((reaction) => reaction.emoji === change.text);
        if (known !== undefined) {
            known.names = [...known.names, change.author];
        } else if (others.length < REACTIONS_MAX) {
            others.push({ emoji: change.text, names: [change.author] });
        }
    }
    return others.filter((reaction) => reaction.names.length > 0);
}

/* `message` as all `changes` that name it leave it, in the order of their offsets; the same object when none does. */
export function amend(message: Message, changes: readonly Change[]): Message {
    const mine = changes.filter((change) => change.of === message.id && change.of !== '');
    if (mine.length === 0) {
        return message;
    }
    const amended = { ...message, text: message.original, isEdited: false, isDeleted: false, reactions: [] as readonly Reaction[] };
    for (const change of [...mine].sort((a, b) => a.offset - b.offset)) {
        if (change.kind === 'react' || change.kind === 'unreact') {
            amended.reactions = react(amended.reactions, change);
        } else if (change.author === message.author) {
            amended.isDeleted ||= change.kind === 'delete';
            amended.isEdited ||= change.kind === 'edit';
            amended.text = change.kind === 'edit' ? change.text : amended.text;
        }
    }
    return amended;
}
