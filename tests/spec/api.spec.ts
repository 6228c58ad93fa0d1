/* api.spec.ts - the server API over HTTP, and what clients on any worker see of it (SERVER_API sections 1 to 4). */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Client, connectMany, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { request } from './support/http.ts';
import { API_KEY, forEachWorkerCount, freePort, serverFor } from './support/server.ts';
import { inSeconds, userToken } from './support/token.ts';

const NAMESPACES = [
    { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
    {
        name: 'full',
        allow_subscribe_for_client: true,
        allow_publish_for_client: true,
        presence: true,
        join_leave: true,
        force_push_join_leave: true,
        history_size: 10,
        history_ttl: '300s',
        force_recovery: true,
    },
    { name: 'object', allow_subscribe_for_client: true, publication_data_format: 'json_object' },
];

forEachWorkerCount('the server API', (workers) => {
    const server = serverFor({ http_server: { workers }, channel: { namespaces: NAMESPACES } });
    let channelCount = 0;
    const fresh = (namespace: string) => `${namespace}:${++channelCount}`;
    const connect = (user = '42') => Client.connect(server, userToken(user));

    async function expectError(method: string, body: unknown, code: number) {
        const answer = await server.api(method, body);
        assert.equal((answer.error as Json)?.code, code, `${method} ${JSON.stringify(body)} → ${JSON.stringify(answer)}`);
        return answer.error as Json;
    }

    /* Clients of one user on all workers. */
    const crowd = (user: string) => connectMany(server, 8, userToken(user));
    const closeAll = (clients: Client[]) => clients.forEach((client) => client.close());

    /* ---- publish, broadcast ---- */

    test('publish reaches subscribers on every worker, without an info', async () => {
        const channel = fresh('open');
        const readers = await crowd('42');
        await Promise.all(readers.map((reader) => reader.subscribe(channel)));
        assert.deepEqual(await server.apiResult('publish', { channel, data: { text: 'hi' } }), {});
        for (const reader of readers) {
            assert.deepEqual(await reader.expectPublication(channel), { data: { text: 'hi' } });
            await reader.expectNothing();
        }
        closeAll(readers);
    });

    test('publish answers offset and epoch where the channel has history', async () => {
        const channel = fresh('full');
        const first = await server.apiResult('publish', { channel, data: 1 });
        const second = await server.apiResult('publish', { channel, data: 2 });
        assert.equal(first.offset, 1);
        assert.deepEqual(second, { offset: 2, epoch: first.epoch });
        assert.deepEqual(await server.apiResult('history', { channel, limit: -1 }), {
            publications: [
                { data: 1, offset: 1 },
                { data: 2, offset: 2 },
            ],
            epoch: first.epoch,
            offset: 2,
        });
    });

    test('J13: a payload is delivered and kept byte for byte', async () => {
        const channel = fresh('full');
        const reader = await connect();
        await reader.subscribe(channel);
        await reader.expectPush('join', channel);
        for (const payload of ['1E400', '{ "a" : 0.10 }', '"\\u00e4"', '12345678901234567890']) {
            const response = await server.apiRaw('publish', `{"channel":"${channel}","data":${payload}}`);
            assert.equal(response.status, 200);
            const push = await reader.expectPushMessage('pub', channel);
            assert.ok(push.text.includes(`"data":${payload}`), push.text);
            const history = await server.apiRaw('history', JSON.stringify({ channel, limit: 1, reverse: true }));
            assert.ok(history.body.includes(`"data":${payload}`), history.body);
        }
        reader.close();
    });

    test('b64data is decoded, and wins over data', async () => {
        const channel = fresh('full');
        await server.apiResult('publish', { channel, data: 'no', b64data: Buffer.from('{"yes":1}').toString('base64') });
        const history = await server.apiResult('history', { channel, limit: -1 });
        assert.deepEqual((history.publications as Json[])[0]?.data, { yes: 1 });
        await expectError('publish', { channel, b64data: '***' }, 107);
    });

    test('skip_history delivers and does not store', async () => {
        const channel = fresh('full');
        const reader = await connect();
        await reader.subscribe(channel);
        assert.deepEqual(await server.apiResult('publish', { channel, data: 1, skip_history: true }), {});
        assert.equal((await reader.expectPublication(channel)).data, 1);
        assert.equal((await server.apiResult('history', { channel })).offset, 0);
        reader.close();
    });

    test('tags go with the publication', async () => {
        const channel = fresh('full');
        const reader = await connect();
        await reader.subscribe(channel);
        await server.apiResult('publish', { channel, data: 1, tags: { lang: 'de' } });
        assert.deepEqual((await reader.expectPublication(channel)).tags, { lang: 'de' });
        const history = await server.apiResult('history', { channel, limit: 1 });
        assert.deepEqual((history.publications as Json[])[0]?.tags, { lang: 'de' });
        reader.close();
    });

    test('exclude_client spares one connection what it has published itself, and history keeps it', async () => {
        const channel = fresh('full');
        const [publisher, other] = [await connect('1'), await connect('1')];
        await publisher.subscribe(channel);
        await other.subscribe(channel);
        await server.apiResult('publish', { channel, data: 'mine', exclude_client: publisher.id });
        await server.apiResult('publish', { channel, data: 'for all' });
        assert.deepEqual((await publisher.expectPublication(channel)).data, 'for all');
        assert.deepEqual((await other.expectPublication(channel)).data, 'mine');
        assert.deepEqual((await other.expectPublication(channel)).data, 'for all');
        const history = await server.apiResult('history', { channel, limit: -1 });
        assert.deepEqual((history.publications as Json[]).map((p) => p.data), ['mine', 'for all']);
        closeAll([publisher, other]);
    });

    test('an idempotency key publishes once in a channel, and repeats the first result', async () => {
        const [a, b] = [fresh('full'), fresh('full')];
        const reader = await connect();
        await reader.subscribe(a);
        const publish = (channel: string, data: unknown, idempotency_key: string) =>
            server.apiResult('publish', { channel, data, idempotency_key });
        const first = await publish(a, 1, 'key');
        assert.deepEqual(await publish(a, 2, 'key'), first);
        await publish(b, 3, 'key');
        assert.equal((await publish(a, 4, 'other')).offset, 2);
        assert.equal((await reader.expectPublication(a)).data, 1);
        assert.equal((await reader.expectPublication(a)).data, 4);
        assert.equal((await server.apiResult('history', { channel: b })).offset, 1);
        reader.close();
    });

    test('an older version of a channel is dropped, another version_epoch starts again', async () => {
        const channel = fresh('full');
        const publish = (version: number, version_epoch: string) =>
            server.apiResult('publish', { channel, data: version, version, version_epoch });
        await publish(5, 'a');
        await publish(5, 'a');
        await publish(4, 'a');
        await publish(6, 'a');
        await publish(1, 'b');
        const history = await server.apiResult('history', { channel, limit: -1 });
        assert.deepEqual((history.publications as Json[]).map((p) => p.data), [5, 6, 1]);
    });

    test('publish without a channel, without data or with the wrong kind of data is error 107', async () => {
        await expectError('publish', { data: 1 }, 107);
        await expectError('publish', { channel: '', data: 1 }, 107);
        await expectError('publish', { channel: fresh('open') }, 107);
        await expectError('publish', { channel: 5, data: 1 }, 107);
        await expectError('publish', { channel: fresh('object'), data: [1] }, 107);
        await expectError('publish', { channel: 'nope:a', data: 1 }, 102);
    });

    test('broadcast answers for each channel in its order', async () => {
        const [open, full] = [fresh('open'), fresh('full')];
        const reader = await connect();
        await reader.subscribe(open);
        const { responses } = (await server.apiResult('broadcast', { channels: [open, 'nope:a', full], data: 'all' })) as Json;
        assert.deepEqual(responses[0], { result: {} });
        assert.equal(responses[1].error.code, 102);
        assert.equal(responses[2].result.offset, 1);
        assert.equal((await reader.expectPublication(open)).data, 'all');
        await expectError('broadcast', { channels: [], data: 1 }, 107);
        await expectError('broadcast', { channels: open, data: 1 }, 107);
        reader.close();
    });

    test('broadcast to a thousand channels is answered for a thousand', async () => {
        const channels = Array.from({ length: 1000 }, (_, i) => `open:wide${i}`);
        const { responses } = (await server.apiResult('broadcast', { channels, data: 1 })) as Json;
        assert.equal(responses.length, 1000);
        await expectError('broadcast', { channels: [...channels, 'open:x'], data: 1 }, 107);
    });

    /* ---- what is done to a user's connections ---- */

    test('subscribe subscribes every connection of a user, and no one else', async () => {
        const channel = fresh('open');
        const mine = await crowd('42');
        const other = await connect('43');
        assert.deepEqual(await server.apiResult('subscribe', { user: '42', channel, data: { why: 'api' } }), {});
        for (const client of mine) {
            assert.deepEqual(await client.expectPush('subscribe', channel), { data: { why: 'api' } });
        }
        await server.apiResult('publish', { channel, data: 1 });
        for (const client of mine) {
            await client.expectPublication(channel);
        }
        await other.expectNothing();
        closeAll([...mine, other]);
    });

    test('subscribe with a recoverable channel pushes its position, and recovers since a position', async () => {
        const channel = fresh('full');
        const client = await connect();
        const { epoch } = await server.apiResult('publish', { channel, data: 1 });
        await server.apiResult('publish', { channel, data: 2 });
        await server.apiResult('subscribe', { user: '42', channel, recover_since: { offset: 1, epoch } });
        const push = await client.expectPush('subscribe', channel);
        assert.deepEqual([push.recoverable, push.positioned, push.epoch], [true, true, epoch]);
        assert.equal((await client.expectPublication(channel)).offset, 2);
        client.close();
    });

    test('subscribe can be narrowed to one connection, whose user must be right', async () => {
        const channel = fresh('open');
        const [a, b] = [await connect(), await connect()];
        await server.apiResult('subscribe', { user: '43', client: a.id, channel });
        await server.apiResult('subscribe', { user: '42', client: b.id, channel, info: { badge: 1 } });
        await b.expectPush('subscribe', channel);
        await a.expectNothing();
        await b.publish(channel, 1);
        assert.deepEqual((await b.expectPublication(channel)).info.chan_info, { badge: 1 });
        closeAll([a, b]);
    });

    test('subscribe to an unknown namespace is error 102, without a channel 107; an absent user is success', async () => {
        await expectError('subscribe', { user: '42', channel: 'nope:a' }, 102);
        await expectError('subscribe', { user: '42' }, 107);
        assert.deepEqual(await server.apiResult('subscribe', { user: 'nobody-here', channel: fresh('open') }), {});
    });

    test('unsubscribe ends one channel or all, with code 2000', async () => {
        const [one, two] = [fresh('open'), fresh('open')];
        const mine = await crowd('42');
        await Promise.all(mine.map((client) => client.subscribe(one)));
        await Promise.all(mine.map((client) => client.subscribe(two)));
        await server.apiResult('unsubscribe', { user: '42', channel: one });
        for (const client of mine) {
            assert.deepEqual(await client.expectPush('unsubscribe', one), { code: 2000, reason: 'server unsubscribe' });
        }
        await server.apiResult('unsubscribe', { user: '42' });
        for (const client of mine) {
            await client.expectPush('unsubscribe', two);
            await client.subscribe(two);
        }
        closeAll(mine);
    });

    test('disconnect closes every connection of a user with 3503, or with the code that is given', async () => {
        const mine = await crowd('42');
        const other = await connect('43');
        assert.deepEqual(await server.apiResult('disconnect', { user: '42' }), {});
        await Promise.all(mine.map((client) => client.expectDisconnect(3503)));
        await server.apiResult('disconnect', { user: '43', disconnect: { code: 4321, reason: 'come back' } });
        assert.equal(await other.expectDisconnect(4321), 'come back');
    });

    test('disconnect spares the whitelist', async () => {
        const [a, b] = [await connect(), await connect()];
        await server.apiResult('disconnect', { user: '42', whitelist: [b.id] });
        await a.expectDisconnect(3503);
        await b.expectNothing();
        await server.apiResult('disconnect', { user: '42', client: b.id });
        await b.expectDisconnect(3503);
    });

    test('refresh pushes the new expiry, and closes 3005 those that have expired', async () => {
        const mine = await crowd('42');
        await server.apiResult('refresh', { user: '42', expire_at: inSeconds(100) });
        for (const client of mine) {
            const push = await client.expectPush('refresh');
            assert.equal(push.expires, true);
            assert.ok(push.ttl >= 98 && push.ttl <= 100);
        }
        await server.apiResult('refresh', { user: '42', expired: true });
        await Promise.all(mine.map((client) => client.expectDisconnect(3005)));
    });

    /* ---- what there is ---- */

    test('presence and presence_stats see clients on all workers', async () => {
        const channel = fresh('full');
        const clients = [...(await crowd('1')), await connect('2')];
        await Promise.all(clients.map((client) => client.subscribe(channel)));
        const { presence } = (await server.apiResult('presence', { channel })) as Json;
        assert.deepEqual(Object.keys(presence as Json).sort(), clients.map((client) => client.id).sort());
        assert.deepEqual(presence[clients[0]?.id ?? ''], { user: '1', client: clients[0]?.id });
        assert.deepEqual(await server.apiResult('presence_stats', { channel }), { num_clients: 9, num_users: 2 });
        closeAll(clients);
        await eventually('all left', async () => (await server.apiResult('presence_stats', { channel })).num_clients === 0);
        assert.deepEqual(await server.apiResult('presence', { channel }), { presence: {} });
    });

    test('presence and history are error 108 where there is none, 102 in an unknown namespace', async () => {
        for (const method of ['presence', 'presence_stats', 'history']) {
            await expectError(method, { channel: fresh('open') }, 108);
            await expectError(method, { channel: 'nope:a' }, 102);
            await expectError(method, {}, 107);
        }
        await expectError('history_remove', { channel: fresh('open') }, 108);
    });

    test('history reads ranges like the client does, and another epoch is error 112', async () => {
        const channel = fresh('full');
        let epoch: unknown;
        for (let n = 1; n <= 5; n++) {
            ({ epoch } = await server.apiResult('publish', { channel, data: n }));
        }
        const range = async (more: Json) => {
            const { publications } = await server.apiResult('history', { channel, ...more });
            return (publications as Json[]).map((p) => p.offset as number);
        };
        assert.deepEqual(await range({}), []);
        assert.deepEqual(await range({ limit: 2 }), [1, 2]);
        assert.deepEqual(await range({ limit: 2, reverse: true }), [5, 4]);
        assert.deepEqual(await range({ limit: -1, since: { offset: 3, epoch } }), [4, 5]);
        await expectError('history', { channel, limit: 1, since: { offset: 3, epoch: 'other' } }, 112);
        await expectError('history', { channel, limit: 1, reverse: true, since: { offset: 0 } }, 107);
        assert.deepEqual(await server.apiResult('history_remove', { channel }), {});
        assert.deepEqual(await server.apiResult('history', { channel, limit: -1 }), { publications: [], epoch, offset: 5 });
    });

    test('channels lists those with subscribers on any worker, by pattern', async () => {
        const clients = await crowd('42');
        const [one, two] = [fresh('open'), fresh('full')];
        await Promise.all(clients.map((client) => client.subscribe(one)));
        await clients[0]?.subscribe(two);
        const all = (await server.apiResult('channels', {})) as Json;
        assert.deepEqual(all.channels[one], { num_clients: 8 });
        assert.deepEqual(all.channels[two], { num_clients: 1 });
        const some = (await server.apiResult('channels', { pattern: 'full:*' })) as Json;
        assert.deepEqual(some.channels, { [two]: { num_clients: 1 } });
        assert.deepEqual((await server.apiResult('channels', { pattern: 'none:*' })) as Json, { channels: {} });
        closeAll(clients);
    });

    test('info describes this node with its counts', async () => {
        const clients = [...(await crowd('1')), await connect('2')];
        await clients[0]?.subscribe(fresh('open'));
        await eventually('counts', async () => {
            const { nodes } = (await server.apiResult('info', {})) as Json;
            assert.equal(nodes.length, 1);
            const node = nodes[0] as Json;
            for (const key of ['uid', 'name', 'version']) {
                assert.match(node[key] as string, /\S/);
            }
            assert.equal(typeof node.uptime, 'number');
            return node.num_clients === 9 && node.num_users === 2 && node.num_subs === 1 && node.num_channels === 1;
        });
        closeAll(clients);
    });

    test('rpc is error 104: there are no server-side extensions', async () => {
        await expectError('rpc', { method: 'x' }, 104);
    });

    test('map and shared poll methods are refused', async () => {
        for (const method of ['map_publish', 'shared_poll_publish']) {
            const response = await server.apiRaw(method, '{"channel":"open:a","key":"k","data":1}');
            assert.ok(response.status === 404 || 'error' in (JSON.parse(response.body) as Json), response.body);
        }
    });

    /* ---- batch and the legacy form ---- */

    test('batch runs its commands in order and answers each', async () => {
        const channel = fresh('full');
        const commands = [
            { publish: { channel, data: 1 } },
            { publish: { channel: 'nope:a', data: 1 } },
            { publish: { channel, data: 2 } },
            { history: { channel, limit: -1 } },
            { presence_stats: { channel } },
        ];
        for (const parallel of [false, true]) {
            const answer = (await server.api('batch', { commands, parallel })) as Json;
            assert.ok(!('result' in answer));
            assert.equal(answer.replies.length, 5);
            assert.ok(answer.replies[0].publish.offset > 0);
            assert.equal(answer.replies[1].error.code, 102);
            assert.ok('publications' in answer.replies[3].history);
            assert.deepEqual(answer.replies[4].presence_stats, { num_clients: 0, num_users: 0 });
        }
    });

    test('the legacy endpoint answers a line for each line', async () => {
        const channel = fresh('full');
        const lines = [
            { id: 1, method: 'publish', params: { channel, data: 1 } },
            { method: 'presence_stats', params: { channel } },
            { id: 3, method: 'fly', params: {} },
        ];
        const response = await request(server.port, '/api', {
            method: 'POST',
            body: lines.map((line) => JSON.stringify(line)).join('\n'),
            headers: { 'X-API-Key': API_KEY },
        });
        assert.equal(response.status, 200);
        const replies = response.body.trim().split('\n').map((line) => JSON.parse(line) as Json);
        assert.equal(replies.length, 3);
        assert.deepEqual([replies[0]?.id, replies[0]?.result.offset], [1, 1]);
        assert.deepEqual(replies[1], { result: { num_clients: 0, num_users: 0 } });
        assert.equal(replies[2]?.error.code, 104);
    });

    /* ---- HTTP ---- */

    test('A30: a key that is wrong, empty, cut, longer or in another case is 401', async () => {
        const keys = ['', 'x', API_KEY.slice(0, -1), `${API_KEY}x`, API_KEY.toUpperCase(), ` ${API_KEY.slice(1)}`];
        for (const key of keys) {
            for (const headers of [{ 'X-API-Key': key }, { Authorization: `apikey ${key}` }] as Record<string, string>[]) {
                const response = await request(server.port, '/api/info', { method: 'POST', body: '{}', headers });
                assert.equal(response.status, 401, JSON.stringify(headers));
            }
            const query = await request(server.port, `/api/info?api_key=${encodeURIComponent(key)}`, { method: 'POST', body: '{}' });
            assert.equal(query.status, 401);
        }
        assert.equal((await request(server.port, '/api/info', { method: 'POST', body: '{}' })).status, 401);
    });

    test('the key may be in a header, in Authorization or in the query', async () => {
        const post = (path: string, headers: Record<string, string>) =>
            request(server.port, path, { method: 'POST', body: '{}', headers });
        assert.equal((await post('/api/info', { 'X-API-Key': API_KEY })).status, 200);
        assert.equal((await post('/api/info', { Authorization: `apikey ${API_KEY}` })).status, 200);
        assert.equal((await post(`/api/info?api_key=${API_KEY}`, {})).status, 200);
        assert.equal((await post('/api/info', { Authorization: `Bearer ${API_KEY}` })).status, 401);
    });

    test('what is not POST is 405, what is no JSON object 400 in plain text, an unknown path 404', async () => {
        assert.equal((await request(server.port, '/api/info', { headers: { 'X-API-Key': API_KEY } })).status, 405);
        for (const body of ['', 'x', '[]', '{"a":1', '{} {}', 'null']) {
            const response = await server.apiRaw('info', body);
            assert.equal(response.status, 400, body);
            assert.match(response.headers['content-type'] ?? '', /^text\/plain/);
        }
        assert.equal((await server.apiRaw('fly', '{}')).status, 404);
        assert.equal((await server.apiRaw('publish/more', '{}')).status, 404);
    });

    test('answers are application/json, whatever the request said it was', async () => {
        const response = await server.apiRaw('info', '{}', { 'Content-Type': 'text/html' });
        assert.match(response.headers['content-type'] ?? '', /^application\/json/);
    });

    test('errors have a status of their own where the caller asks for it', async () => {
        const transport = { 'X-Centrifugo-Error-Mode': 'transport' };
        const cases: [string, Json, number, number][] = [
            ['publish', { channel: 'nope:a', data: 1 }, 404, 102],
            ['publish', { channel: 'open:a' }, 400, 107],
            ['presence', { channel: 'open:a' }, 400, 108],
            ['rpc', { method: 'x' }, 404, 104],
        ];
        for (const [method, body, status, code] of cases) {
            const response = await server.apiRaw(method, JSON.stringify(body), transport);
            assert.equal(response.status, status);
            assert.equal((JSON.parse(response.body) as Json).code, code, response.body);
        }
        const good = await server.apiRaw('publish', '{"channel":"open:a","data":1}', transport);
        assert.equal(good.status, 200);
    });

    test('a body of 1 MiB is read, one byte more is 413', async () => {
        const body = (bytes: number) => {
            const text = '{"channel":"open:big","data":""}';
            return text.replace('""', `"${'x'.repeat(bytes - text.length)}"`);
        };
        assert.equal((await server.apiRaw('publish', body(1048576))).status, 200);
        const over = await server.apiRaw('publish', body(1048577)).catch(() => null);
        assert.ok(over === null || over.status === 413);
    });

    test('many callers at once are all answered', async () => {
        const channel = fresh('full');
        const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => server.apiResult('publish', { channel, data: n })));
        const offsets = answers.map((answer) => answer.offset as number).sort((a, b) => a - b);
        assert.deepEqual(offsets, Array.from({ length: 100 }, (_, i) => i + 1));
    });
});

