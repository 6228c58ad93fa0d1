/* proxy.spec.ts - the event proxy: an application's backend decides by HTTP (SERVER_API section 6, THREATS W31). */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { backendFor, gate, type Answer } from './support/backend.ts';
import { Client, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { Server, freePort, serverFor, type Config } from './support/server.ts';
import { inSeconds, subscriptionToken, userToken } from './support/token.ts';

const CLIENT_ID = /^[0-9a-f-]{36}$/;

/* Longer than any test takes, so that what is slow is slow on purpose. */
const PATIENT = { timeout: '30s' };

function raw(write: (response: ServerResponse) => void): Answer {
    return { raw: write };
}

describe('the connect proxy', () => {
    const backend = backendFor();
    const server = serverFor(() => ({
        client: {
            proxy: {
                connect: {
                    enabled: true,
                    endpoint: backend.url('/connect'),
                    ...PATIENT,
                    http_headers: ['Cookie', 'X-Real-Ip', 'Authorization'],
                    emulated_headers: ['Authorization', 'X-App'],
                    http: {
                        static_headers: { 'X-Key': 'of the server' },
                        status_to_code_transforms: [
                            { status_code: 404, to_error: { code: 404, message: 'no such user', temporary: true } },
                            { status_code: 403, to_disconnect: { code: 4503, reason: 'banned' } },
                        ],
                    },
                },
            },
        },
        channel: {
            namespaces: [
                { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
                { name: 'cache', history_size: 1, history_ttl: '300s', force_recovery: true, force_recovery_mode: 'cache' },
            ],
        },
    }));

    async function refused(answer: Answer): Promise<Json> {
        backend.on('/connect', () => answer);
        const client = await Client.open(server);
        const reply = await client.expectReply(client.command('connect', {}));
        client.close();
        return reply.json.error as Json;
    }

    async function disconnected(answer: Answer, code: number): Promise<string> {
        backend.on('/connect', () => answer);
        const client = await Client.open(server);
        client.command('connect', {});
        return client.expectDisconnect(code);
    }

    test('is asked with what the client sent, and only with the headers that are listed', async () => {
        backend.on('/connect', () => ({ result: { user: '42' } }));
        const headers = { Cookie: 'session=abc', 'x-real-ip': '10.0.0.1', 'X-Secret': 'no', 'User-Agent': 'me' };
        const client = await Client.open(server, { headers });
        await client.connect({
            data: { a: 1e2, b: '</x>' },
            name: 'js',
            version: '1.2',
            subs: { 'open:a': { recover: true, epoch: 'e', offset: 1 }, 'open:b': {} },
            headers: { authorization: 'Bearer x', 'X-App': 'chat', 'X-Other': 'no' },
        });
        const { body, headers: got } = backend.last('/connect');
        assert.match(body.client as string, CLIENT_ID);
        assert.equal(body.client, client.id);
        assert.deepEqual(body, {
            client: client.id,
            transport: 'websocket',
            protocol: 'json',
            encoding: 'json',
            data: { a: 100, b: '</x>' },
            name: 'js',
            version: '1.2',
            channels: ['open:a', 'open:b'],
        });
        assert.equal(got['content-type'], 'application/json');
        assert.equal(got.cookie, 'session=abc');
        assert.equal(got['x-real-ip'], '10.0.0.1');
        assert.equal(got.authorization, 'Bearer x');
        assert.equal(got['x-app'], 'chat');
        assert.equal(got['x-key'], 'of the server');
        assert.equal(got['x-secret'], undefined);
        assert.equal(got['x-other'], undefined);
        assert.match(got['user-agent'] ?? '', /^starling\//);
        client.close();
    });

    test('a header that really came wins over an emulated one', async () => {
        backend.on('/connect', () => ({ result: {} }));
        const client = await Client.open(server, { headers: { Authorization: 'real' } });
        await client.connect({ headers: { Authorization: 'emulated' } });
        assert.equal(backend.last('/connect').headers.authorization, 'real');
        client.close();
    });

    test('an emulated header with a line break is left out', async () => {
        backend.on('/connect', () => ({ result: {} }));
        const client = await Client.open(server);
        await client.connect({ headers: { 'X-App': 'a\r\nX-Key: mine' } });
        const { headers } = backend.last('/connect');
        assert.equal(headers['x-app'], undefined);
        assert.equal(headers['x-key'], 'of the server');
        client.close();
    });

    test('the payload goes to the backend and comes back byte for byte', async () => {
        const data = '{"n":1E400,"big":12345678901234567890,"s":"\\u00e9\\/"}';
        backend.on('/connect', () => raw((response) => response.end(`{"result":{"user":"u","data":${data}}}`)));
        const client = await Client.open(server);
        client.sendText(`{"id":1,"connect":{"data":${data}}}`);
        const reply = await client.expectReply(1);
        assert.ok(reply.text.includes(`"data":${data}`), reply.text);
        assert.ok(backend.last('/connect').text.includes(`"data":${data}`), backend.last('/connect').text);
        client.close();
    });

    test('user, info, data, channels and subs of the result are the connection', async () => {
        backend.on('/connect', (request) =>
            request.body.name === 'watcher'
                ? { result: { user: 'watcher' } }
                : { result: { user: '42', info: { name: 'Ann' }, data: { hello: 1 }, channels: ['open:a', 'open:b'] } },
        );
        const watcher = await Client.open(server);
        await watcher.connect({ name: 'watcher' });
        await watcher.subscribe('open:a');
        const client = await Client.open(server);
        const result = await client.connect({});
        assert.deepEqual(result.data, { hello: 1 });
        assert.deepEqual(Object.keys(result.subs as Json).sort(), ['open:a', 'open:b']);
        assert.equal(result.expires, undefined);
        await client.publish('open:a', 'x');
        const publication = await watcher.expectPublication('open:a');
        assert.deepEqual(publication.info, { user: '42', client: client.id, conn_info: { name: 'Ann' } });
        await client.expectPublication('open:a');
        watcher.close();
        client.close();
    });

    test('subs carry data, and cache_recover sends the last value', async () => {
        await server.apiResult('publish', { channel: 'cache:v', data: { last: 1 } });
        backend.on('/connect', () => ({
            result: { user: '42', subs: { 'open:a': { data: { sub: 1 } }, 'cache:v': { cache_recover: true } } },
        }));
        const client = await Client.open(server);
        const { subs } = (await client.connect({})) as { subs: Json };
        assert.deepEqual(subs['open:a'].data, { sub: 1 });
        assert.deepEqual(subs['cache:v'].publications[0].data, { last: 1 });
        client.close();
    });

    test('b64 forms win and hold JSON', async () => {
        const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');
        backend.on('/connect', () => ({ result: { user: 'u', data: 1, b64data: b64({ x: 1 }) } }));
        const client = await Client.open(server);
        assert.deepEqual((await client.connect({})).data, { x: 1 });
        client.close();
    });

    test('an empty result is an anonymous user', async () => {
        backend.on('/connect', () => ({ result: {} }));
        const client = await Client.open(server);
        await client.connect({});
        client.close();
    });

    test('a client that must refresh itself is told the ttl', async () => {
        backend.on('/connect', () => ({ result: { user: 'u', expire_at: inSeconds(100) } }));
        const client = await Client.open(server);
        const result = await client.connect({});
        assert.equal(result.expires, true);
        assert.ok(result.ttl > 95 && result.ttl <= 100, JSON.stringify(result));
        client.close();
    });

    test('a token decides without the backend', async () => {
        const before = backend.requestsTo('/connect').length;
        const client = await Client.connect(server, userToken('42'));
        assert.equal(backend.requestsTo('/connect').length, before);
        client.close();
    });

    test('errors and disconnects of the backend are passed on', async () => {
        assert.deepEqual(await refused({ error: { code: 109, message: 'token expired' } }), {
            code: 109,
            message: 'token expired',
        });
        assert.deepEqual(await refused({ error: { code: 1000, message: 'später', temporary: true } }), {
            code: 1000,
            message: 'später',
            temporary: true,
        });
        assert.equal(await disconnected({ disconnect: { code: 4501, reason: 'go away' } }, 4501), 'go away');
        assert.equal(await disconnected({ result: { user: 'x' }, disconnect: { code: 4502, reason: 'no' } }, 4502), 'no');
    });

    test('an answer that says nothing is no authentication', async () => {
        await disconnected({}, 3501);
        await disconnected({ result: null }, 3501);
    });

    test('statuses are transformed as configured, others are a temporary error', async () => {
        const status = (code: number) => raw((response) => response.writeHead(code).end('{"result":{"user":"x"}}'));
        assert.deepEqual(await refused(status(404)), { code: 404, message: 'no such user', temporary: true });
        assert.equal(await disconnected(status(403), 4503), 'banned');
        for (const code of [201, 204, 400, 500, 503]) {
            assert.deepEqual(await refused(status(code)), {
                code: 100,
                message: 'internal server error',
                temporary: true,
            });
        }
    });

    test('a redirect is not followed', async () => {
        backend.on('/elsewhere', () => ({ result: { user: 'x' } }));
        const location = backend.url('/elsewhere');
        for (const code of [301, 302, 307, 308]) {
            const error = await refused(raw((r) => r.writeHead(code, { Location: location }).end()));
            assert.equal(error.code, 100);
        }
        assert.equal(backend.requestsTo('/elsewhere').length, 0);
    });

    test('W31: malformed answers never admit', async () => {
        const bodies = [
            '',
            'ok',
            '[]',
            'null',
            '{"result":{"user":"x"}',
            '{"result":{"user":"x"}} x',
            '{"result":[]}',
            '{"result":true}',
            '{"result":{"user":7}}',
            '{"result":{"user":"x","expire_at":"soon"}}',
            '{"result":{"user":"x","channels":"a"}}',
            '{"result":{"user":"x","meta":[]}}',
            '{"result":{"user":"x","b64data":"e30"}}',
            '{"result":{"user":"x","user":"y"}}',
            '{"result":{"user":"x"},"result":{"user":"y"}}',
            '{"error":{"message":"no code"}}',
            '{"error":{"code":2000}}',
            '{"disconnect":{"code":1000}}',
            '{"disconnect":{"code":5000,"reason":"x"}}',
            `{"result":{"user":"x","data":${'['.repeat(40)}${']'.repeat(40)}}}`,
        ];
        for (const body of bodies) {
            const error = await refused(raw((response) => response.end(body)));
            assert.equal(error?.code, 100, body);
            assert.equal(error.temporary, true, body);
        }
    });

    test('W31: an answer over 64 KiB never admits', async () => {
        const answer = (bytes: number) => {
            const head = '{"result":{"user":"x","data":"';
            return `${head}${'y'.repeat(bytes - head.length - 3)}"}}`;
        };
        assert.equal((await refused(raw((response) => response.end(answer(65537))))).code, 100);
        assert.equal((await refused(raw((response) => void response.write(answer(65537))))).code, 100);
        backend.on('/connect', () => raw((response) => response.end(answer(65536))));
        const client = await Client.open(server);
        await client.connect({});
        client.close();
    });

    test('W31: a backend that closes early never admits', async () => {
        const cut = '{"result":{"user":"x"}}';
        assert.equal((await refused(raw((response) => response.destroy()))).code, 100);
        const error = await refused(
            raw((response) => {
                response.writeHead(200, { 'Content-Length': cut.length + 1 });
                response.write(cut, () => response.destroy());
            }),
        );
        assert.equal(error.code, 100);
    });

    test('commands behind a pending connect wait and keep their order', async () => {
        const { opened, open } = gate();
        backend.on('/connect', async () => {
            await opened;
            return { result: { user: '42' } };
        });
        const client = await Client.open(server);
        const count = backend.requestsTo('/connect').length;
        client.batch([
            { id: 1, connect: {} },
            { id: 2, subscribe: { channel: 'open:order' } },
            { id: 3, publish: { channel: 'open:order', data: 1 } },
        ]);
        client.sendText('{"id":4,"publish":{"channel":"open:order","data":2}}');
        await backend.expectRequests('/connect', count + 1);
        open();
        for (const id of [1, 2]) {
            assert.equal((await client.nextMessage()).json.id, id);
        }
        const rest = [];
        while (rest.length < 4) {
            const { json } = await client.nextMessage();
            assert.equal(json.error, undefined);
            rest.push(json.id ?? json.push.pub.data);
        }
        assert.deepEqual(rest.filter((entry) => entry > 2), [3, 4]);
        assert.deepEqual(rest.filter((entry) => entry <= 2), [1, 2]);
        client.close();
    });

    test('what came with a refused connect is dropped, and the next command is a bad request', async () => {
        backend.on('/connect', () => ({ error: { code: 109, message: 'token expired' } }));
        const client = await Client.open(server);
        client.batch([{ id: 1, connect: {} }, { id: 2, subscribe: { channel: 'open:x' } }]);
        assert.equal((await client.expectReply(1)).json.error.code, 109);
        client.command('subscribe', { channel: 'open:x' });
        await client.expectDisconnect(3501);
    });

    test('a client that goes while its connect is pending leaves nothing behind', async () => {
        const { opened, open } = gate();
        const count = backend.requestsTo('/connect').length;
        backend.on('/connect', async () => {
            await opened;
            return { result: { user: 'ghost', channels: ['open:ghost'] } };
        });
        const client = await Client.open(server);
        client.command('connect', {});
        await backend.expectRequests('/connect', count + 1);
        client.close();
        open();
        await eventually('the connection is gone', async () => (await server.metric('starling_connections')) <= 1);
        await eventually('its channel is gone', async () => {
            const { channels } = (await server.apiResult('channels', {})) as Json;
            return channels['open:ghost'] === undefined;
        });
    });

    test('a slow backend slows nobody else', async () => {
        const { opened, open } = gate();
        const count = backend.requestsTo('/connect').length;
        const other = await Client.connect(server, userToken('quick'));
        await other.subscribe('open:quick');
        backend.on('/connect', async () => {
            await opened;
            return { result: { user: '42' } };
        });
        const waiting = await Promise.all(Array.from({ length: 50 }, () => Client.open(server)));
        const ids = waiting.map((client) => client.command('connect', {}));
        await backend.expectRequests('/connect', count + 50);
        for (let i = 0; i < 20; i++) {
            await other.publish('open:quick', i);
            assert.equal((await other.expectPublication('open:quick')).data, i);
        }
        open();
        await Promise.all(waiting.map((client, i) => client.expectReply(ids[i] as number)));
        waiting.forEach((client) => client.close());
        other.close();
    });

    test('connections to the backend are kept and used again', async () => {
        backend.on('/connect', () => ({ result: { user: '42' } }));
        const before = backend.connectionCount;
        for (let i = 0; i < 20; i++) {
            const client = await Client.open(server);
            await client.connect({});
            client.close();
        }
        assert.ok(backend.connectionCount - before <= 4, `${backend.connectionCount - before} connections`);
    });
});

describe('a backend that does not answer', () => {
    const backend = backendFor();

    async function withServer(connect: Config, body: (server: Server) => Promise<void>) {
        const server = await Server.start({
            config: {
                http_server: { workers: 1 },
                client: { proxy: { connect: { enabled: true, endpoint: backend.url('/connect'), ...connect } } },
            },
        });
        try {
            await body(server);
        } finally {
            await server.stop();
        }
    }

    async function connectError(server: Server): Promise<Json> {
        const client = await Client.open(server);
        const reply = await client.expectReply(client.command('connect', {}));
        client.close();
        return reply.json.error as Json;
    }

    test('W31: nobody listens: a temporary error at once', async () => {
        const port = await freePort();
        await withServer({ endpoint: `http://127.0.0.1:${port}/` }, async (server) => {
            assert.deepEqual(await connectError(server), {
                code: 100,
                message: 'internal server error',
                temporary: true,
            });
            assert.equal((await server.expectLog('proxy_failed')).problem, 'unreachable');
        });
    });

    test('W31: silence: a temporary error when the time is up', async () => {
        const { opened, open } = gate();
        backend.on('/connect', async () => {
            await opened;
            return { result: { user: 'late' } };
        });
        await withServer({ timeout: '100ms' }, async (server) => {
            assert.equal((await connectError(server)).code, 100);
            assert.equal((await server.expectLog('proxy_failed')).problem, 'timeout');
        });
        open();
    });

    test('W31: a body that never ends: a temporary error when the time is up', async () => {
        backend.on('/connect', () => raw((response) => void response.write('{"result":')));
        await withServer({ timeout: '100ms' }, async (server) => {
            assert.equal((await connectError(server)).code, 100);
        });
    });

    test('a name that does not exist: a temporary error', async () => {
        await withServer({ endpoint: 'http://does-not-exist.invalid/' }, async (server) => {
            assert.equal((await connectError(server)).code, 100);
        });
    });

    test('after ten failures it is left alone, and asked again a second later', async () => {
        backend.on('/connect', () => raw((response) => response.destroy()));
        await withServer({}, async (server) => {
            while (server.find('backend_given_up') === undefined) {
                assert.equal((await connectError(server)).code, 100);
            }
            const asked = backend.requestsTo('/connect').length;
            assert.equal((await connectError(server)).code, 100);
            assert.equal(backend.requestsTo('/connect').length, asked);
            backend.on('/connect', () => ({ result: { user: '42' } }));
            await eventually('it is asked again', async () => (await connectError(server)) === undefined);
            await server.expectLog('backend_answers_again');
        });
    });

    test('a server stops while questions are open', async () => {
        const { opened, open } = gate();
        backend.on('/connect', async () => {
            await opened;
            return { result: {} };
        });
        const count = backend.requestsTo('/connect').length;
        await withServer(PATIENT, async (server) => {
            const clients = await Promise.all([1, 2, 3].map(() => Client.open(server)));
            clients.forEach((client) => client.command('connect', {}));
            await backend.expectRequests('/connect', count + 3);
        });
        open();
    });
});

describe('the refresh proxy', () => {
    const backend = backendFor();
    const server = serverFor(() => ({
        client: {
            expired_close_delay: '25s',
            proxy: {
                connect: { enabled: true, endpoint: backend.url('/connect'), ...PATIENT },
                refresh: { enabled: true, endpoint: backend.url('/refresh'), ...PATIENT, include_connection_meta: true },
            },
        },
    }));

    /* A connection that expires within two seconds. */
    async function shortLived(user: string): Promise<Client> {
        backend.on('/connect', () => ({
            result: { user, meta: { plan: 'free' }, expire_at: inSeconds(2), info: { v: 1 } },
        }));
        const client = await Client.open(server);
        const result = await client.connect({});
        assert.equal(result.expires, undefined, 'the client need not refresh');
        return client;
    }

    test('is asked when the connection expires, and may prolong it', async () => {
        backend.on('/refresh', () => ({ result: { expire_at: inSeconds(100), info: { v: 2 } } }));
        const client = await shortLived('keeper');
        await backend.expectRequests('/refresh', 1);
        assert.deepEqual(backend.last('/refresh').body, {
            client: client.id,
            transport: 'websocket',
            protocol: 'json',
            encoding: 'json',
            user: 'keeper',
            meta: { plan: 'free' },
        });
        await client.subscribe('open:refreshed');
        await client.publish('open:refreshed', 1);
        assert.deepEqual((await client.expectPublication('open:refreshed')).info.conn_info, { v: 2 });
        client.close();
    });

    test('what it calls expired is closed, and so is what it does not answer', async () => {
        const answers: Answer[] = [{ result: { expired: true } }, {}, { result: { expire_at: 1 } }];
        for (const answer of answers) {
            backend.on('/refresh', () => answer);
            await (await shortLived('gone')).expectDisconnect(3005);
        }
        backend.on('/refresh', () => ({ disconnect: { code: 4500, reason: 'bye' } }));
        assert.equal(await (await shortLived('gone')).expectDisconnect(4500), 'bye');
    });

    test('a failure gives the connection more time', async () => {
        const count = backend.requestsTo('/refresh').length;
        backend.on('/refresh', () => raw((response) => response.writeHead(500).end()));
        const client = await shortLived('lucky');
        await backend.expectRequests('/refresh', count + 1);
        await server.expectLog('proxy_failed');
        await client.subscribe('open:still-here');
        client.close();
    });
});

describe('the subscribe proxy', () => {
    const backend = backendFor();
    const server = serverFor(() => ({
        client: { proxy: { connect: { enabled: true, endpoint: backend.url('/connect') } } },
        proxies: [{ name: 'other', endpoint: backend.url('/other') }],
        channel: {
            proxy: {
                subscribe: { endpoint: backend.url('/subscribe'), ...PATIENT },
                sub_refresh: { endpoint: backend.url('/sub_refresh'), ...PATIENT },
            },
            namespaces: [
                {
                    name: 'proxied',
                    subscribe_proxy_enabled: true,
                    sub_refresh_proxy_enabled: true,
                    allow_user_limited_channels: true,
                    presence: true,
                    allow_presence_for_subscriber: true,
                    allow_presence_for_anonymous: true,
                },
                { name: 'other', subscribe_proxy_enabled: true, subscribe_proxy_name: 'other' },
                { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
            ],
        },
    }));

    test('is asked with channel and data, and its result is the subscription', async () => {
        backend.on('/subscribe', () => ({ result: { info: { role: 'admin' }, data: { welcome: 1 } } }));
        const client = await Client.connect(server, userToken('42', { info: { name: 'Ann' } }));
        const result = await client.subscribe('proxied:a', { data: { key: 'x' } });
        assert.deepEqual(result.data, { welcome: 1 });
        assert.deepEqual(backend.last('/subscribe').body, {
            client: client.id,
            transport: 'websocket',
            protocol: 'json',
            encoding: 'json',
            user: '42',
            channel: 'proxied:a',
            data: { key: 'x' },
        });
        const { presence } = await client.call('presence', { channel: 'proxied:a' });
        assert.deepEqual(presence[client.id].chan_info, { role: 'admin' });
        assert.deepEqual(presence[client.id].conn_info, { name: 'Ann' });
        client.close();
    });

    test('a named proxy is asked where the namespace says so', async () => {
        backend.on('/other', () => ({ result: {} }));
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('other:a');
        assert.equal(backend.last('/other').body.channel, 'other:a');
        client.close();
    });

    test('errors and disconnects are passed on, and anything else is a temporary error', async () => {
        const client = await Client.connect(server, userToken('42'));
        backend.on('/subscribe', () => ({ error: { code: 403, message: 'not for you' } }));
        assert.equal((await client.expectError('subscribe', { channel: 'proxied:a' }, 403)).message, 'not for you');
        for (const answer of [{}, { result: 7 }, { result: { expire_at: 'x' } }]) {
            backend.on('/subscribe', () => answer);
            await client.expectError('subscribe', { channel: 'proxied:a' }, 100);
        }
        backend.on('/subscribe', () => ({ result: { expire_at: 1 } }));
        await client.expectError('subscribe', { channel: 'proxied:a' }, 110);
        backend.on('/subscribe', () => ({ disconnect: { code: 4509, reason: 'out' } }));
        client.command('subscribe', { channel: 'proxied:a' });
        assert.equal(await client.expectDisconnect(4509), 'out');
    });

    test('is not asked where a token, the private prefix or the list of users decides', async () => {
        backend.on('/subscribe', () => ({ result: {} }));
        const before = backend.requests.length;
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('proxied:t', { token: subscriptionToken('42', 'proxied:t') });
        await client.expectError('subscribe', { channel: '$proxied:p' }, 103);
        await client.subscribe('proxied:dialog#41,42');
        await client.expectError('subscribe', { channel: 'proxied:dialog#41,43' }, 103);
        assert.equal(backend.requests.length, before);
        client.close();
    });

    test('is not asked for what could not be subscribed anyway', async () => {
        backend.on('/subscribe', () => ({ result: {} }));
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('proxied:once');
        const before = backend.requests.length;
        await client.expectError('subscribe', { channel: 'proxied:once' }, 105);
        await client.expectError('subscribe', { channel: 'nowhere:x' }, 102);
        assert.equal(backend.requests.length, before);
        client.close();
    });

    test('later commands of the client wait, those of others do not', async () => {
        const { opened, open } = gate();
        const count = backend.requestsTo('/subscribe').length;
        backend.on('/subscribe', async () => {
            await opened;
            return { result: {} };
        });
        const [client, other] = await Promise.all([1, 2].map((n) => Client.connect(server, userToken(`${n}`))));
        assert.ok(client !== undefined && other !== undefined);
        const first = client.command('subscribe', { channel: 'proxied:slow' });
        const second = client.command('unsubscribe', { channel: 'proxied:slow' });
        await backend.expectRequests('/subscribe', count + 1);
        await other.subscribe('open:other');
        open();
        assert.equal((await client.nextMessage()).json.id, first);
        assert.equal((await client.nextMessage()).json.id, second);
        client.close();
        other.close();
    });

    test('the server may subscribe the client while the proxy is thinking', async () => {
        const { opened, open } = gate();
        const count = backend.requestsTo('/subscribe').length;
        backend.on('/subscribe', async () => {
            await opened;
            return { result: {} };
        });
        const client = await Client.connect(server, userToken('racer'));
        const id = client.command('subscribe', { channel: 'proxied:race' });
        await backend.expectRequests('/subscribe', count + 1);
        await server.apiResult('subscribe', { user: 'racer', channel: 'proxied:race' });
        await client.expectPush('subscribe', 'proxied:race');
        open();
        assert.equal((await client.expectReply(id)).json.error.code, 105);
        client.close();
    });

    test('sub_refresh prolongs, and ends what has expired', async () => {
        let count = 0;
        backend.on('/subscribe', () => ({ result: { expire_at: inSeconds(2) } }));
        backend.on('/sub_refresh', () =>
            ++count === 1 ? { result: { expire_at: inSeconds(2) } } : { result: { expired: true } },
        );
        const client = await Client.connect(server, userToken('42'));
        const result = await client.subscribe('proxied:short');
        assert.equal(result.expires, undefined, 'the client need not refresh');
        const push = await client.expectPush('unsubscribe', 'proxied:short', 15000);
        assert.equal(push.code, 2501);
        assert.equal(count, 2);
        assert.deepEqual(backend.last('/sub_refresh').body, {
            client: client.id,
            transport: 'websocket',
            protocol: 'json',
            encoding: 'json',
            user: '42',
            channel: 'proxied:short',
        });
        client.close();
    });

    test('a client must not refresh what the server refreshes', async () => {
        backend.on('/subscribe', () => ({ result: { expire_at: inSeconds(100) } }));
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('proxied:mine');
        client.command('sub_refresh', { channel: 'proxied:mine', token: subscriptionToken('42', 'proxied:mine') });
        await client.expectDisconnect(3501);
    });
});

describe('the publish proxy', () => {
    const backend = backendFor();
    const server = serverFor(() => ({
        channel: {
            proxy: { publish: { endpoint: backend.url('/publish'), ...PATIENT } },
            namespaces: [
                {
                    name: 'proxied',
                    allow_subscribe_for_client: true,
                    publish_proxy_enabled: true,
                    history_size: 10,
                    history_ttl: '300s',
                    allow_history_for_client: true,
                },
                {
                    name: 'objects',
                    allow_subscribe_for_client: true,
                    publish_proxy_enabled: true,
                    publication_data_format: 'json_object',
                },
            ],
        },
    }));

    async function subscribed(channel: string): Promise<Client> {
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe(channel);
        return client;
    }

    test('an empty result publishes what the client sent, byte for byte', async () => {
        const data = '{"n":1E400,"big":12345678901234567890}';
        backend.on('/publish', () => ({ result: {} }));
        const client = await subscribed('proxied:a');
        client.sendText(`{"id":77,"publish":{"channel":"proxied:a","data":${data}}}`);
        await client.expectReply(77);
        assert.ok((await client.expectPushMessage('pub', 'proxied:a')).text.includes(`"data":${data}`));
        const { text } = backend.last('/publish');
        assert.ok(text.includes(`"user":"42","channel":"proxied:a","data":${data}`), text);
        client.close();
    });

    test('replacement data, tags and skip_history of the result are what is published', async () => {
        backend.on('/publish', () => ({ result: { data: { clean: true }, tags: { k: 'v' }, skip_history: true } }));
        const client = await subscribed('proxied:b');
        await client.publish('proxied:b', { dirty: true });
        const publication = await client.expectPublication('proxied:b');
        assert.deepEqual(publication.data, { clean: true });
        assert.deepEqual(publication.tags, { k: 'v' });
        assert.equal(publication.offset, undefined);
        assert.equal(publication.info.user, '42');
        assert.equal((await client.call('history', { channel: 'proxied:b', limit: -1 })).publications?.length ?? 0, 0);
        client.close();
    });

    test('an idempotency key of the result publishes once', async () => {
        backend.on('/publish', () => ({ result: { idempotency_key: 'k' } }));
        const client = await subscribed('proxied:once');
        await client.publish('proxied:once', 1);
        await client.publish('proxied:once', 2);
        const { publications } = await client.call('history', { channel: 'proxied:once', limit: -1 });
        assert.deepEqual((publications as Json[]).map((p) => p.data), [1]);
        client.close();
    });

    test('refusals are passed on and nothing is published', async () => {
        const client = await subscribed('proxied:c');
        backend.on('/publish', () => ({ error: { code: 400, message: 'rude' } }));
        assert.equal((await client.expectError('publish', { channel: 'proxied:c', data: 1 }, 400)).message, 'rude');
        for (const answer of [{}, { result: { tags: { k: 1 } } }, { result: { data: 1, b64data: 'x' } }]) {
            backend.on('/publish', () => answer);
            await client.expectError('publish', { channel: 'proxied:c', data: 1 }, 100);
        }
        await client.expectError('history', { channel: 'proxied:c', limit: -2 }, 107);
        assert.equal((await client.call('history', { channel: 'proxied:c', limit: -1 })).publications?.length ?? 0, 0);
        backend.on('/publish', () => ({ disconnect: { code: 4400, reason: 'spam' } }));
        client.command('publish', { channel: 'proxied:c', data: 1 });
        await client.expectDisconnect(4400);
    });

    test('data must be what the namespace asks for, before and after the proxy', async () => {
        const client = await subscribed('objects:a');
        const before = backend.requests.length;
        await client.expectError('publish', { channel: 'objects:a', data: 1 }, 107);
        assert.equal(backend.requests.length, before);
        backend.on('/publish', () => ({ result: { data: 1 } }));
        await client.expectError('publish', { channel: 'objects:a', data: {} }, 100);
        client.close();
    });
});

describe('the RPC proxy', () => {
    const backend = backendFor();
    const server = serverFor(() => ({
        proxies: [{ name: 'math', endpoint: backend.url('/math') }],
        rpc: {
            proxy: { endpoint: backend.url('/rpc'), ...PATIENT },
            without_namespace: { proxy_enabled: true },
            namespaces: [{ name: 'math', proxy_enabled: true, proxy_name: 'math' }, { name: 'off' }],
            ping: { enabled: true },
        },
    }));

    test('method and data go out, data comes back byte for byte', async () => {
        const data = '{"n":1E400,"list":[1, 2]}';
        backend.on('/rpc', () => raw((response) => response.end(`{"result":{"data":${data}}}`)));
        const client = await Client.connect(server, userToken('42'));
        client.sendText(`{"id":9,"rpc":{"method":"sum","data":${data}}}`);
        assert.equal((await client.expectReply(9)).text, `{"id":9,"rpc":{"data":${data}}}`);
        const { body, text } = backend.last('/rpc');
        assert.equal(body.method, 'sum');
        assert.equal(body.user, '42');
        assert.ok(text.includes(`"data":${data}`));
        client.close();
    });

    test('the namespace of the method picks the proxy; unknown is 104, switched off is 108', async () => {
        backend.on('/math', () => ({ result: { data: 3 } }));
        const client = await Client.connect(server, userToken('42'));
        assert.equal((await client.call('rpc', { method: 'math:sum', data: [1, 2] })).data, 3);
        assert.equal(backend.last('/math').body.method, 'math:sum');
        await client.expectError('rpc', { method: 'music:play' }, 104);
        await client.expectError('rpc', { method: 'off:x' }, 108);
        client.close();
    });

    test('errors, disconnects and failures', async () => {
        const client = await Client.connect(server, userToken('42'));
        backend.on('/rpc', () => ({ error: { code: 404, message: 'no such thing' } }));
        await client.expectError('rpc', { method: 'x' }, 404);
        backend.on('/rpc', () => raw((response) => response.end('no')));
        await client.expectError('rpc', { method: 'x' }, 100);
        backend.on('/rpc', () => ({ result: {} }));
        assert.deepEqual(await client.call('rpc', { method: 'x' }), {});
        backend.on('/rpc', () => ({ disconnect: { code: 4000, reason: '' } }));
        client.command('rpc', { method: 'x' });
        await client.expectDisconnect(4000);
    });

    test('the built-in ping answers without a backend', async () => {
        const before = backend.requests.length;
        const client = await Client.connect(server, userToken('42'));
        assert.deepEqual(await client.call('rpc', { method: 'ping' }), {});
        assert.equal(backend.requests.length, before);
        client.close();
    });

    test('a method with escapes and a long reply to many clients', async () => {
        backend.on('/rpc', (request) => ({ result: { data: `${request.body.method}${'é'.repeat(1000)}` } }));
        const clients = await Promise.all(Array.from({ length: 20 }, () => Client.connect(server, userToken('42'))));
        const method = 'a"b\n\u{1F600}';
        const replies = await Promise.all(clients.map((client) => client.call('rpc', { method })));
        replies.forEach((reply) => assert.equal(reply.data, `${method}${'é'.repeat(1000)}`));
        clients.forEach((client) => client.close());
    });

    test('a client that waits for an answer is not closed for pongs it cannot send', async () => {
        const { opened, open } = gate();
        const patient = await Server.start({
            config: {
                client: { ping_interval: '2s', pong_timeout: '1s' },
                rpc: { proxy: { endpoint: backend.url('/rpc'), ...PATIENT }, without_namespace: { proxy_enabled: true } },
            },
        });
        backend.on('/rpc', async () => {
            await opened;
            return { result: {} };
        });
        try {
            const client = await Client.connect(patient, userToken('42'));
            const id = client.command('rpc', { method: 'slow' });
            await client.expectPing(10000);
            await client.expectPing(10000);
            open();
            await client.expectReply(id);
            await client.publish('open:a', 1); /* both pongs were expected */
            client.close();
        } finally {
            open();
            await patient.stop();
        }
    });
});

describe('without RPC in the configuration', () => {
    const server = serverFor();

    test('every method is not available', async () => {
        const client = await Client.connect(server, userToken('42'));
        await client.expectError('rpc', { method: 'x' }, 108);
        await client.expectError('rpc', { method: 'x:y' }, 108);
        client.close();
    });
});
