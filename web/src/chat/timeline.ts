/* timeline.ts - the messages of one room, as a value. Pure.
 *
 * `settled` is what the server has: in the order of its offsets, each once. `outgoing` is what this page has
 * sent and not seen come back: shown after the settled ones, in the order it was typed. A message moves from
 * outgoing to settled when its publication arrives, recognised by the id the page gave it: the reply to
 * `publish` and the publication come in either order, and after a break the publication may be all there is.
 */
import { cleanName, isSameDay, truncate } from '../shared/text.ts';
import { amend, type Change, type Reaction } from './changes.ts';

/* Kept in memory; older ones can be asked for again. */
export const SETTLED_MAX = 2_000;
export const MESSAGE_CHARACTERS_MAX = 4_000;
/* Messages of one author closer than this stand under one heading. */
const GROUP_MS = 5 * 60_000;

export interface Message {
    /* Identity in the page: never two alike in a timeline. */
    key: string;
    /* Given by the sender's page; empty when the publisher gave none. */
    id: string;
    /* 0: the channel keeps no history, or the publication is not back yet. */
    offset: number;
    author: string;
    text: string;
    /* As it was published, before any change. */
    original: string;
    isEdited: boolean;
    isDeleted: boolean;
    reactions: readonly Reaction[];
    time: number;
    /* false: the publication says nothing of its time and comes from the history; `time` only sorts it in. */
    hasTime: boolean;
    isMine: boolean;
    state: 'settled' | 'sending' | 'waiting' | 'accepted' | 'failed';
    error: string;
}

export interface Timeline {
    settled: readonly Message[];
    outgoing: readonly Message[];
    /* Of messages that are here or may come; each once. */
    changes: readonly Change[];
    /* Nothing older than settled[0] can be had. */
    isComplete: boolean;
}

export const EMPTY: Timeline = { settled: [], outgoing: [], changes: [], isComplete: false };
const CHANGES_MAX = 5_000;
const UNCHANGED = { isEdited: false, isDeleted: false, reactions: [] as readonly Reaction[] };

/* What this page publishes into chat:<room>. */
export interface ChatData {
    id: string;
    name: string;
    text: string;
    t: number;
}

export interface ReceivedPublication {
    data: unknown;
    offset?: number | undefined;
    info?: { client: string; user: string; connInfo?: unknown } | undefined;
}

/* The name the server vouches for, if it does. */
export function nameOfInfo(info: ReceivedPublication['info']): string {
    const vouched = (info?.connInfo as { name?: unknown } | null | undefined)?.name;
    return cleanName(vouched) || cleanName(info?.user);
}

function timeOf(publication: ReceivedPublication, now: number): number | null {
    const { t } = (publication.data ?? {}) as { t?: unknown };
    return typeof t === 'number' && t > 0 && t < now + 60_000 ? t : null;
}

/* Any publication that just arrived as a message: ours, one from curl with only a text, or any other JSON, shown
 * as JSON. `now` stands in for a time that is missing, or that a wrong clock put into the future. */
export function messageOf(publication: ReceivedPublication, now: number, fallbackName: string): Message {
    const data = (publication.data ?? {}) as Partial<Record<keyof ChatData, unknown>>;
    const isText = typeof data.text === 'string';
    const id = typeof data.id === 'string' ? truncate(data.id, 64) : '';
    const time = timeOf(publication, now) ?? now;
    const text = isText ? (data.text as string) : (JSON.stringify(publication.data, null, 2) ?? '');
    const offset = publication.offset ?? 0;
    const shown = isText ? text : '```\n' + text + '\n```';
    return {
        ...UNCHANGED,
        key: offset > 0 ? `o${offset}` : `i${id || `${now}.${Math.random()}`}`,
        id,
        offset,
        author: nameOfInfo(publication.info) || cleanName(data.name) || fallbackName,
        text: shown,
        original: shown,
        time,
        hasTime: true,
        isMine: false,
        state: 'settled',
        error: '',
    };
}

/* A page of history, oldest first. The server does not say when it was published: a publication without a time
 * of its own stands at that of the one before it. */
export function messagesOf(
    publications: readonly ReceivedPublication[],
    now: number,
    fallbackName: string,
): Message[] {
    let time =
        publications.map((publication) => timeOf(publication, now)).find((known) => known !== null) ?? now;
    return publications.map((publication) => {
        const own = timeOf(publication, now);
        time = own ?? time;
        return { ...messageOf(publication, now, fallbackName), time, hasTime: own !== null };
    });
}

function lastOffset(settled: readonly Message[]): number {
    return settled[settled.length - 1]?.offset ?? 0;
}

/* Whether `a` and `b` are the same message seen twice. */
function isSame(a: Message, b: Message): boolean {
    return (a.offset > 0 && a.offset === b.offset) || (a.id !== '' && a.id === b.id);
}

