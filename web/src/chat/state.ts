/* state.ts - everything the chat page knows, in one place; the views render from here and call what is here. */
import { computed, effect, signal } from '@preact/signals';
import { createConnection } from '../shared/connection.ts';
import { load, loadText, save, saveText } from '../shared/storage.ts';
import { cleanName } from '../shared/text.ts';
import { strings } from '../strings.ts';
import { chatText } from './strings.ts';
import { Room, type RoomHost } from './room.ts';
import { mentions } from './mentions.ts';
import { offsetOfHash, parseStoredRooms, roomHash, roomOfHash, ROOM_DEFAULT, ROOMS_MAX, type StoredRoom } from './rooms.ts';

export type Dialog = 'none' | 'name' | 'switcher' | 'help';
/* Nobody has moved anything for this long, or the page is hidden for the shorter while: the reader is away. */
const IDLE_MS = 5 * 60_000;
const HIDDEN_MS = 60_000;

export type Drawer = 'none' | 'rooms' | 'people';

/* How often at most a screen reader is told of unread messages. */
const ANNOUNCE_MS = 3_000;

export const myName = signal(cleanName(loadText('name')));
export const rooms = signal<readonly Room[]>([]);
export const current = signal<Room | null>(null);
export const dialog = signal<Dialog>('none');
export const drawer = signal<Drawer>('none');
/* Why the address or the typed name is no room; empty when it is. */
export const roomProblem = signal('');
/* The message being changed, by its id; empty: a new one is being written. */
export const editing = signal('');
/* The message a link leads to, by its offset; 0: none. */
export const target = signal(0);
export const isSearching = signal(false);
export const isAway = signal(false);
/* Spoken to screen readers: unread messages elsewhere. */
export const announcement = signal('');

export const connection = createConnection(myName.value === '' ? null : { name: myName.value });
export const unreadTotal = computed(() => rooms.value.reduce((sum, room) => sum + room.unread.value, 0));

/* Set by the message list: the newest message of the current room is on the screen. */
let isAtEnd = true;
let announceTimer: ReturnType<typeof setTimeout> | undefined;

function storeRooms(): void {
    save(
        'rooms',
        rooms.value.map((room): StoredRoom => ({ name: room.name, read: room.read })),
    );
}

const host: RoomHost = {
    connection,
    myName: () => myName.value,
    isAway: () => isAway.value,
    onProblem: (reason) => (roomProblem.value = chatText.notChanged(reason)),
    onMessage: (room, message) => {
        if (document.visibilityState === 'hidden' && mentions(message.text, myName.value)) {
            notify(chatText.mentioned(message.author, room.name), message.text, room.name);
        }
    },
    isRead: (room) => room === current.value && isAtEnd && document.visibilityState === 'visible',
    onRead: storeRooms,
    onUnread: () => {
        announceTimer ??= setTimeout(() => {
            announceTimer = undefined;
            const texts = rooms.value
                .filter((room) => room.unread.value > 0)
                .map((room) => chatText.newIn(room.unread.value, room.name));
            announcement.value = texts.slice(0, 3).join('. ');
        }, ANNOUNCE_MS);
    },
};

/* ---- notifications, only after a reader has asked for them ---- */

export type Notifying = 'unavailable' | 'off' | 'on' | 'denied';

function notifyingNow(): Notifying {
    if (typeof Notification === 'undefined' || !isSecureContext) {
        return 'unavailable';
    }
    if (Notification.permission === 'denied') {
        return 'denied';
    }
    return Notification.permission === 'granted' && loadText('notify') === 'yes' ? 'on' : 'off';
}

export const notifying = signal<Notifying>(notifyingNow());

/* Off again where it was on. The browser asks the reader the first time. */
export async function toggleNotifying(): Promise<void> {
    if (notifying.value === 'on') {
        saveText('notify', '');
    } else if ((await Notification.requestPermission()) === 'granted') {
        saveText('notify', 'yes');
    }
    notifying.value = notifyingNow();
}

function notify(title: string, body: string, room: string): void {
    if (notifying.value !== 'on') {
        return;
    }
    const notification = new Notification(title, { body: body.slice(0, 200), tag: `starling-${room}` });
    notification.onclick = () => {
        window.focus();
        goTo(room);
        notification.close();
    };
}

