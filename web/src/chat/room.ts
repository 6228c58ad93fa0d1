/* room.ts - one room: its subscription, its messages, who is in it.
 *
 * Every visited room stays subscribed, so that its unread count is right; its messages are loaded when it is
 * opened. A room knows nothing of the page: the page tells it when it is being read.
 */
import { signal } from '@preact/signals';
import { errorCodes, type ClientInfo, type PublicationContext, type Subscription } from 'centrifuge';
import { isConnected, watchRecovery, type Connection } from '../shared/connection.ts';
import { changeOf, type Change, type ChangeData, type ChangeKind } from './changes.ts';
import { loadOutbox, saveOutbox } from './saved.ts';
import { chatText } from './strings.ts';
import { roomChannel, typingChannel, unreadCount, type Position, type StoredRoom } from './rooms.ts';
import {
    HELLO_PEOPLE_MAX,
    noteTyping,
    parseSignal,
    type RoomSignal,
    TYPING_THROTTLE_MS,
    type Typist,
} from './signals.ts';
import {
    addOutgoing,
    EMPTY,
    forgetSettled,
    SETTLED_MAX,
    type ChatData,
    type Message,
    messageOf,
    messagesOf,
    nameOfInfo,
    newOutgoing,
    removeOutgoing,
    settle,
    settleChanges,
    type ReceivedPublication,
    type Timeline,
    updateOutgoing,
} from './timeline.ts';

const HISTORY_PAGE = 50;
/* A message that found no connection for this long is the sender's to decide about. */
const WAITING_MAX_MS = 30_000;
const HELLO_ANSWER_MAX_MS = 800;

/* Errors of the SDK that say nothing about the message: the line broke while it was on its way. */
const BROKEN_LINE = new Set<number>([
    errorCodes.transportClosed,
    errorCodes.clientDisconnected,
    errorCodes.connectionClosed,
]);

export interface Person {
    client: string;
    name: string;
    isMe: boolean;
    isAway: boolean;
}

export type RoomPhase = { name: 'joining' } | { name: 'joined' } | { name: 'refused'; reason: string };

/* What a room needs from the page. */
export interface RoomHost {
    connection: Connection;
    myName(): string;
    isAway(): boolean;
    /* Whether a reader has the newest message of this room before their eyes. */
    isRead(room: Room): boolean;
    /* A message of somebody else arrived and was not read. */
    onUnread(room: Room): void;
    /* A message of somebody else arrived just now. */
    onMessage(room: Room, message: Message): void;
    /* A change was not made. */
    onProblem(reason: string): void;
    /* `read` has changed and should be kept. */
    onRead(): void;
}

function reasonOf(error: unknown): string {
    return (error as { message?: string } | null)?.message || String(error);
}

/* crypto.randomUUID exists on https and localhost only; getRandomValues exists everywhere. */
function newId(): string {
    return [...crypto.getRandomValues(new Uint8Array(16))]
        .map((byte) => byte.toString(16).padStart(2, '0'))
        .join('');
}

export class Room {
    readonly name: string;
    readonly phase = signal<RoomPhase>({ name: 'joining' });
    readonly timeline = signal<Timeline>(EMPTY);
    readonly history = signal<'idle' | 'loading' | 'loaded' | 'none' | { error: string }>('idle');
    readonly unread = signal(0);
    /* The "new" line stands before the first message after this offset. */
    readonly newAfter = signal<number | null>(null);
    /* null: the server does not say. */
    readonly people = signal<readonly Person[] | null>(null);
    readonly typists = signal<readonly Typist[]>([]);
    read: Position | null;

    private readonly host: RoomHost;
    private readonly subscription: Subscription;
    private signals: Subscription | null = null;
    private top: Position | null = null;
    private isOpen = false;
    private lastTypingMs = 0;
    private typistTimer: ReturnType<typeof setInterval> | undefined;
    private readonly infos = new Map<string, ClientInfo>();
    private readonly names = new Map<string, string>();
    private readonly away = new Set<string>();
    /* The oldest offset that was loaded, of a message or of a change. */
    private oldest = 0;

