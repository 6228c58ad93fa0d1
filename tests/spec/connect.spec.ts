/* connect.spec.ts - the first command of a client, and frames of commands (PROTOCOL sections 2, 3, 4.1; THREATS 5, 6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, connectMany, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { inSeconds, makeToken, subscriptionToken, userToken } from './support/token.ts';

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('connect', () => {
    const server = serverFor();

    /* Opens, sends the connect and expects to be closed with that code. */
    async function expectRefused(request: Json, code: number) {
        const client = await Client.open(server);
        client.command('connect', request);
        await client.expectDisconnect(code);
    }

    test('is answered with an id of its own, the version and how pings will come', async () => {
        const [a, b] = [await Client.open(server), await Client.open(server)];
        const reply = await a.connect({ token: userToken('42'), name: 'js', version: '1.2' });
        await b.connect({ token: userToken('42') });
        assert.match(reply.client as string, UUID_V4);
        assert.notEqual(a.id, b.id);
        assert.match(reply.version as string, /\S/);
        assert.equal(reply.ping, 25);
        assert.equal(reply.pong, true);
        for (const absent of ['expires', 'ttl', 'subs', 'session', 'node', 'time', 'data']) {
            assert.ok(!(absent in reply), `${absent} has nothing to say`);
        }
        a.close();
        b.close();
    });

    test('unknown fields, null fields and white space are ignored', async () => {
        const client = await Client.open(server);
        client.sendText(` {"id" : 7, "future":[1,{"a":2}], "connect":{"token":"${userToken('1')}","data":null,"zip":{}}}\n`);
        assert.ok((await client.expectReply(7)).json.connect.client);
        client.close();
    });

    test('a token that expires says within how many seconds to refresh', async () => {
        const client = await Client.open(server);
        const reply = await client.connect({ token: userToken('42', { exp: inSeconds(100) }) });
        assert.equal(reply.expires, true);
        assert.ok(reply.ttl >= 98 && reply.ttl <= 100, String(reply.ttl));
        const endless = await Client.open(server);
        const reply2 = await endless.connect({ token: userToken('42', { exp: inSeconds(100), expire_at: 0 }) });
        assert.ok(!('expires' in reply2) && !('ttl' in reply2), 'expire_at 0 means that the connection does not expire');
        client.close();
        endless.close();
    });

    test('an expired token, or one that is not valid yet, is error 109', async () => {
        for (const claims of [{ exp: inSeconds(-1) }, { exp: 1 }, { nbf: inSeconds(100) }]) {
            const client = await Client.open(server);
            await client.expectError('connect', { token: userToken('42', claims) }, 109);
            client.command('ping', {});
            await client.expectDisconnect(3501);
        }
    });

    test('A01, A03, A08: a token that is not ours is closed 3500', async () => {
        const good = userToken('42');
        const [head, body, signature] = good.split('.') as [string, string, string];
        const tokens = [
            makeToken({ sub: '42' }, 'another secret of thirty-two bytes!'),
            makeToken({ sub: '42' }, undefined, { alg: 'none' }),
            makeToken({ sub: '42' }, undefined, { alg: 'NONE' }),
            makeToken({ sub: '42' }, undefined, { typ: 'JWT' }),
            makeToken({ sub: '42' }, undefined, { alg: 'HS512' }),
            makeToken({ sub: '42' }, undefined, { alg: 'RS256' }),
            makeToken({ sub: '42' }, undefined, { alg: ['HS256'] }),
            makeToken({ sub: '42' }, undefined, { alg: 'HS256', crit: ['exp'] }),
            makeToken({ sub: '42' }, undefined, { alg: 'HS256', kid: '../../etc/passwd' }),
            `${head}.${body}.`,
            `${head}.${body}`,
            `${head}.${body}.${signature}.x`,
            `${head}.${body}.${signature}=`,
            `${head}.${body}.${signature.slice(0, -2)}`,
            `${head}..${signature}`,
            'x',
            '...',
            makeToken('[1]'),
            makeToken('{"sub":"42","sub":"1"}'),
            makeToken({ sub: 42 }),
            makeToken({ sub: '42', exp: '9999999999' }),
            makeToken({ sub: '42', padding: 'x'.repeat(9000) }),
        ];
        for (const token of tokens) {
            await expectRefused({ token }, 3500);
        }
    });

    test('A09: a subscription token does not connect', async () => {
        await expectRefused({ token: subscriptionToken('42', 'open:a') }, 3500);
    });

    test('A10: one token serves many connections', async () => {
        const clients = await connectMany(server, 6, userToken('42'));
        assert.equal(new Set(clients.map((client) => client.id)).size, 6);
        clients.forEach((client) => client.close());
    });

    test('no token is closed 3501 where anonymous users are not allowed', async () => {
        await expectRefused({}, 3501);
        await expectRefused({ token: '' }, 3501);
    });

    test('a token for nobody connects an anonymous user', async () => {
        for (const claims of [{ sub: '' }, {}]) {
            const client = await Client.connect(server, makeToken(claims));
            client.close();
        }
    });

    test('J06: a command before connect, and a second connect, are closed 3501', async () => {
        for (const command of [{ id: 1, subscribe: { channel: 'open:a' } }, { id: 1, publish: {} }, {}, { send: { data: 1 } }]) {
            const client = await Client.open(server);
            client.sendText(JSON.stringify(command));
            await client.expectDisconnect(3501);
        }
        const client = await Client.connect(server, userToken('1'));
        client.command('connect', { token: userToken('1') });
        await client.expectDisconnect(3501);
    });

    test('J01: what is no command is closed 3501', async () => {
        const frames = [
            '',
            ' ',
            '\n',
            'hello',
            '[]',
            '[{"id":2,"publish":{}}]',
            '1',
            'null',
            '"x"',
            '{"id":2,"publish":{}',
            '{"id":2,"publish":{}}}',
            '{"id":2,"publish":{}} x',
            '{"id":2,}',
            '{\'id\':2}',
            '{"id":NaN,"publish":{}}',
            '{"id":2,"publish":{"data":1e}}',
            '{"id":2,"publish":{"data":01}}',
            '\ufeff{"id":2,"publish":{}}',
            '{"id":2,"publish":{"data":"\u0000"}}',
            '{"id":2,"publish":{"data":"\\ud83"}}',
            '{"id":-1,"publish":{"channel":"open:a","data":1}}',
            '{"id":1.5,"publish":{"channel":"open:a","data":1}}',
            '{"id":"2","publish":{"channel":"open:a","data":1}}',
            '{"id":0,"publish":{"channel":"open:a","data":1}}',
            '{"id":4294967296,"publish":{"channel":"open:a","data":1}}',
            '{"publish":{"channel":"open:a","data":1}}',
            '{"id":2}',
            '{"id":2,"fly":{}}',
            '{"id":2,"ping":{}}',
        ];
        for (const frame of frames) {
            const client = await Client.connect(server, userToken('1'));
            client.sendText(frame);
            await client.expectDisconnect(3501).catch((error: Error) => {
                throw new Error(`${JSON.stringify(frame)}: ${error.message}`);
            });
        }
    });

    test('J02: nesting of 32 is read, 33 is refused', async () => {
        const client = await Client.connect(server, userToken('1'));
        const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
        /* The command and its body are the first two levels. */
        for (const depth of [29, 30]) {
            client.sendText(`{"id":5,"publish":{"channel":"open:a","data":${nested(depth)}}}`);
            assert.deepEqual((await client.expectReply(5)).json.publish, {});
        }
        client.sendText(`{"id":6,"publish":{"channel":"open:a","data":${nested(31)}}}`);
        await client.expectDisconnect(3501);
        const deep = await Client.connect(server, userToken('1'));
        deep.sendText(`{"id":6,"publish":{"channel":"open:a","data":${'['.repeat(60000)}`);
        await deep.expectDisconnect(3501);
    });

    test('J03, J05: doubled and wrongly typed fields are error 107', async () => {
        const client = await Client.connect(server, userToken('1'));
        const bodies = ['{"channel":"open:a","channel":"open:b","data":1}', '{"channel":5,"data":1}', '{"channel":["open:a"],"data":1}', '7', '"x"', '[]'];
        for (const body of bodies) {
            client.sendText(`{"id":3,"publish":${body}}`);
            assert.equal((await client.expectReply(3)).json.error?.code, 107, body);
        }
        client.close();
    });

    test('connect and the subscribes behind it may come in one frame, and are answered in order', async () => {
        const client = await Client.open(server);
        client.batch([
            { id: 1, connect: { token: userToken('42') } },
            { id: 2, subscribe: { channel: 'open:a' } },
            { id: 3, subscribe: { channel: 'chat:b' } },
            { id: 4, publish: { channel: 'chat:b', data: { n: 1 } } },
        ]);
        const ids: number[] = [];
        while (ids.length < 4) {
            const { json } = await client.nextMessage();
            if (json.id !== undefined) {
                assert.equal(json.error, undefined);
                ids.push(json.id as number);
            }
        }
        assert.deepEqual(ids, [1, 2, 3, 4]);
        client.close();
    });

    test('frames that come before the connect is answered wait for it', async () => {
        const client = await Client.open(server);
        client.sendText(JSON.stringify({ id: 1, connect: { token: userToken('42') } }));
        for (let id = 2; id <= 40; id++) {
            client.sendText(JSON.stringify({ id, subscribe: { channel: `open:${id}` } }));
        }
        for (let id = 1; id <= 40; id++) {
            assert.equal((await client.nextMessage()).json.id, id);
        }
        client.close();
    });

    test('a trailing newline is allowed', async () => {
        const client = await Client.open(server);
        client.sendText(`${JSON.stringify({ id: 1, connect: { token: userToken('42') } })}\n`);
        assert.ok((await client.expectReply(1)).json.connect);
        client.close();
    });

    test('the subscribes behind a refused connect are dropped, so that the error reaches the client', async () => {
        const client = await Client.open(server);
        client.batch([
            { id: 1, connect: { token: userToken('42', { exp: 1 }) } },
            { id: 2, subscribe: { channel: 'open:a' } },
            { id: 3, subscribe: { channel: 'open:b' } },
        ]);
        assert.equal((await client.nextMessage()).json.error.code, 109);
        client.sendText('{"id":4,"subscribe":{"channel":"open:a"}}');
        await client.expectDisconnect(3501);
        assert.deepEqual(client.inbox, []);
    });

    test('128 commands in one message are handled, 129 are closed 3013', async () => {
        const commands = (count: number) => Array.from({ length: count }, (_, i) => ({ id: i + 2, unsubscribe: { channel: 'open:a' } }));
        for (const count of [127, 128]) {
            const client = await Client.connect(server, userToken('1'));
            client.batch(commands(count));
            await client.expectReply(count + 1);
            client.close();
        }
        const client = await Client.connect(server, userToken('1'));
        client.batch(commands(129));
        await client.expectDisconnect(3013);
    });

    test('the reason of a disconnect is a text for people', async () => {
        const client = await Client.open(server);
        client.command('connect', { token: 'x' });
        assert.equal(await client.expectDisconnect(3500), 'invalid token');
    });
});

