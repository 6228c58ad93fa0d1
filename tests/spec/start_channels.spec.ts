/* start_channels.spec.ts - what a connection is subscribed to by the server (PROTOCOL sections 7.7, 9.1, 10). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

forEachWorkerCount('server-side subscriptions from tokens', (workers) => {
    const server = serverFor({ http_server: { workers } });

    async function connect(user: string, claims: Json, request: Json = {}): Promise<{ client: Client; reply: Json }> {
        const client = await Client.open(server);
        return { client, reply: await client.connect({ token: userToken(user, claims), ...request }) };
    }

    test('come with the connect reply, and publications of them come without a subscribe', async () => {
        const { client, reply } = await connect('1', { channels: ['open:a', '$closed:b'] });
        assert.deepEqual(reply.subs, { 'open:a': {}, '$closed:b': {} });
        await client.publish('open:a', 7);
        assert.equal((await client.expectPublication('open:a')).data, 7);
        await client.expectError('subscribe', { channel: 'open:a' }, 105);
        client.close();
    });

    test('the reply comes before any publication of them, however busy they are', async () => {
        const publisher = await Client.connect(server, userToken('9'));
        let isOver = false;
        const publishing = (async () => {
            while (!isOver) {
                await publisher.publish('open:busy', 1).catch(() => new Promise((resolve) => setTimeout(resolve, 20)));
            }
        })();
        for (let i = 0; i < 10; i++) {
            const client = await Client.open(server);
            client.command('connect', { token: userToken('1', { channels: ['open:busy'] }) });
            assert.ok((await client.nextMessage()).json.connect);
            await client.expectPublication('open:busy');
            client.close();
        }
        isOver = true;
        await publishing;
        publisher.close();
    });

    test('of a namespace with recovery have a position', async () => {
        const { client, reply } = await connect('1', { channels: ['chat:pos'] });
        const sub = reply.subs['chat:pos'] as Json;
        assert.equal(sub.recoverable, true);
        assert.equal(sub.positioned, true);
        assert.match(sub.epoch as string, /\S/);
        client.close();
    });

    test('recover what was missed since the position that the client gives', async () => {
        const first = await connect('1', { channels: ['chat:room', 'chat:other'] });
        for (let n = 1; n <= 3; n++) {
            await first.client.publish('chat:room', n);
        }
        const { epoch } = first.reply.subs['chat:room'] as Json;
        const second = await connect(
            '1',
            { channels: ['chat:room', 'chat:other'] },
            { subs: { 'chat:room': { recover: true, epoch, offset: 1 }, 'chat:other': { recover: true, epoch: 'lost', offset: 5 } } },
        );
        const room = second.reply.subs['chat:room'] as Json;
        assert.equal(room.recovered, true);
        assert.equal(room.was_recovering, true);
        assert.equal(room.offset, 1);
        assert.deepEqual(room.publications.map((p: Json) => [p.offset, p.data]), [[2, 2], [3, 3]]);
        const other = second.reply.subs['chat:other'] as Json;
        assert.equal(other.was_recovering, true);
        assert.ok(!('recovered' in other) && !('publications' in other));
        await first.client.publish('chat:room', 4);
        assert.equal((await second.client.expectPublication('chat:room')).offset, 4);
        first.client.close();
        second.client.close();
    });

    test('subs carry info, data and overrides, and win over channels', async () => {
        const subs = { 'public:a': { info: { role: 'x' }, data: { hello: 1 }, override: { force_recovery: { value: true } } } };

        const { client, reply } = await connect('1', { subs: { 'stream:a': subs['public:a'] }, channels: ['open:b'] });
        assert.deepEqual(Object.keys(reply.subs as Json), ['stream:a']);
        const sub = reply.subs['stream:a'] as Json;
        assert.equal(sub.recoverable, true);
        await client.publish('stream:a', 1);
        assert.deepEqual((await client.expectPublication('stream:a')).info.chan_info, { role: 'x' });
        client.close();
    });

    test('of an unknown namespace make the connect an error 102', async () => {
        for (const claims of [{ channels: ['open:a', 'nope:b'] }, { subs: { 'nope:a': {} } }]) {
            const client = await Client.open(server);
            await client.expectError('connect', { token: userToken('1', claims) }, 102);
            client.close();
        }
    });

    test('may be left by the client', async () => {
        const { client } = await connect('1', { channels: ['open:a'] });
        await client.call('unsubscribe', { channel: 'open:a' });
        await client.subscribe('open:a');
        client.close();
    });

    test('count in presence and announce themselves', async () => {
        const watcher = await connect('1', { channels: ['chat:seen'] });
        const stats = await watcher.client.call('presence_stats', { channel: 'chat:seen' });
        assert.deepEqual(stats, { num_clients: 1, num_users: 1 });
        watcher.client.close();
    });

    test('named twice are one subscription', async () => {
        const { client, reply } = await connect('1', { channels: ['open:a', 'open:a'] });
        assert.deepEqual(reply.subs, { 'open:a': {} });
        await client.publish('open:a', 1);
        await client.expectPublication('open:a');
        await client.expectNothing();
        client.close();
    });
});

describe('personal channels', () => {
    const server = serverFor({
        client: { subscribe_to_user_personal_channel: { enabled: true, personal_channel_namespace: 'me' } },
        channel: { namespaces: [{ name: 'me', allow_user_limited_channels: true, allow_publish_for_subscriber: true }] },
    });

    test('a new token that names no channels leaves them alone', async () => {
        const client = await Client.open(server);
        await client.connect({ token: userToken('44') });
        await client.call('refresh', { token: userToken('44') });
        await server.api('publish', { channel: 'me:#44', data: 'still here' });
        assert.equal((await client.expectPublication('me:#44')).data, 'still here');
        client.close();
    });

    test('every connection of a user starts with the channel of that user', async () => {
        const [a, b, other] = [await Client.open(server), await Client.open(server), await Client.open(server)];
        assert.deepEqual((await a.connect({ token: userToken('42') })).subs, { 'me:#42': {} });
        await b.connect({ token: userToken('42') });
        assert.deepEqual((await other.connect({ token: userToken('43') })).subs, { 'me:#43': {} });
        await a.publish('me:#42', 'note to self');
        assert.equal((await b.expectPublication('me:#42')).data, 'note to self');
        await other.expectError('subscribe', { channel: 'me:#42' }, 103);
        [a, b, other].forEach((client) => client.close());
    });

    test('an anonymous user has none', async () => {
        const client = await Client.open(server);
        assert.ok(!('subs' in (await client.connect({ token: userToken('') }))));
        client.close();
    });

    test('a user whose name would list others has none', async () => {
        const client = await Client.open(server);
        assert.ok(!('subs' in (await client.connect({ token: userToken('42,43') }))));
        client.close();
    });
});

describe('with single_connection', () => {
    const server = serverFor({
        client: { subscribe_to_user_personal_channel: { enabled: true, personal_channel_namespace: 'me', single_connection: true } },
        channel: { namespaces: [{ name: 'me', presence: true }] },
    });

    test('a new connection of a user ends the older one', async () => {
        const old = await Client.connect(server, userToken('42'));
        const other = await Client.connect(server, userToken('43'));
        const fresh = await Client.connect(server, userToken('42'));
        await old.expectDisconnect(3503);
        await fresh.expectNothing();
        await other.expectNothing();
        fresh.close();
        other.close();
    });
});