    constructor(host: RoomHost, stored: StoredRoom) {
        this.host = host;
        this.name = stored.name;
        this.read = stored.read;
        for (const { id, author, text, time } of loadOutbox(this.name)) {
            const message = newOutgoing(id, author, text, time);
            this.timeline.value = addOutgoing(this.timeline.value, { ...message, state: 'waiting' });
        }
        this.subscription = host.connection.client.newSubscription(roomChannel(this.name), {
            recoverable: true,
            positioned: true,
            joinLeave: true,
        });
        this.subscription.on('subscribing', () => this.setPhase({ name: 'joining' }));
        this.subscription.on('unsubscribed', (context) =>
            this.setPhase({ name: 'refused', reason: context.reason }),
        );
        this.subscription.on('publication', (publication) => this.onPublication(publication));
        this.subscription.on('join', (context) => this.onJoin(context.info));
        this.subscription.on('leave', (context) => this.onLeave(context.info));
        watchRecovery(this.subscription, {
            onFirst: (context) => this.onSubscribed(context.streamPosition ?? null),
            onRecovered: (resumption) => {
                host.connection.noteRecovery(this.name, resumption.recovered);
                this.onResumed();
            },
            onGap: (context) => {
                host.connection.noteRecovery(this.name, 'gap');
                this.timeline.value = forgetSettled(this.timeline.value);
                this.history.value = 'idle';
                this.onSubscribed(context.streamPosition ?? null);
            },
        });
        this.subscription.subscribe();
    }

    private setPhase(phase: RoomPhase): void {
        this.phase.value = phase;
    }

    /* The room is now the one on the screen. */
    open(): void {
        this.isOpen = true;
        this.newAfter.value = this.unread.value > 0 ? (this.read?.offset ?? 0) : null;
        if (this.phase.value.name === 'joined') {
            void this.loadNewest();
            void this.loadPeople();
        }
        const channel = typingChannel(this.name);
        const client = this.host.connection.client;
        this.signals = client.getSubscription(channel) ?? client.newSubscription(channel);
        this.signals.on('publication', (publication) => this.onSignal(publication));
        this.signals.on('subscribed', () => this.sayHello(true));
        this.signals.subscribe();
        this.typistTimer = setInterval(() => this.dropSilentTypists(), 1_000);
    }

    /* Another room is on the screen; this one goes on counting. */
    close(): void {
        this.isOpen = false;
        this.newAfter.value = null;
        this.typists.value = [];
        clearInterval(this.typistTimer);
        if (this.signals !== null) {
            this.signals.removeAllListeners();
            this.signals.unsubscribe();
            this.host.connection.client.removeSubscription(this.signals);
            this.signals = null;
        }
    }

    /* Leaves for good: out of the list and off the server. */
    leave(): void {
        this.close();
        this.subscription.removeAllListeners();
        this.subscription.unsubscribe();
        this.host.connection.client.removeSubscription(this.subscription);
    }

    private onSubscribed(position: Position | null): void {
        if (position !== null) {
            this.top = { epoch: position.epoch, offset: position.offset };
            this.unread.value = unreadCount(this.read, this.top);
            if (this.read === null) {
                this.markRead();
            } else if (this.isOpen && this.newAfter.value === null && this.unread.value > 0) {
                this.newAfter.value = this.read.epoch === this.top.epoch ? this.read.offset : 0;
            }
        }
        this.onResumed();
    }

    private onResumed(): void {
        this.setPhase({ name: 'joined' });
        if (this.isOpen) {
            void this.loadPeople();
            void this.loadNewest().then(() => this.sendWaiting());
        } else if (this.timeline.value.outgoing.some((message) => message.state === 'waiting')) {
            /* What waited may have arrived before a reload: the history knows. */
            void this.loadNewest().then(() => this.sendWaiting());
        }
    }

