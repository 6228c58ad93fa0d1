/* self-test.ts - what this browser can reach on this server, and for what cannot be reached, the likely why. */
import { Centrifuge } from 'centrifuge';
import { socketAddress } from '../shared/connection.ts';
import { strings } from '../strings.ts';

export type StepName = 'health' | 'socket' | 'roundTrip' | 'api';
export type StepState = 'waiting' | 'running' | 'ok' | 'failed' | 'skipped';

export interface Step {
    name: StepName;
    state: StepState;
    text: string;
}

/* `ok` with a text that is good news or a remark; otherwise what failed. */
interface Outcome {
    ok: boolean;
    text: string;
}

const ANSWER_MS = 5_000;
/* Keeps nothing, and nobody listens but this page. */
const CHANNEL = 'typing:self-test';

const since = (start: number): number => Math.round(performance.now() - start);

function withTimeout(work: Promise<Outcome>, text: string): Promise<Outcome> {
    const late = new Promise<Outcome>((resolve) => setTimeout(() => resolve({ ok: false, text }), ANSWER_MS));
    return Promise.race([work, late]);
}

async function testHealth(): Promise<Outcome> {
    const start = performance.now();
    try {
        const answer = await fetch('/health', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
        return answer.ok
            ? { ok: true, text: strings.home.healthOk(since(start)) }
            : { ok: false, text: strings.home.healthStatus(answer.status) };
    } catch {
        return { ok: false, text: strings.home.healthFailed };
    }
}

function testSocket(client: Centrifuge): Promise<Outcome> {
    const start = performance.now();
    const result = new Promise<Outcome>((resolve) => {
        client.on('connected', () => resolve({ ok: true, text: strings.home.socketOk(since(start)) }));
        client.on('error', () => resolve({ ok: false, text: strings.home.socketFailed }));
        client.on('disconnected', (context) =>
            resolve({ ok: false, text: strings.home.socketRefused(context.reason, context.code) }),
        );
    });
    client.connect();
    return withTimeout(result, strings.home.socketTimeout);
}

function testRoundTrip(client: Centrifuge): Promise<Outcome> {
    const probe = String(Math.random());
    const subscription = client.newSubscription(CHANNEL);
    const result = new Promise<Outcome>((resolve) => {
        let start = 0;
        const refuse = (reason: string): void =>
            resolve({ ok: false, text: strings.home.roundTripRefused(reason) });
        subscription.on('subscribed', () => {
            start = performance.now();
            subscription
                .publish({ probe })
                .catch((error: { message?: string }) => refuse(error.message ?? ''));
        });
        subscription.on('publication', (publication) => {
            if ((publication.data as { probe?: unknown } | null)?.probe === probe) {
                resolve({ ok: true, text: strings.home.roundTripOk(since(start)) });
            }
        });
        subscription.on('unsubscribed', (context) => refuse(context.reason));
    });
    subscription.subscribe();
    return withTimeout(result, strings.home.roundTripTimeout);
}

export interface ServerInfo {
    version: string;
    uptimeSeconds: number;
    clients: number;
    users: number;
    channels: number;
}

/* POST /api/info (SERVER_API section 3.10), which outside dev mode wants a key: `info` is null then. */
export async function fetchInfo(): Promise<{ status: number; info: ServerInfo | null }> {
    try {
        const answer = await fetch('/api/info', {
            method: 'POST',
            body: '{}',
            signal: AbortSignal.timeout(ANSWER_MS),
        });
        if (!answer.ok) {
            return { status: answer.status, info: null };
        }
        const body = (await answer.json()) as { result?: { nodes?: Record<string, unknown>[] } };
        const nodes = body.result?.nodes ?? [];
        const sum = (field: string): number =>
            nodes.reduce((total, node) => total + (Number(node[field]) || 0), 0);
        return {
            status: answer.status,
            info:
                nodes.length === 0
                    ? null
                    : {
                          version: String(nodes[0]!.version ?? ''),
                          uptimeSeconds: Number(nodes[0]!.uptime) || 0,
                          clients: sum('num_clients'),
                          users: sum('num_users'),
                          channels: sum('num_channels'),
                      },
        };
    } catch {
        return { status: 0, info: null };
    }
}

async function testApi(): Promise<Outcome> {
    const start = performance.now();
    const { status } = await fetchInfo();
    if (status >= 200 && status < 300) {
        return { ok: true, text: strings.home.apiOk(since(start)) };
    }
    if (status === 401 || status === 403) {
        return { ok: true, text: strings.home.apiKey };
    }
    return { ok: false, text: status === 0 ? strings.home.apiFailed : strings.home.apiStatus(status) };
}

/* Runs all steps one after another; `onStep` hears of every change. */
export async function runSelfTest(onStep: (step: Step) => void): Promise<void> {
    const run = async (name: StepName, test: () => Promise<Outcome>): Promise<boolean> => {
        onStep({ name, state: 'running', text: '' });
        const { ok, text } = await test();
        onStep({ name, state: ok ? 'ok' : 'failed', text });
        return ok;
    };
    const client = new Centrifuge(socketAddress(), { name: 'starling-web' });
    await run('health', testHealth);
    if (await run('socket', () => testSocket(client))) {
        await run('roundTrip', () => testRoundTrip(client));
    } else {
        onStep({ name: 'roundTrip', state: 'skipped', text: strings.home.skipped });
    }
    await run('api', testApi);
    client.removeAllListeners();
    client.disconnect();
}
