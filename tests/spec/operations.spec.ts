/* operations.spec.ts - what an operator sees: health, metrics, log, shutdown (SERVER_API 10, 11; THREATS S11). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, connectMany } from './support/client.ts';
import { SOON_MS, eventually, pause, timed } from './support/deadline.ts';
import { request } from './support/http.ts';
import { RawSocket } from './support/raw_socket.ts';
import { Server, TOKEN_SECRET, forEachWorkerCount, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';
import { OPCODE, WebSocketClient } from './support/websocket.ts';

describe('health', () => {
    const server = serverFor({ init: { enabled: true } });

    test('is 200 {} while the process serves', async () => {
        for (const path of ['/health', '/health/live']) {
            const response = await request(server.port, path);
            assert.deepEqual([response.status, response.body], [200, '{}']);
            assert.match(response.headers['content-type'] ?? '', /^application\/json/);
        }
        assert.equal((await request(server.port, '/health/x')).status, 404);
        assert.equal((await request(server.port, '/health', { method: 'POST' })).status, 405);
    });

    test('readiness says why', async () => {
        const response = await request(server.port, '/health/ready');
        assert.equal(response.status, 200);
        const body = JSON.parse(response.body) as { ready: boolean; checks: Record<string, { ok: boolean }> };
        assert.equal(body.ready, true);
        assert.ok(Object.values(body.checks).every((check) => check.ok));
    });

    test('the init endpoint answers {} to clients that warm up', async () => {
        const response = await request(server.port, '/connection/init');
        assert.deepEqual([response.status, response.body], [200, '{}']);
    });
});

describe('metrics', () => {
    const server = serverFor();

    test('are in the Prometheus text format', async () => {
        const response = await request(server.port, '/metrics');
        assert.equal(response.status, 200);
        assert.match(response.headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
        const typed = new Set<string>();
        const helped = new Set<string>();
        const seen = new Set<string>();
        for (const line of response.body.trimEnd().split('\n')) {
            const comment = /^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$/.exec(line);
            if (comment !== null) {
                const [, kind, name, rest] = comment as unknown as [string, string, string, string];
                const set = kind === 'TYPE' ? typed : helped;
                assert.ok(!set.has(name), `${kind} of ${name} twice`);
                set.add(name);
                assert.ok(kind === 'HELP' || /^(counter|gauge|histogram|summary|untyped)$/.test(rest), line);
                continue;
            }
            const sample = /^([a-z_][a-z0-9_]*)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? (-?[0-9.e+-]+|\+Inf|NaN)$/.exec(line);
            assert.ok(sample, `not a sample: ${JSON.stringify(line)}`);
            const base = (sample[1] as string).replace(/_(bucket|sum|count)$/, '');
            assert.ok(typed.has(sample[1] as string) || typed.has(base), `no TYPE before ${line}`);
            const series = `${sample[1]}${sample[2] ?? ''}`;
            assert.ok(!seen.has(series), `${series} twice`);
            seen.add(series);
            assert.ok((sample[1] as string).startsWith('starling_') || (sample[1] as string).startsWith('process_'), line);
        }
        assert.deepEqual([...typed].sort(), [...helped].sort());
    });

    test('count clients and subscriptions on all workers', async () => {
        const clients = await connectMany(server, 8, userToken('42'));
        await Promise.all(clients.map((client) => client.subscribe('open:a')));
        assert.equal(await server.metric('starling_node_num_clients'), 8);
        assert.equal(await server.metric('starling_node_num_subscriptions'), 8);
        clients.forEach((client) => client.close());
        await eventually('gauges go down', async () => (await server.metric('starling_node_num_clients')) === 0);
        await eventually('subscriptions too', async () => (await server.metric('starling_node_num_subscriptions')) === 0);
    });

    test('count what is refused', async () => {
        const before = await server.metric('starling_websocket_errors_total');
        const ws = await WebSocketClient.open(server.port);
        ws.send(OPCODE.TEXT, 'x', { mask: null });
        await ws.expectClose(1002);
        assert.equal(await server.metric('starling_websocket_errors_total'), before + 1);
    });
});

describe('the log', () => {
    const server = serverFor({ log: { level: 'debug' } });

    test('P08: is one JSON object a line, without secrets, with what clients sent escaped', async () => {
        const token = userToken('evil\nuser"\u001b[31m');
        const client = await Client.connect(server, token);
        await client.expectError('subscribe', { channel: 'nope:\u0007"x' }, 107);
        await client.expectError('subscribe', { channel: 'closed:a' }, 103);
        await client.publish('open:a', { secret: 'swordfish' });
        await request(server.port, '/api/info?api_key=sesame%0a', { method: 'POST', body: '{}', headers: { Cookie: 'cookie-secret' } });
        const wrong = await Client.open(server);
        wrong.command('connect', { token: `${token}x` });
        await wrong.expectDisconnect(3500);
        client.close();
        const line = await server.expectLog('subscribe_refused');
        assert.equal(line.channel, 'nope:\u0007"x');
        const text = JSON.stringify(server.log);
        for (const secret of [token, token.split('.')[2] as string, TOKEN_SECRET, 'swordfish', 'sesame', 'cookie-secret']) {
            assert.ok(!text.includes(secret), secret);
        }
        assert.ok(server.log.every((entry) => typeof entry.event === 'string' && typeof entry.level === 'string'));
    });
});

forEachWorkerCount('SIGTERM', (workers) => {
    const start = (drain: string) =>
        Server.start({ config: { http_server: { workers }, shutdown: { drain, timeout: '10s' } } });

    test('S11: closes every client with 3001, spread over the drain time, and ends with exit code 0', async () => {
        const server = await start('2s');
        const clients = await connectMany(server, 20, userToken('42'));
        const times: number[] = [];
        const began = Date.now();
        server.signal('SIGTERM');
        await Promise.all(
            clients.map(async (client) => {
                await client.expectDisconnect(3001, 2000 + SOON_MS);
                times.push(Date.now() - began);
            }),
        );
        await server.expectExit();
        const spread = Math.max(...times) - Math.min(...times);
        assert.ok(spread > 500, `all within ${spread} ms`);
        assert.ok(Math.max(...times) < 2000 + SOON_MS / 2, `the last after ${Math.max(...times)} ms`);
        assert.ok(server.find('stopped'));
    });

    test('S11: what a client was sent before it is closed still arrives', async () => {
        const server = await start('300ms');
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('open:last');
        client.batch(Array.from({ length: 100 }, (_, n) => ({ id: 100 + n, publish: { channel: 'open:last', data: n } })));
        await client.expectReply(100);
        server.signal('SIGTERM');
        for (let n = 0; n < 100; n++) {
            assert.equal((await client.expectPublication('open:last')).data, n);
        }
        await client.expectDisconnect(3001);
        await server.expectExit();
    });

    test('S11: new connections are refused while it drains, and readiness is gone', async () => {
        const server = await start('3s');
        const client = await Client.connect(server, userToken('42'));
        const kept = await RawSocket.open(server.port);
        server.signal('SIGTERM');
        await server.expectLog('stopping');
        await eventually('the listener is closed', async () => {
            const socket = await RawSocket.open(server.port).catch(() => null);
            if (socket === null) {
                return true;
            }
            socket.write('GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
            const text = await socket.readToEnd().catch(() => '');
            socket.close();
            return text === '' || text.startsWith('HTTP/1.1 503');
        });
        kept.close();
        await client.expectDisconnect(3001);
        await server.expectExit();
    });

    test('S11: a second signal ends it at once', async () => {
        const server = await start('8s');
        const clients = await connectMany(server, 5, userToken('42'));
        server.signal('SIGTERM');
        await server.expectLog('stopping');
        await pause(50);
        const ms = await timed(async () => {
            server.signal('SIGTERM');
            await server.expectExit();
        });
        assert.ok(ms < 2000 + SOON_MS / 5, `${ms} ms`);
        clients.forEach((client) => client.close());
    });

    test('without clients it ends at once', async () => {
        const server = await start('8s');
        const ms = await timed(() => server.stop());
        assert.ok(ms < 1500 + SOON_MS / 5, `${ms} ms`);
    });

    test('SIGINT is the same', async () => {
        const server = await start('0s');
        const client = await Client.connect(server, userToken('42'));
        server.signal('SIGINT');
        await client.expectDisconnect(3001);
        await server.expectExit();
    });
});

describe('SIGSTOP for longer than a pong may take', () => {
    const server = serverFor({ client: { ping_interval: '2s', pong_timeout: '1s' } });

    test('S13: costs no client its connection', async () => {
        const clients = await connectMany(server, 6, userToken('42'));
        await Promise.all(clients.map((client) => client.expectPing()));
        server.signal('SIGSTOP');
        await pause(3500);
        server.signal('SIGCONT');
        await Promise.all(clients.map((client) => client.expectPing()));
        for (const client of clients) {
            await client.publish('open:a', 1);
            client.close();
        }
    });
});