    /* ---- messages ---- */

    /* The publication as a change of a message; null: it is a message itself. */
    private changeIn(publication: ReceivedPublication): Change | null {
        const message = messageOf(publication, Date.now(), chatText.anonymous);
        return changeOf(publication, message.author);
    }

    private onPublication(publication: PublicationContext): void {
        const before = this.timeline.value;
        const change = this.changeIn(publication);
        if (change !== null) {
            if (this.top !== null && publication.offset !== undefined) {
                this.top = { ...this.top, offset: publication.offset };
            }
            this.timeline.value = settleChanges(before, [change]);
            if (this.unread.value === 0) {
                this.markRead(); /* a change is no news */
            }
            return;
        }
        const message = messageOf(publication, Date.now(), chatText.anonymous);
        this.noteAuthor(publication, message);
        if (this.top !== null && publication.offset !== undefined) {
            this.top = { ...this.top, offset: publication.offset };
        }
        const isOwn = before.outgoing.some((candidate) => candidate.id !== '' && candidate.id === message.id);
        /* A room that was never opened only counts; its messages come with its history. */
        if (this.isOpen || this.history.value === 'loaded' || this.history.value === 'none' || isOwn) {
            this.timeline.value = settle(before, [message]);
        }
        if (publication.info !== undefined) {
            this.typists.value = this.typists.value.filter(
                (typist) => typist.client !== publication.info?.client,
            );
        }
        if (!isOwn) {
            this.host.onMessage(this, message);
        }
        if (isOwn || this.host.isRead(this)) {
            this.markRead();
            this.storeOutbox();
            return;
        }
        if (this.isOpen && this.newAfter.value === null) {
            this.newAfter.value = this.read?.offset ?? Math.max(0, message.offset - 1);
        }
        this.unread.value += 1;
        this.host.onUnread(this);
    }

    private noteAuthor(publication: PublicationContext, message: Message): void {
        if (publication.info !== undefined && message.author !== chatText.anonymous) {
            this.noteName(publication.info.client, message.author);
        }
    }

    markRead(): void {
        this.unread.value = 0;
        if (
            this.top !== null &&
            (this.read?.offset !== this.top.offset || this.read.epoch !== this.top.epoch)
        ) {
            this.read = this.top;
            this.host.onRead();
        }
    }

    private async loadNewest(): Promise<void> {
        if (
            this.history.value === 'loading' ||
            this.history.value === 'loaded' ||
            this.history.value === 'none'
        ) {
            return;
        }
        this.history.value = 'loading';
        await this.loadPage(null);
    }

    async loadOlder(): Promise<void> {
        if (this.history.value !== 'loaded' || this.timeline.value.isComplete || this.top === null) {
            return;
        }
        /* Messages that were dropped to save room are asked for again. */
        const oldest = Math.max(this.oldest, this.hasDropped() ? (this.timeline.value.settled[0]?.offset ?? 0) : 0);
        if (oldest <= 1) {
            this.timeline.value = { ...this.timeline.value, isComplete: true };
            return;
        }
        this.history.value = 'loading';
        await this.loadPage({ epoch: this.top.epoch, offset: oldest });
    }

    private hasDropped(): boolean {
        return this.timeline.value.settled.length >= SETTLED_MAX;
    }