describe('connect with the server time', () => {
    const server = serverFor({ client: { connect_include_server_time: true } });

    test('carries milliseconds', async () => {
        const client = await Client.open(server);
        const { time } = await client.connect({ token: userToken('1') });
        assert.ok(Math.abs((time as number) - Date.now()) < 5000);
        client.close();
    });
});

describe('anonymous users', () => {
    describe('where they may connect without a token', () => {
        const server = serverFor({ client: { allow_anonymous_connect_without_token: true } });

        test('connect, and have an empty user', async () => {
            const client = await Client.open(server);
            await client.connect({});
            await client.expectError('subscribe', { channel: 'open:a' }, 103);
            client.close();
        });
    });

    describe('where their tokens are not wanted', () => {
        const server = serverFor({ client: { disallow_anonymous_connection_tokens: true } });

        test('are closed 3507', async () => {
            const client = await Client.open(server);
            client.command('connect', { token: makeToken({ sub: '' }) });
            await client.expectDisconnect(3507);
        });
    });
});

describe('an insecure server', () => {
    const server = serverFor({ client: { insecure: true } });

    test('lets anyone do whatever is configured', async () => {
        const client = await Client.open(server);
        await client.connect({});
        await client.subscribe('closed:a');
        await client.publish('closed:a', 1);
        assert.deepEqual(await client.expectPublication('closed:a'), { data: 1, info: { user: '', client: client.id } });
        await client.expectError('presence', { channel: 'closed:a' }, 108);
        client.close();
    });
});

forEachWorkerCount('connections of one user', (workers) => {
    const server = serverFor({ http_server: { workers }, client: { user_connection_limit: 3 } });

    test('are 3 at most, the next is closed 3504, and a place that comes free is taken', async () => {
        const clients = await connectMany(server, 3, userToken('42'));
        const refused = await Client.open(server);
        refused.command('connect', { token: userToken('42') });
        await refused.expectDisconnect(3504);
        const other = await Client.connect(server, userToken('43'));
        clients.pop()?.close();
        await eventually('a free place', async () => {
            const client = await Client.open(server);
            client.command('connect', { token: userToken('42') });
            const isIn = await client.nextMessage().then(
                () => true,
                () => false,
            );
            clients.push(client);
            return isIn;
        });
        [...clients, other].forEach((client) => client.close());
    });

    test('are not counted for anonymous users', async () => {
        const clients = await connectMany(server, 5, makeToken({ sub: '' }));
        clients.forEach((client) => client.close());
    });
});
