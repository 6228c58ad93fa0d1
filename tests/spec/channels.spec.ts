/* channels.spec.ts - subscribe, publish, presence and history (PROTOCOL sections 4, 5, 10; THREATS 5). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, connectMany, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { inSeconds, makeToken, subscriptionToken, userToken } from './support/token.ts';

const NAMESPACES = [
    { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
    { name: 'anon', allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
    {
        name: 'anonpub',
        allow_publish_for_client: true,
        allow_publish_for_anonymous: true,
        allow_subscribe_for_client: true,
        allow_subscribe_for_anonymous: true,
    },
    {
        name: 'members',
        allow_subscribe_for_client: true,
        allow_publish_for_subscriber: true,
        presence: true,
        allow_presence_for_subscriber: true,
        history_size: 4,
        history_ttl: '300s',
        allow_history_for_subscriber: true,
    },
    {
        name: 'public',
        allow_subscribe_for_client: true,
        allow_publish_for_client: true,
        presence: true,
        allow_presence_for_client: true,
        history_size: 10,
        history_ttl: '300s',
        allow_history_for_client: true,
    },
    { name: 'asked', allow_subscribe_for_client: true, presence: true, join_leave: true, allow_presence_for_subscriber: true },
    { name: 'forced', allow_subscribe_for_client: true, join_leave: true, force_push_join_leave: true },
    { name: 'silent', allow_subscribe_for_client: true, join_leave: true },
    { name: 'limited', allow_user_limited_channels: true, allow_publish_for_subscriber: true },
    { name: 'regex', allow_subscribe_for_client: true, channel_regex: '^[a-zäöü]{1,8}$' },
    { name: 'object', allow_subscribe_for_client: true, allow_publish_for_client: true, publication_data_format: 'json_object' },
    { name: 'closed' },
];

forEachWorkerCount('channels', (workers) => {
    const server = serverFor({ http_server: { workers }, channel: { namespaces: NAMESPACES } });
    const connect = (user = '42', claims: Json = {}) => Client.connect(server, userToken(user, claims));

    /* ---- subscribe and unsubscribe ---- */

    test('a subscription is answered by an empty object where there is nothing to say', async () => {
        const client = await connect();
        assert.equal((await client.callRaw('subscribe', { channel: 'open:a', flag: 1 })).text, '{"id":2,"subscribe":{}}');
        client.close();
    });

    test('J07: subscribing twice is error 105, leaving and coming back works', async () => {
        const client = await connect();
        await client.subscribe('open:a');
        await client.expectError('subscribe', { channel: 'open:a' }, 105);
        assert.deepEqual(await client.call('unsubscribe', { channel: 'open:a' }), {});
        await client.subscribe('open:a');
        client.close();
    });

    test('J07: unsubscribing from what is not subscribed is success', async () => {
        const client = await connect();
        assert.equal((await client.callRaw('unsubscribe', { channel: 'open:zzz' })).text, '{"id":2,"unsubscribe":{}}');
        client.close();
    });

    test('after unsubscribe nothing of the channel comes any more', async () => {
        const client = await connect();
        await client.subscribe('open:left');
        await client.subscribe('open:stayed');
        await client.call('unsubscribe', { channel: 'open:left' });
        await client.publish('open:left', 1);
        await client.publish('open:stayed', 2);
        assert.equal((await client.expectPush('pub')).data, 2);
        await client.expectNothing('pub');
        client.close();
    });

    test('an unsubscribe right behind its subscribe waits for it', async () => {
        const client = await connect();
        for (let i = 0; i < 50; i++) {
            client.batch([
                { id: 1000 + i, subscribe: { channel: 'open:a' } },
                { id: 2000 + i, unsubscribe: { channel: 'open:a' } },
            ]);
        }
        for (let i = 0; i < 50; i++) {
            assert.deepEqual((await client.expectReply(1000 + i)).json.subscribe, {});
            assert.deepEqual((await client.expectReply(2000 + i)).json.unsubscribe, {});
        }
        client.close();
    });

    test('names: 255 bytes are subscribed, 256 are error 107, and so are an empty name and control characters', async () => {
        const client = await connect();
        await client.subscribe('open:'.padEnd(254, 'a'));
        await client.subscribe('open:'.padEnd(255, 'a'));
        await client.expectError('subscribe', { channel: 'open:'.padEnd(256, 'a') }, 107);
        for (const channel of ['', 'open:\n', 'open:\u0000', 'open:\u007f', 'open:ä']) {
            await client.expectError('subscribe', { channel }, 107);
        }
        client.close();
    });

    test('J10: odd characters in a name are carried as they are', async () => {
        const client = await connect();
        for (const channel of ['open:a b', 'open:*', "open:'\"\\", 'open:../../x', 'open:__keyspace@0__', 'open:{1}', 'open:%0d%0a']) {
            await client.subscribe(channel);
            await client.publish(channel, 1);
            await client.expectPublication(channel);
        }
        client.close();
    });

    test('a namespace with channel_regex decides over its names, UTF-8 included', async () => {
        const client = await connect();
        await client.subscribe('regex:abc');
        await client.subscribe('regex:käse');
        for (const name of ['', 'ABC', 'abcdefghi', 'a1']) {
            await client.expectError('subscribe', { channel: `regex:${name}` }, 107);
        }
        client.close();
    });

    test('an unknown namespace is error 102, for every command', async () => {
        const client = await connect();
        for (const method of ['subscribe', 'publish', 'presence', 'presence_stats', 'history']) {
            await client.expectError(method, { channel: 'nope:a', data: 1 }, 102);
        }
        client.close();
    });

    test('what no option allows is error 103', async () => {
        const client = await connect();
        for (const channel of ['closed:a', 'plain', '$open:a', '$plain', 'limited:a']) {
            await client.expectError('subscribe', { channel }, 103);
        }
        await client.expectError('publish', { channel: 'closed:a', data: 1 }, 103);
        await client.expectError('publish', { channel: 'members:a', data: 1 }, 103);
        await client.expectError('subscribe', { channel: 'open:a', type: 1 }, 103);
        client.close();
    });

    test('anonymous users need the options for anonymous users', async () => {
        const client = await Client.connect(server, makeToken({ sub: '' }));
        await client.expectError('subscribe', { channel: 'open:a' }, 103);
        await client.expectError('publish', { channel: 'open:a', data: 1 }, 103);
        await client.subscribe('anon:a');
        await client.subscribe('anonpub:a');
        await client.publish('anonpub:a', 1);
        assert.deepEqual((await client.expectPublication('anonpub:a')).info, { user: '', client: client.id });
        client.close();
    });

    test('user-limited channels admit the users of their list and nobody else', async () => {
        const [user42, user4, nobody] = [await connect('42'), await connect('4'), await Client.connect(server, makeToken({}))];
        await user42.subscribe('limited:dialog#42,43');
        await user42.subscribe('limited:#42');
        for (const channel of ['limited:dialog#42,43', 'limited:#42', 'limited:x#4#42']) {
            await user4.expectError('subscribe', { channel }, 103);
        }
        await user42.expectError('subscribe', { channel: 'open:#42x', token: 'x' }, 103);
        for (const channel of ['limited:x#', 'limited:x#1,', 'limited:x#,']) {
            await nobody.expectError('subscribe', { channel }, 103);
        }
        [user42, user4, nobody].forEach((client) => client.close());
    });

    /* ---- subscription tokens ---- */

    test('a subscription token opens a channel that nothing else opens', async () => {
        const client = await connect();
        await client.subscribe('$closed:a', { token: subscriptionToken('42', '$closed:a') });
        await client.subscribe('closed:b', { token: subscriptionToken('42', 'closed:b') });
        await client.subscribe('$plain', { token: subscriptionToken('42', '$plain') });
        client.close();
    });

    test('a subscription token with a wrong signature is error 103, an expired one 109', async () => {
        const client = await connect();
        const channel = '$closed:a';
        await client.expectError('subscribe', { channel, token: makeToken({ sub: '42', channel }, 'x'.repeat(40)) }, 103);
        await client.expectError('subscribe', { channel, token: 'nonsense' }, 103);
        await client.expectError('subscribe', { channel, token: userToken('42') }, 103);
        await client.expectError('subscribe', { channel, token: subscriptionToken('42', channel, { exp: 1 }) }, 109);
        await client.expectError('subscribe', { channel, token: subscriptionToken('42', channel, { expire_at: 1 }) }, 110);
        client.close();
    });

    test('A09: a subscription token of another channel, user or client is closed 3500', async () => {
        const channel = '$closed:a';
        const tokens = [
            subscriptionToken('42', '$closed:b'),
            subscriptionToken('43', channel),
            makeToken({ channel }),
            subscriptionToken('42', channel, { client: 'another' }),
        ];
        for (const token of tokens) {
            const client = await connect();
            client.command('subscribe', { channel, token });
            await client.expectDisconnect(3500);
        }
    });

    test('the data of a subscription token comes with the reply, its info with publications', async () => {
        const client = await connect();
        const token = subscriptionToken('42', 'open:a', { info: { role: 'admin' }, data: { topic: [1, 2] } });
        assert.deepEqual(await client.subscribe('open:a', { token }), { data: { topic: [1, 2] } });
        await client.publish('open:a', 1);
        assert.deepEqual((await client.expectPublication('open:a')).info, { user: '42', client: client.id, chan_info: { role: 'admin' } });
        client.close();
    });

    test('overrides of a subscription token replace the options of the namespace', async () => {
        const [client, other] = [await connect('42'), await connect('43')];
        const channel = 'public:override';
        const token = subscriptionToken('42', channel, { override: { presence: { value: false }, force_recovery: { value: true } } });
        const reply = await client.subscribe(channel, { token });
        assert.equal(reply.recoverable, true);
        await other.subscribe(channel);
        assert.deepEqual(Object.keys((await other.call('presence', { channel })).presence as Json), [other.id]);
        client.close();
        other.close();
    });

    /* ---- publish ---- */

    test('a publication reaches every subscriber once, with who published it', async () => {
        const publisher = await connect('7', { info: { name: 'Ann' } });
        const readers = await connectMany(server, 8, userToken('42'));
        await Promise.all(readers.map((reader) => reader.subscribe('open:news')));
        assert.deepEqual(await publisher.publish('open:news', { text: 'hi' }), {});
        for (const reader of readers) {
            assert.deepEqual(await reader.expectPublication('open:news'), {
                data: { text: 'hi' },
                info: { user: '7', client: publisher.id, conn_info: { name: 'Ann' } },
            });
            await reader.expectNothing('pub');
        }
        [publisher, ...readers].forEach((client) => client.close());
    });

    test('the publisher, if subscribed, gets its own publications in the order it made them', async () => {
        const client = await connect();
        await client.subscribe('open:own');
        const count = 100;
        client.batch(Array.from({ length: count }, (_, i) => ({ id: 100 + i, publish: { channel: 'open:own', data: i } })));
        for (let i = 0; i < count; i++) {
            assert.equal((await client.expectPublication('open:own')).data, i);
            await client.expectReply(100 + i);
        }
        client.close();
    });

    test('all subscribers see the publications of several publishers in one order', async () => {
        const publishers = await connectMany(server, 4, userToken('1'));
        const readers = await connectMany(server, 4, userToken('2'));
        await Promise.all(readers.map((reader) => reader.subscribe('public:order')));
        for (let i = 0; i < 50; i++) {
            publishers.forEach((publisher, p) => publisher.command('publish', { channel: 'public:order', data: `${p}-${i}` }));
        }
        const orders = await Promise.all(
            readers.map(async (reader) => {
                const seen: string[] = [];
                for (let i = 1; i <= 200; i++) {
                    const publication = await reader.expectPublication('public:order');
                    assert.equal(publication.offset, i);
                    seen.push(publication.data as string);
                }
                return seen;
            }),
        );
        for (const order of orders) {
            assert.deepEqual(order, orders[0]);
        }
        for (let p = 0; p < 4; p++) {
            const own = orders[0]?.filter((entry) => entry.startsWith(`${p}-`));
            assert.deepEqual(own, Array.from({ length: 50 }, (_, i) => `${p}-${i}`));
        }
        [...publishers, ...readers].forEach((client) => client.close());
    });

    const payloads = [
        '1E400',
        '-0',
        '0.10',
        '12345678901234567890123456789',
        '1e-7',
        '"\\u00e4\\/\\ud83d\\ude00 \\u0000"',
        '"ä😀"',
        '{"b":1,"a":2,"b2":{}}',
        '{ "spaces" : [ 1 , 2 ]  }',
        '[]',
        '{}',
        'null',
        'false',
        '0',
        '""',
        '"\\ud800"',
    ];
    test('J13: a payload arrives byte for byte as it was published', async () => {
        const [publisher, reader] = [await connect('1'), await connect('2')];
        await reader.subscribe('public:bytes');
        for (const payload of payloads) {
            const id = publisher.nextId();
            publisher.sendText(`{"id":${id},"publish":{"channel":"public:bytes","data":${payload}}}`);
            await publisher.expectReply(id);
            const push = await reader.expectPushMessage('pub', 'public:bytes');
            assert.ok(push.text.includes(`"data":${payload}`), `${payload} came as ${push.text}`);
        }
        const history = await reader.callRaw('history', { channel: 'public:bytes', limit: -1 });
        for (const payload of payloads.slice(-10)) {
            assert.ok(history.text.includes(`"data":${payload}`), payload);
        }
        publisher.close();
        reader.close();
    });

    test('line ends inside a payload do not end the message that carries it', async () => {
        const client = await connect();
        await client.subscribe('open:lines');
        client.sendText('{"id":90,"publish":{"channel":"open:lines","data":{\n"a":\r\n1}}}');
        await client.expectReply(90);
        assert.deepEqual((await client.expectPublication('open:lines')).data, { a: 1 });
        client.close();
    });

    test('a publication without data is error 107, and so is one of the wrong format', async () => {
        const client = await connect();
        await client.expectError('publish', { channel: 'open:a' }, 107);
        await client.publish('object:a', { fine: true });
        for (const data of [1, 'x', [1], null]) {
            await client.expectError('publish', { channel: 'object:a', data }, 107);
        }
        client.close();
    });

    test('subscribers may publish where only subscribers may', async () => {
        const client = await connect();
        await client.expectError('publish', { channel: 'members:pub', data: 1 }, 103);
        await client.subscribe('members:pub');
        await client.publish('members:pub', 1);
        await client.call('unsubscribe', { channel: 'members:pub' });
        await client.expectError('publish', { channel: 'members:pub', data: 1 }, 103);
        client.close();
    });

    /* ---- presence, join, leave ---- */

    test('presence names every client with its infos, and presence_stats counts clients and users', async () => {
        const channel = 'public:who';
        const [a, b, c] = [await connect('1', { info: { n: 1 } }), await connect('1'), await connect('2')];
        await a.subscribe(channel);
        await b.subscribe(channel, { token: subscriptionToken('1', channel, { info: 'x' }) });
        await c.subscribe(channel);
        assert.deepEqual((await a.call('presence', { channel })).presence, {
            [a.id]: { user: '1', client: a.id, conn_info: { n: 1 } },
            [b.id]: { user: '1', client: b.id, chan_info: 'x' },
            [c.id]: { user: '2', client: c.id },
        });
        assert.deepEqual(await a.call('presence_stats', { channel }), { num_clients: 3, num_users: 2 });
        await b.call('unsubscribe', { channel });
        assert.deepEqual(await a.call('presence_stats', { channel }), { num_clients: 2, num_users: 2 });
        c.close();
        await eventually('the one that is gone is gone', async () => (await a.call('presence_stats', { channel })).num_clients === 1);
        a.close();
        b.close();
    });

    test('presence of an empty channel is an empty object, and zeros are written', async () => {
        const client = await connect();
        assert.match((await client.callRaw('presence', { channel: 'public:nobody' })).text, /"presence":\{"presence":\{\}\}/);
        assert.match(
            (await client.callRaw('presence_stats', { channel: 'public:nobody' })).text,
            /"presence_stats":\{"num_clients":0,"num_users":0\}/,
        );
        client.close();
    });

    test('J11: presence and history of a channel one is not in are error 103, where there is none 108', async () => {
        const client = await connect();
        for (const method of ['presence', 'presence_stats', 'history']) {
            await client.expectError(method, { channel: 'members:a' }, 103);
            await client.expectError(method, { channel: 'open:a' }, 108);
        }
        await client.subscribe('members:a');
        for (const method of ['presence', 'presence_stats', 'history']) {
            await client.call(method, { channel: 'members:a' });
        }
        client.close();
    });

    test('join and leave are pushed to those that asked and may see presence, their own join included', async () => {
        const [watcher, other] = [await connect('1'), await connect('2', { info: 'hello' })];
        await watcher.subscribe('asked:room', { join_leave: true });
        assert.deepEqual(await watcher.expectPush('join', 'asked:room'), { info: { user: '1', client: watcher.id } });
        await other.subscribe('asked:room');
        const info = { user: '2', client: other.id, conn_info: 'hello' };
        assert.deepEqual(await watcher.expectPush('join', 'asked:room'), { info });
        await other.call('unsubscribe', { channel: 'asked:room' });
        assert.deepEqual(await watcher.expectPush('leave', 'asked:room'), { info });
        await other.subscribe('asked:room');
        await watcher.expectPush('join', 'asked:room');
        await other.expectNothing();
        other.ws.raw.reset();
        assert.deepEqual(await watcher.expectPush('leave', 'asked:room'), { info });
        watcher.close();
    });

    test('join and leave are pushed unasked where the namespace forces them, and nowhere else', async () => {
        const [watcher, other] = [await connect('1'), await connect('2')];
        await watcher.subscribe('forced:room');
        await watcher.expectPush('join', 'forced:room');
        await watcher.subscribe('silent:room', { join_leave: true });
        await other.subscribe('silent:room', { join_leave: true });
        await other.subscribe('forced:room');
        assert.deepEqual(await watcher.expectPush('join'), { info: { user: '2', client: other.id } });
        await watcher.expectNothing();
        watcher.close();
        other.close();
    });

    /* ---- history ---- */

    describe('history', () => {
        const channel = 'public:history';
        let client: Client;
        let epoch: string;

        test('is empty before the first publication, and has an epoch', async () => {
            client = await connect();
            const result = await client.call('history', { channel, limit: -1 });
            assert.deepEqual([result.publications, result.offset], [[], 0]);
            assert.match(result.epoch as string, /^\S+$/);
            epoch = result.epoch as string;
        });

        test('keeps the newest publications up to its size', async () => {
            for (let i = 1; i <= 12; i++) {
                await client.publish(channel, i);
            }
            const result = await client.call('history', { channel, limit: -1 });
            assert.deepEqual(result.publications.map((p: Json) => p.offset), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            assert.deepEqual(result.publications[0], { data: 3, info: { user: '42', client: client.id }, offset: 3 });
            assert.deepEqual([result.offset, result.epoch], [12, epoch]);
        });

        const asked: [string, Json, number[]][] = [
            ['limit 0 is the position alone', { limit: 0 }, []],
            ['without a limit it is the position alone', {}, []],
            ['a limit starts at the oldest', { limit: 3 }, [3, 4, 5]],
            ['reverse starts at the newest', { limit: 3, reverse: true }, [12, 11, 10]],
            ['since is exclusive', { limit: 3, since: { offset: 5 } }, [6, 7, 8]],
            ['since the top there is nothing', { limit: 3, since: { offset: 12 } }, []],
            ['since a trimmed offset it starts at the oldest kept', { limit: 2, since: { offset: 1 } }, [3, 4]],
            ['reverse since is exclusive too', { limit: 3, since: { offset: 5 }, reverse: true }, [4, 3]],
            ['a limit larger than what there is gives what there is', { limit: 1000 }, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
        ];
        for (const [name, request, offsets] of asked) {
            test(name, async () => {
                const result = await client.call('history', { channel, ...request });
                assert.deepEqual(result.publications.map((p: Json) => p.offset), offsets);
                assert.deepEqual([result.offset, result.epoch], [12, epoch]);
            });
        }

        test('since with the epoch of now is answered, with another it is error 112', async () => {
            const result = await client.call('history', { channel, limit: 1, since: { offset: 5, epoch } });
            assert.equal(result.publications[0].offset, 6);
            await client.expectError('history', { channel, limit: 1, since: { offset: 5, epoch: 'other' } }, 112);
        });

        test('J09: reverse since 0 and limits below -1 are error 107', async () => {
            await client.expectError('history', { channel, limit: 1, reverse: true, since: { offset: 0 } }, 107);
            await client.expectError('history', { channel, limit: -2 }, 107);
            await client.expectError('history', { channel, limit: 2147483648 }, 107);
            client.close();
        });
    });

    /* ---- what there is not ---- */

    test('rpc is error 108, and send is closed 3508, where nothing handles them', async () => {
        const client = await connect();
        const error = await client.expectError('rpc', { method: 'x', data: {} }, 108);
        assert.equal(error.message, 'not available');
        client.sendText('{"send":{"data":1}}');
        await client.expectDisconnect(3508);
    });

    test('errors carry code and message, and temporary only where it is true', async () => {
        const client = await connect();
        assert.deepEqual(await client.expectError('subscribe', { channel: 'nope:a' }, 102), { code: 102, message: 'unknown channel' });
        assert.deepEqual(await client.expectError('subscribe', { channel: 'closed:a' }, 103), { code: 103, message: 'permission denied' });
        client.close();
    });

    test('an unknown delta type is closed 3501', async () => {
        const client = await connect();
        client.command('subscribe', { channel: 'open:a', delta: 'xdelta' });
        await client.expectDisconnect(3501);
    });

    test('expiring tokens of subscriptions say so in the reply', async () => {
        const client = await connect();
        const reply = await client.subscribe('open:a', { token: subscriptionToken('42', 'open:a', { exp: inSeconds(50) }) });
        assert.equal(reply.expires, true);
        assert.ok(reply.ttl >= 48 && reply.ttl <= 50, String(reply.ttl));
        client.close();
    });
});