    private async loadPage(before: Position | null): Promise<void> {
        try {
            const result = await this.subscription.history({
                limit: HISTORY_PAGE,
                reverse: true,
                ...(before === null ? {} : { since: before }),
            });
            const oldestFirst = result.publications.reverse();
            const all = messagesOf(oldestFirst, Date.now(), chatText.anonymous);
            all.forEach((message, index) => this.noteAuthor(oldestFirst[index]!, message));
            const changes = oldestFirst.map((publication) => this.changeIn(publication));
            const messages = all.filter((_, index) => changes[index] === null);
            const known = settleChanges(
                this.timeline.value,
                changes.filter((change) => change !== null),
            );
            const timeline = settle(known, messages);
            this.oldest = oldestFirst[0]?.offset ?? this.oldest;
            const isComplete = timeline.isComplete || oldestFirst.length < HISTORY_PAGE;
            this.timeline.value = { ...timeline, isComplete };
            this.history.value = 'loaded';
            this.storeOutbox();
            if (this.host.isRead(this)) {
                this.markRead();
            }
        } catch (error) {
            const { code } = error as { code?: number };
            if (code === 108 || code === 103) {
                this.history.value = 'none';
                this.timeline.value = { ...this.timeline.value, isComplete: true };
            } else {
                this.history.value = isConnected(this.host.connection.client)
                    ? { error: reasonOf(error) }
                    : 'idle';
            }
        }
    }

    retryHistory(): void {
        this.history.value = 'idle';
        void this.loadNewest();
    }

    /* ---- sending ---- */

    send(text: string): void {
        const message = newOutgoing(newId(), this.host.myName(), text, Date.now());
        this.timeline.value = addOutgoing(this.timeline.value, message);
        this.lastTypingMs = 0;
        this.storeOutbox();
        this.publish(message);
    }

    /* Publishes a change of a message; it shows when it comes back, as it does to the others. */
    change(kind: ChangeKind, of: Message, text: string): void {
        const data: ChangeData = { kind, of: of.id, id: newId(), name: this.host.myName(), text, t: Date.now() };
        if (this.phase.value.name !== 'joined' || !isConnected(this.host.connection.client)) {
            this.host.onProblem(chatText.noConnection);
            return;
        }
        this.subscription.publish(data).catch((error: unknown) => this.host.onProblem(reasonOf(error)));
    }

    /* Gives this reader's reaction, or takes it back. */
    react(message: Message, emoji: string): void {
        const names = message.reactions.find((reaction) => reaction.emoji === emoji)?.names ?? [];
        this.change(names.includes(this.host.myName()) ? 'unreact' : 'react', message, emoji);
    }

    /* What has not arrived yet survives a reload of the page. */
    private storeOutbox(): void {
        const kept = this.timeline.value.outgoing.filter((message) => message.state !== 'accepted');
        saveOutbox(this.name, kept);
    }

    retry(id: string): void {
        const message = this.timeline.value.outgoing.find((candidate) => candidate.id === id);
        if (message?.state === 'failed') {
            this.publish(message);
        }
    }

    remove(id: string): void {
        this.timeline.value = removeOutgoing(this.timeline.value, id);
        this.storeOutbox();
    }

    private update(id: string, change: Partial<Message>): void {
        this.timeline.value = updateOutgoing(this.timeline.value, id, change);
        this.storeOutbox();
    }

    private publish(message: Message): void {
        const { id, author, text, time } = message;
        if (this.phase.value.name === 'refused') {
            this.update(id, { state: 'failed', error: this.phase.value.reason });
            return;
        }
        if (this.phase.value.name === 'joining' || !isConnected(this.host.connection.client)) {
            this.wait(id);
            return;
        }
        this.update(id, { state: 'sending', error: '' });
        const data: ChatData = { id, name: author, text, t: time };
        this.subscription.publish(data).then(
            () => this.update(id, { state: 'accepted', error: '' }),
            (error: unknown) => {
                if (BROKEN_LINE.has((error as { code?: number }).code ?? -1)) {
                    this.wait(id);
                } else {
                    this.update(id, { state: 'failed', error: reasonOf(error) });
                }
            },
        );
    }

    /* Until the room is joined again: what was recovered by then shows which messages had arrived after all. */
    private wait(id: string): void {
        this.update(id, { state: 'waiting', error: '' });
        setTimeout(() => {
            const message = this.timeline.value.outgoing.find((candidate) => candidate.id === id);
            if (message?.state === 'waiting') {
                this.update(id, { state: 'failed', error: chatText.noConnection });
            }
        }, WAITING_MAX_MS);
    }