/* Adds messages the server has, from wherever they come: live, recovered or history. */
export function settle(timeline: Timeline, incoming: readonly Message[]): Timeline {
    let outgoing = timeline.outgoing;
    const added: Message[] = [];
    const offsets = new Set(timeline.settled.map((message) => message.offset).filter((offset) => offset > 0));
    const ids = new Set(timeline.settled.map((message) => message.id).filter((id) => id !== ''));
    for (const message of incoming) {
        if (
            (message.offset > 0 && offsets.has(message.offset)) ||
            (message.id !== '' && ids.has(message.id))
        ) {
            continue;
        }
        const own = outgoing.find((candidate) => isSame(candidate, message));
        const placed = own === undefined ? message : { ...message, isMine: true, time: own.time };
        added.push(amend(placed, timeline.changes));
        outgoing = own === undefined ? outgoing : outgoing.filter((candidate) => candidate !== own);
        offsets.add(message.offset);
        ids.add(message.id);
    }
    if (added.length === 0) {
        return timeline;
    }
    const top = lastOffset(timeline.settled);
    const isInOrder = added.every((message, index) => {
        const before = index === 0 ? top : added[index - 1]!.offset;
        return message.offset === 0 || message.offset > before;
    });
    let settled = [...timeline.settled, ...added];
    if (!isInOrder) {
        settled.sort((a, b) => a.offset - b.offset);
    }
    let isComplete = timeline.isComplete;
    if (settled.length > SETTLED_MAX && isInOrder) {
        settled = settled.slice(-SETTLED_MAX);
        isComplete = false;
    }
    return { ...timeline, settled, outgoing, isComplete };
}

/* Adds changes the server has, and applies them to the messages that are here. */
export function settleChanges(timeline: Timeline, incoming: readonly Change[]): Timeline {
    const known = new Set(timeline.changes.map((change) => change.offset || change.id));
    const added = incoming.filter((change) => change.of !== '' && !known.has(change.offset || change.id));
    if (added.length === 0) {
        return timeline;
    }
    const changes = [...timeline.changes, ...added].slice(-CHANGES_MAX);
    const touched = new Set(added.map((change) => change.of));
    const settled = timeline.settled.map((message) =>
        touched.has(message.id) ? amend(message, changes) : message,
    );
    return { ...timeline, settled, changes };
}

/* Messages whose text or author has all the words, newest first. */
export function findMessages(timeline: Timeline, query: string): Message[] {
    const wanted = query.toLocaleLowerCase().split(/\s+/).filter((word) => word !== '');
    if (wanted.length === 0) {
        return [];
    }
    return timeline.settled
        .filter((message) => {
            const text = `${message.author} ${message.text}`.toLocaleLowerCase();
            return !message.isDeleted && wanted.every((word) => text.includes(word));
        })
        .reverse();
}

/* One that this page is about to send, or could not send before it was reloaded. */
export function newOutgoing(id: string, author: string, text: string, time: number): Message {
    return {
        ...UNCHANGED,
        key: `i${id}`,
        id,
        offset: 0,
        author,
        text,
        original: text,
        time,
        hasTime: true,
        isMine: true,
        state: 'sending',
        error: '',
    };
}

export function addOutgoing(timeline: Timeline, message: Message): Timeline {
    return { ...timeline, outgoing: [...timeline.outgoing, message] };
}

/* Changes an outgoing message; one that has settled meanwhile is left alone. */
export function updateOutgoing(timeline: Timeline, id: string, change: Partial<Message>): Timeline {
    const outgoing = timeline.outgoing.map((message) =>
        message.id === id ? { ...message, ...change } : message,
    );
    return { ...timeline, outgoing };
}

export function removeOutgoing(timeline: Timeline, id: string): Timeline {
    return { ...timeline, outgoing: timeline.outgoing.filter((message) => message.id !== id) };
}

/* The history turned out to have a gap: what was shown is forgotten, what was not sent stays. */
export function forgetSettled(timeline: Timeline): Timeline {
    return { ...EMPTY, outgoing: timeline.outgoing };
}

export type Row =
    | { kind: 'day'; key: string; time: number }
    | { kind: 'new'; key: string }
    | { kind: 'message'; key: string; message: Message; isFirstOfGroup: boolean };

/* Messages as they are shown: a line where a day begins, one where the unread ones begin (after the offset
 * `readUpTo`), and whether a message needs its author repeated. */
export function rowsOf(messages: readonly Message[], readUpTo: number | null): Row[] {
    const rows: Row[] = [];
    let previous: Message | null = null;
    let isMarked = readUpTo === null;
    for (const message of messages) {
        const isNewDay = previous === null || !isSameDay(previous.time, message.time);
        if (isNewDay) {
            rows.push({ kind: 'day', key: `day-${message.key}`, time: message.time });
        }
        const isFirstUnread = !isMarked && message.offset > (readUpTo ?? 0) && !message.isMine;
        if (isFirstUnread) {
            rows.push({ kind: 'new', key: 'new' });
            isMarked = true;
        }
        const isFirstOfGroup =
            isNewDay ||
            isFirstUnread ||
            previous === null ||
            previous.author !== message.author ||
            message.time - previous.time > GROUP_MS;
        rows.push({ kind: 'message', key: message.key, message, isFirstOfGroup });
        previous = message;
    }
    return rows;
}
