/* state.ts - everything the feed page knows, in one place. */
import { signal } from '@preact/signals';
import { createConnection, watchRecovery } from '../shared/connection.ts';
import { strings } from '../strings.ts';
import { addChannel, newBoard, receive, show } from './model.ts';

export const CHANNELS = ['feed:prices', 'feed:counters', 'feed:log'];
const CUT_MS = 10_000;
const RECOVERIES_KEPT = 12;
const WATCHED_MAX = 20;
/* What the board begins with. */
const HISTORY_COUNT = 100;

export interface RecoveryEntry {
    key: string;
    channel: string;
    time: number;
    text: string;
    isGood: boolean;
}

export const connection = createConnection(null);
export const board = newBoard();
/* Changes whenever the board is to be drawn again. */
export const frame = signal(0);
export const isPaused = signal(false);
export const heldBack = signal(0);
export const recoveries = signal<readonly RecoveryEntry[]>([]);
/* Channels that were refused, with the reason. */
export const refused = signal<ReadonlyMap<string, string>>(new Map());
export const watched = signal<readonly string[]>([]);

let isDirty = false;
let entryCount = 0;

function note(channel: string, text: string, isGood: boolean): void {
    entryCount += 1;
    const entry = { key: String(entryCount), channel, time: Date.now(), text, isGood };
    recoveries.value = [entry, ...recoveries.value].slice(0, RECOVERIES_KEPT);
}

function subscribe(channel: string): void {
    addChannel(board, channel);
    watched.value = [...watched.value, channel];
    const subscription = connection.client.newSubscription(channel, { recoverable: true, positioned: true });
    let wasSubscribed = false;
    /* Live publications wait here until the history, which is older, is on the board. */
    let early: (() => void)[] | null = [];
    const begin = async (): Promise<void> => {
        const past = await subscription.history({ limit: HISTORY_COUNT, reverse: true }).catch(() => null);
        const top = addChannel(board, channel).offset;
        for (const publication of past?.publications.reverse() ?? []) {
            /* What was published since the subscription comes live. */
            if ((publication.offset ?? 0) <= top) {
                show(board, channel, publication.data, 0);
            }
        }
        early?.forEach((put) => put());
        early = null;
        isDirty = true;
    };
    subscription.on('publication', (publication) => {
        const now = Date.now();
        const put = (): void => receive(board, channel, publication.data, publication.offset, now);
        if (early === null) {
            put();
        } else {
            early.push(put);
        }
        isDirty = true;
        if (isPaused.value) {
            heldBack.value += 1;
        }
    });
    subscription.on('unsubscribed', (context) => {
        refused.value = new Map(refused.value).set(channel, context.reason);
    });
    watchRecovery(subscription, {
        onFirst: (context) => {
            addChannel(board, channel).offset = context.streamPosition?.offset ?? 0;
            if (wasSubscribed) {
                note(channel, strings.feed.noRecovery, false);
            } else {
                void begin();
            }
            wasSubscribed = true;
        },
        onRecovered: ({ recovered, from, to }) => {
            connection.noteRecovery(channel, recovered);
            note(channel, strings.feed.recovered(recovered, from, to), true);
        },
        onGap: (context) => {
            connection.noteRecovery(channel, 'gap');
            addChannel(board, channel).offset = context.streamPosition?.offset ?? 0;
            note(channel, strings.feed.unrecovered, false);
        },
    });
    subscription.subscribe();
}

/* A problem to show, or the empty text when the channel is now watched. */
export function watch(typed: string): string {
    const channel = typed.trim();
    if (channel === '' || channel.length > 255 || /[^\x21-\x7e]/.test(channel)) {
        return strings.feed.watchBad;
    }
    if (!watched.value.includes(channel) && watched.value.length < WATCHED_MAX) {
        subscribe(channel);
    }
    return '';
}

export function togglePause(): void {
    isPaused.value = !isPaused.value;
    heldBack.value = 0;
    isDirty = true;
}

export function cutOff(): void {
    connection.cutOff(CUT_MS);
}

/* Draws at most once per animation frame, and not at all while nothing changed. A hidden page has no frames. */
function draw(): void {
    if (isDirty && !isPaused.value) {
        isDirty = false;
        frame.value += 1;
    }
    requestAnimationFrame(draw);
}

export function start(): void {
    CHANNELS.forEach(subscribe);
    connection.client.connect();
    requestAnimationFrame(draw);
    /* Rates fall to zero by themselves. */
    setInterval(() => (isDirty = true), 1_000);
}