    private sendWaiting(): void {
        for (const message of this.timeline.value.outgoing) {
            if (message.state === 'waiting') {
                this.publish(message);
            }
        }
    }

    /* ---- people ---- */

    private async loadPeople(): Promise<void> {
        try {
            const { clients } = await this.subscription.presence();
            this.infos.clear();
            Object.values(clients).forEach((info) => this.infos.set(info.client, info));
            this.showPeople();
        } catch {
            this.people.value = null;
        }
    }

    private onJoin(info: ClientInfo): void {
        this.infos.set(info.client, info);
        this.showPeople();
    }

    private onLeave(info: ClientInfo): void {
        this.infos.delete(info.client);
        this.names.delete(info.client);
        this.away.delete(info.client);
        this.typists.value = this.typists.value.filter((typist) => typist.client !== info.client);
        this.showPeople();
    }

    private noteName(client: string, name: string): void {
        if (this.names.get(client) !== name) {
            this.names.set(client, name);
            this.showPeople();
        }
    }

    private showPeople(): void {
        const status = this.host.connection.status.value;
        const me = status.phase === 'connected' ? status.client : '';
        if (!this.isOpen || this.infos.size === 0) {
            return;
        }
        const people = [...this.infos.values()].map((info) => ({
            client: info.client,
            name:
                nameOfInfo(info) ||
                (info.client === me ? this.host.myName() : this.names.get(info.client)) ||
                chatText.guest(info.client.slice(0, 4)),
            isMe: info.client === me,
            isAway: info.client === me ? this.host.isAway() : this.away.has(info.client),
        }));
        people.sort((a, b) => Number(b.isMe) - Number(a.isMe) || a.name.localeCompare(b.name));
        this.people.value = people;
    }

    /* Tells the others a changed name. */
    renamed(): void {
        this.showPeople();
        this.sayHello(false);
    }

    /* ---- typing:<room> ---- */

    private sayHello(ask: boolean): void {
        this.say({ kind: 'hello', name: this.host.myName(), ask, away: this.host.isAway() });
    }

    private say(spoken: RoomSignal): void {
        if (spoken.name !== '') {
            /* Nothing depends on it: a server without this namespace only has no typing line. */
            this.signals?.publish(spoken).catch(() => undefined);
        }
    }

    noteTyping(isTyping: boolean): void {
        const now = Date.now();
        if (isTyping && now - this.lastTypingMs >= TYPING_THROTTLE_MS) {
            this.lastTypingMs = now;
            this.say({ kind: 'typing', name: this.host.myName() });
        } else if (!isTyping && this.lastTypingMs > 0) {
            this.lastTypingMs = 0;
            this.say({ kind: 'idle', name: this.host.myName() });
        }
    }

    private onSignal(publication: PublicationContext): void {
        const spoken = parseSignal(publication.data);
        const client = publication.info?.client;
        const status = this.host.connection.status.value;
        if (
            spoken === null ||
            client === undefined ||
            (status.phase === 'connected' && client === status.client)
        ) {
            return;
        }
        this.noteName(client, nameOfInfo(publication.info) || spoken.name);
        const isAway = spoken.kind === 'hello' && spoken.away;
        if (isAway !== this.away.has(client)) {
            if (isAway) {
                this.away.add(client);
            } else {
                this.away.delete(client);
            }
            this.showPeople();
        }
        if (spoken.kind === 'hello') {
            if (spoken.ask && (this.people.value?.length ?? 0) <= HELLO_PEOPLE_MAX) {
                setTimeout(() => this.sayHello(false), Math.random() * HELLO_ANSWER_MAX_MS);
            }
            return;
        }
        this.typists.value = noteTyping(this.typists.value, client, spoken, Date.now());
    }

    private dropSilentTypists(): void {
        const now = Date.now();
        if (this.typists.value.some((typist) => typist.until <= now)) {
            this.typists.value = this.typists.value.filter((typist) => typist.until > now);
        }
    }
}