/* ---- away ---- */

let idleTimer: ReturnType<typeof setTimeout> | undefined;

function setAway(away: boolean): void {
    if (isAway.value !== away) {
        isAway.value = away;
        current.value?.renamed();
    }
}

function noteActivity(): void {
    clearTimeout(idleTimer);
    const isHidden = document.visibilityState === 'hidden';
    if (!isHidden) {
        setAway(false);
    }
    idleTimer = setTimeout(() => setAway(true), isHidden ? HIDDEN_MS : IDLE_MS);
}

function addRoom(stored: StoredRoom): Room {
    const room = new Room(host, stored);
    const kept = rooms.value.length < ROOMS_MAX ? rooms.value : dropOldest();
    rooms.value = [...kept, room];
    return room;
}

/* The list is full: the first one that is not open goes. */
function dropOldest(): readonly Room[] {
    const victim = rooms.value.find((room) => room !== current.value);
    victim?.leave();
    return rooms.value.filter((room) => room !== victim);
}

/* Shows the room of that name, and joins it first where that has not happened. */
function showRoom(name: string): void {
    const room = rooms.value.find((candidate) => candidate.name === name) ?? addRoom({ name, read: null });
    if (room === current.value) {
        return;
    }
    current.value?.close();
    editing.value = '';
    isSearching.value = false;
    isAtEnd = true;
    current.value = room;
    room.open();
    storeRooms();
    saveText('room', room.name);
}

function followHash(): void {
    const parsed = roomOfHash(location.hash);
    if (parsed === null) {
        location.replace(roomHash(current.value?.name ?? (loadText('room') || ROOM_DEFAULT)));
        return;
    }
    roomProblem.value = parsed.ok ? '' : parsed.reason;
    if (parsed.ok) {
        showRoom(parsed.name);
        target.value = offsetOfHash(location.hash);
    } else if (current.value === null) {
        showRoom(ROOM_DEFAULT);
    }
}

/* Goes to a room by its valid name; the address follows, and the page follows the address. */
export function goTo(name: string): void {
    drawer.value = 'none';
    dialog.value = 'none';
    roomProblem.value = '';
    location.hash = roomHash(name);
}

/* The room `step` places further down the list, round the end. */
export function goToNeighbour(step: number): void {
    const list = rooms.value;
    const index = list.findIndex((room) => room === current.value);
    const next = list[(index + step + list.length) % list.length];
    if (next !== undefined) {
        goTo(next.name);
    }
}

export function leaveRoom(room: Room): void {
    const rest = rooms.value.filter((candidate) => candidate !== room);
    room.leave();
    rooms.value = rest;
    if (room === current.value) {
        current.value = null;
        goTo(rest[0]?.name ?? ROOM_DEFAULT);
    }
    storeRooms();
}

export function setName(name: string): void {
    const clean = cleanName(name);
    if (clean === '') {
        return;
    }
    myName.value = clean;
    saveText('name', clean);
    connection.client.setData({ name: clean });
    dialog.value = 'none';
    current.value?.renamed();
}

export function setAtEnd(atEnd: boolean): void {
    isAtEnd = atEnd;
    markReadIfSeen();
}

function markReadIfSeen(): void {
    const room = current.value;
    if (room !== null && host.isRead(room)) {
        room.markRead();
    }
}

export function start(): void {
    parseStoredRooms(load('rooms')).forEach(addRoom);
    addEventListener('hashchange', followHash);
    document.addEventListener('visibilitychange', markReadIfSeen);
    document.addEventListener('visibilitychange', noteActivity);
    for (const event of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart']) {
        addEventListener(event, noteActivity, { passive: true });
    }
    noteActivity();
    followHash();
    effect(() => {
        const count = unreadTotal.value;
        const place = current.value === null ? chatText.title : `#${current.value.name}`;
        document.title = `${count > 0 ? `(${chatText.unreadShort(count)}) ` : ''}${place} · ${strings.product}`;
    });
    if (myName.value === '') {
        dialog.value = 'name';
    }
    connection.client.connect();
}
