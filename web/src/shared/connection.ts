/* connection.ts - one connection of the Centrifuge SDK, and what a reader should know about it.
 *
 * The SDK reconnects and recovers; this file only watches it and turns its events into one signal, `status`,
 * and one more, `notice`, for what a reconnect brought. Every page makes exactly one connection.
 */
import { Centrifuge, State, type SubscribedContext, type Subscription } from 'centrifuge';
import { signal, type ReadonlySignal } from '@preact/signals';

export type ConnectionStatus =
    | { phase: 'connecting'; since: number }
    /* The transport is gone and the SDK tries again at `until`. */
    | { phase: 'waiting'; until: number; reason: string }
    /* The page itself hung up, and connects again at `until`. */
    | { phase: 'cut'; until: number }
    | { phase: 'connected'; client: string }
    /* The server does not want this connection: `refused` when a token could change that. */
    | { phase: 'closed'; code: number; reason: string; refused: boolean };

/* What the last reconnect brought, over all channels of the page. */
export interface Notice {
    recovered: number;
    /* Channels whose gap was larger than the server's history. */
    gaps: string[];
}

export interface Connection {
    client: Centrifuge;
    status: ReadonlySignal<ConnectionStatus>;
    notice: ReadonlySignal<Notice | null>;
    dismissNotice(): void;
    retryNow(): void;
    /* Hangs up for `ms`, so that a reader can see what recovery does. */
    cutOff(ms: number): void;
    useToken(token: string): void;
    /* Reports a channel's share of a reconnect; call it once the recovered publications are counted. */
    noteRecovery(channel: string, recovered: number | 'gap'): void;
}

/* Error replies and close codes that say "not without a token". */
const TOKEN_CODES = new Set([101, 103, 109, 3500, 3501, 3507]);
const NOTICE_GATHER_MS = 200;
const NOTICE_SHOWN_MS = 10_000;

export function socketAddress(): string {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    return `${scheme}//${location.host}/connection/websocket`;
}

/* The SDK does not say how long it will wait before its next attempt, and a countdown needs that. Without the
 * method, in some later version, there is only no countdown. */
function watchBackoff(client: Centrifuge, onDelay: (ms: number) => void): void {
    const inner = client as unknown as { _getReconnectDelay?: () => number };
    const original = inner._getReconnectDelay;
    if (typeof original === 'function') {
        inner._getReconnectDelay = () => {
            const delay = original.call(client);
            onDelay(delay);
            return delay;
        };
    }
}

export function createConnection(data: unknown): Connection {
    const client = new Centrifuge(socketAddress(), {
        name: 'starling-web',
        data,
        minReconnectDelay: 500,
        maxReconnectDelay: 20_000,
    });
    const status = signal<ConnectionStatus>({ phase: 'connecting', since: Date.now() });
    const notice = signal<Notice | null>(null);
    let reason = '';
    let hangingUp = false;
    let gathered: Notice = { recovered: 0, gaps: [] };
    let gatherTimer: ReturnType<typeof setTimeout> | undefined;
    let noticeTimer: ReturnType<typeof setTimeout> | undefined;
    let cutTimer: ReturnType<typeof setTimeout> | undefined;

    client.on('connecting', (context) => {
        reason = context.reason;
        status.value = { phase: 'connecting', since: Date.now() };
    });
    client.on('error', (context) => {
        reason = context.error.message;
    });
    client.on('connected', (context) => {
        status.value = { phase: 'connected', client: context.client };
    });
    client.on('disconnected', (context) => {
        if (!hangingUp) {
            const refused = TOKEN_CODES.has(context.code);
            status.value = { phase: 'closed', code: context.code, reason: context.reason, refused };
        }
    });
    watchBackoff(client, (delay) => {
        status.value = { phase: 'waiting', until: Date.now() + delay, reason };
    });

    const hangUp = (): void => {
        clearTimeout(cutTimer);
        hangingUp = true;
        client.disconnect();
        hangingUp = false;
    };
    const announce = (): void => {
        notice.value = gathered;
        gathered = { recovered: 0, gaps: [] };
        clearTimeout(noticeTimer);
        noticeTimer = setTimeout(() => (notice.value = null), NOTICE_SHOWN_MS);
    };

    return {
        client,
        status,
        notice,
        dismissNotice: () => (notice.value = null),
        retryNow: () => {
            hangUp();
            client.connect();
        },
        cutOff: (ms) => {
            hangUp();
            status.value = { phase: 'cut', until: Date.now() + ms };
            cutTimer = setTimeout(() => client.connect(), ms);
        },
        useToken: (token) => {
            hangUp();
            client.setToken(token);
            client.connect();
        },
        noteRecovery: (channel, recovered) => {
            if (recovered === 'gap') {
                gathered.gaps.push(channel);
            } else {
                gathered.recovered += recovered;
            }
            clearTimeout(gatherTimer);
            gatherTimer = setTimeout(announce, NOTICE_GATHER_MS);
        },
    };
}

export function isConnected(client: Centrifuge): boolean {
    return client.state === State.Connected;
}

export interface Resumption {
    recovered: number;
    /* The offset this reader had before the break, and has now. */
    from: number;
    to: number;
}

/* Calls exactly one of the three for each time `subscription` gets going: `onFirst` when nothing was to be
 * recovered, `onRecovered` after the SDK has delivered what was missed, `onGap` when the server could not. */
export function watchRecovery(
    subscription: Subscription,
    handlers: {
        onFirst(context: SubscribedContext): void;
        onRecovered(resumption: Resumption): void;
        onGap(context: SubscribedContext): void;
    },
): void {
    let counting: Resumption | null = null;
    subscription.on('publication', (publication) => {
        if (counting !== null) {
            counting.recovered += 1;
            counting.to = publication.offset ?? counting.to;
        }
    });
    subscription.on('subscribed', (context) => {
        if (!context.wasRecovering) {
            handlers.onFirst(context);
            return;
        }
        if (!context.recovered) {
            handlers.onGap(context);
            return;
        }
        /* The SDK delivers the recovered publications in this very turn, after this event. */
        const from = context.streamPosition?.offset ?? 0;
        const resumption: Resumption = { recovered: 0, from, to: from };
        counting = resumption;
        queueMicrotask(() => {
            counting = null;
            handlers.onRecovered(resumption);
        });
    });
}