describe('an API without a key', () => {
    const server = serverFor({ http_api: { key: '' } });

    test('A30: refuses every call', async () => {
        for (const key of ['', 'x', API_KEY]) {
            assert.equal((await server.apiRaw('info', '{}', { 'X-API-Key': key })).status, 401);
        }
    });
});

describe('an insecure API in transport mode', () => {
    const server = serverFor({ http_api: { key: '', insecure: true, error_mode: 'transport' } });

    test('needs no key, and answers errors by status', async () => {
        const post = (method: string, body: string) => request(server.port, `/api/${method}`, { method: 'POST', body });
        assert.equal((await post('info', '{}')).status, 200);
        assert.equal((await post('publish', '{"channel":"nope:a","data":1}')).status, 404);
    });
});

describe('an API that is switched off', () => {
    const server = serverFor({ http_api: { disabled: true } });

    test('is not there', async () => {
        assert.equal((await server.apiRaw('info', '{}')).status, 404);
    });
});

describe('an internal port', () => {
    let internalPort = 0;
    before(async () => {
        internalPort = await freePort();
    });
    const server = serverFor(() => ({ http_server: { internal_port: internalPort } }));

    test('has the API, health and metrics, and the main port has them no more', async () => {
        const post = (port: number) =>
            request(port, '/api/info', { method: 'POST', body: '{}', headers: { 'X-API-Key': API_KEY } });
        assert.equal((await post(internalPort)).status, 200);
        assert.equal((await post(server.port)).status, 404);
        for (const path of ['/health', '/metrics']) {
            assert.equal((await request(internalPort, path)).status, 200);
            assert.equal((await request(server.port, path)).status, 404);
        }
        assert.equal((await request(internalPort, '/connection/websocket')).status, 404);
        assert.equal((await request(internalPort, '/chat')).status, 404);
    });
});
