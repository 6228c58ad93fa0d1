/* rooms.ts - names of rooms, links to them, and what has been read in them. Pure. */
import { chatText } from './strings.ts';

export const ROOM_NAME_CHARACTERS_MAX = 50;
export const ROOM_DEFAULT = 'lobby';
/* The server allows 128 channels on a connection, and a room takes one, the current room two. */
export const ROOMS_MAX = 60;

/* Only characters that are safe in a channel name, an address and a shell line; PROTOCOL gives others a
 * meaning (`$` private, `#` users, `/ * &` reserved). */
const ROOM_NAME = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/;

export type RoomName = { ok: true; name: string } | { ok: false; reason: string };

/* What a person typed, as a room name: capitals and spaces are forgiven, the rest is explained. */
export function parseRoomName(typed: string): RoomName {
    const name = typed.trim().replace(/^#/, '').toLowerCase().replace(/\s+/g, '-');
    if (name === '') {
        return { ok: false, reason: chatText.roomNameEmpty };
    }
    if (name.length > ROOM_NAME_CHARACTERS_MAX) {
        return { ok: false, reason: chatText.roomNameLong(ROOM_NAME_CHARACTERS_MAX) };
    }
    if (!ROOM_NAME.test(name)) {
        return { ok: false, reason: chatText.roomNameBad };
    }
    return { ok: true, name };
}

export const roomHash = (name: string): string => `#/room/${name}`;
export const roomChannel = (name: string): string => `chat:${name}`;
export const typingChannel = (name: string): string => `typing:${name}`;

/* The room a link names; null when the hash names none. */
export function roomOfHash(hash: string): RoomName | null {
    const match = /^#\/room\/([^/]*)(?:\/m\/\d{1,15})?$/.exec(hash);
    if (match === null) {
        return null;
    }
    try {
        return parseRoomName(decodeURIComponent(match[1]!));
    } catch {
        return { ok: false, reason: chatText.roomNameBad };
    }
}

/* A link to one message. Offsets start again in another epoch, and the link then leads to another message. */
export const messageHash = (name: string, offset: number): string => `${roomHash(name)}/m/${offset}`;

/* The offset of the message a link names; 0: it names a room only. */
export function offsetOfHash(hash: string): number {
    return Number(/^#\/room\/[^/]*\/m\/(\d{1,15})$/.exec(hash)?.[1] ?? 0);
}

/* A place in a channel's stream (PROTOCOL.md section 7.1). */
export interface Position {
    epoch: string;
    offset: number;
}

export interface StoredRoom {
    name: string;
    /* Up to where it was read; null when nothing was ever seen of it. */
    read: Position | null;
}

/* Messages after `read` in a stream whose newest is `top`. Another epoch is another stream: all of it is new. */
export function unreadCount(read: Position | null, top: Position): number {
    if (read === null) {
        return 0;
    }
    return read.epoch === top.epoch ? Math.max(0, top.offset - read.offset) : top.offset;
}

function parsePosition(value: unknown): Position | null {
    const { epoch, offset } = (value ?? {}) as Partial<Position>;
    return typeof epoch === 'string' &&
        typeof offset === 'number' &&
        Number.isSafeInteger(offset) &&
        offset >= 0
        ? { epoch, offset }
        : null;
}

/* The list of visited rooms as localStorage had it; what is not a room is left out. */
export function parseStoredRooms(value: unknown): StoredRoom[] {
    const rooms = new Map<string, StoredRoom>();
    for (const entry of Array.isArray(value) ? value : []) {
        const { name, read } = (entry ?? {}) as { name?: unknown; read?: unknown };
        const parsed = typeof name === 'string' ? parseRoomName(name) : null;
        if (parsed?.ok && !rooms.has(parsed.name) && rooms.size < ROOMS_MAX) {
            rooms.set(parsed.name, { name: parsed.name, read: parsePosition(read) });
        }
    }
    return [...rooms.values()];
}
