/* shared_limits.spec.ts - limits that several connections share: publish rates of users, addresses and channels, channels of a
 * user. Each is tried at one below, at and one above its bound. Rates are 1 a second, so that bursts decide.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

/* Publishes `count` times in one message, and says which replies were errors: "..x" */
async function publishes(client: Client, count: number, channel: string): Promise<string> {
    const ids = Array.from({ length: count }, () => client.nextId());
    client.batch(ids.map((id) => ({ id, publish: { channel, data: {} } })));
    let outcome = '';
    for (const id of ids) {
        const reply: Json = (await client.expectReply(id)).json;
        assert.ok(reply.error === undefined || reply.error.code === 111, JSON.stringify(reply));
        outcome += reply.error === undefined ? '.' : 'x';
    }
    return outcome;
}

const RATE = { user_publish_rate: 1, user_publish_burst: 3, ip_publish_rate: 1, ip_publish_burst: 3 };
const LIMITS = { ...RATE, channel_publish_rate: 1, channel_publish_burst: 3 };

forEachWorkerCount('publish rates', (workers) => {
    describe('of a user, hard', () => {
        const server = serverFor({ http_server: { workers }, limits: { ...LIMITS, user_publish_mode: 'hard' } });

        test('a user publishes as often as the burst allows over all connections, others as they like', async () => {
            const clients = [await Client.connect(server, userToken('42')), await Client.connect(server, userToken('42'))];
            assert.equal(await publishes(clients[0]!, 2, 'open:a'), '..');
            assert.equal(await publishes(clients[1]!, 1, 'open:b'), '.');
            assert.equal(await publishes(clients[1]!, 1, 'open:c'), 'x');
            const other = await Client.connect(server, userToken('43'));
            assert.equal(await publishes(other, 3, 'open:a'), '...');
            assert.equal(await server.metric('starling_publications_over_rate_total', 'limit="user"'), 1);
            const line = await server.expectLog('publish_rate_exceeded');
            assert.equal(line.limit, 'limits.user_publish_rate');
            assert.equal(line.mode, 'hard');
            assert.equal(line.user, '42');
            [...clients, other].forEach((client) => client.close());
        });

        test('publications stay in order while they are asked for', async () => {
            const reader = await Client.connect(server, userToken('44'));
            await reader.subscribe('open:order');
            const writer = await Client.connect(server, userToken('45'));
            [1, 2, 3].forEach((n) => writer.command('publish', { channel: 'open:order', data: { n } }));
            for (const n of [1, 2, 3]) {
                assert.deepEqual((await reader.expectPublication('open:order')).data, { n });
            }
            reader.close();
            writer.close();
        });
    });

    describe('of an address, hard', () => {
        const server = serverFor({
            http_server: { workers, trusted_proxies: ['127.0.0.1'] },
            limits: { ...LIMITS, ip_publish_mode: 'hard' },
        });

        test('clients with one address share its rate', async () => {
            const from = (address: string) => ({ headers: { 'X-Forwarded-For': address } });
            const first = await Client.connect(server, userToken('1'), from('198.51.100.1'));
            const second = await Client.connect(server, userToken('2'), from('198.51.100.1'));
            const other = await Client.connect(server, userToken('1'), from('198.51.100.2'));
            assert.equal(await publishes(first, 2, 'open:a'), '..');
            assert.equal(await publishes(second, 2, 'open:b'), '.x');
            assert.equal(await publishes(other, 3, 'open:c'), '...');
            [first, second, other].forEach((client) => client.close());
        });
    });

    describe('of a channel', () => {
        const server = serverFor({
            http_server: { workers },
            limits: { ...LIMITS, user_publish_mode: 'soft', channel_publish_mode: 'hard' },
        });

        test('a hard limit refuses, a soft one only counts', async () => {
            const first = await Client.connect(server, userToken('1'));
            const second = await Client.connect(server, userToken('2'));
            assert.equal(await publishes(first, 3, 'open:a'), '...');
            assert.equal(await publishes(second, 1, 'open:a'), 'x');
            assert.equal(await publishes(first, 1, 'open:b'), '.');
            assert.equal(await server.metric('starling_publications_over_rate_total', 'limit="user"'), 1);
            assert.equal(await server.metric('starling_publications_over_rate_total', 'limit="channel"'), 1);
            first.close();
            second.close();
        });

        test('the server API is not counted', async () => {
            for (let i = 0; i < 5; i++) {
                await server.apiResult('publish', { channel: 'open:api', data: {} });
            }
        });
    });

    describe('that are off', () => {
        const server = serverFor({ http_server: { workers }, limits: LIMITS });

        test('limit nothing', async () => {
            const client = await Client.connect(server, userToken('1'));
            assert.equal(await publishes(client, 10, 'open:a'), '..........');
            assert.equal(await server.metric('starling_publications_over_rate_total'), 0);
            client.close();
        });
    });
});

forEachWorkerCount('channels of a user', (workers) => {
    const server = serverFor({ http_server: { workers }, limits: { user_channel_limit: 3 } });
    const connect = () => Client.connect(server, userToken('42'));

    test('are counted over all connections, and given back by leaving and by going', async () => {
        const first = await connect();
        const second = await connect();
        await first.subscribe('open:a');
        await first.subscribe('open:b');
        await second.subscribe('open:a');
        assert.equal((await second.expectError('subscribe', { channel: 'open:c' }, 106)).message, 'limit exceeded');
        assert.equal((await server.expectLog('subscribe_refused')).option, 'limits.user_channel_limit');
        await first.call('unsubscribe', { channel: 'open:b' });
        await second.subscribe('open:c');
        await second.expectError('subscribe', { channel: 'open:d' }, 106);
        first.close();
        await eventually('a place', async () => {
            const reply = await second.expectReply(second.command('subscribe', { channel: 'open:d' }));
            return reply.json.error === undefined;
        });
        second.close();
    });

    test('a subscribe that is refused takes no place', async () => {
        const client = await Client.connect(server, userToken('43'));
        for (let i = 0; i < 5; i++) {
            await client.expectError('subscribe', { channel: 'closed:a' }, 103);
        }
        await client.subscribe('open:a');
        await client.expectError('subscribe', { channel: 'open:a' }, 105);
        await client.subscribe('open:b');
        await client.subscribe('open:c');
        await client.expectError('subscribe', { channel: 'open:d' }, 106);
        client.close();
    });

    test('server-side subscriptions are the server\'s own affair', async () => {
        const client = await Client.connect(server, userToken('44', { channels: ['open:a', 'open:b', 'open:c', 'open:d'] }));
        await client.subscribe('open:e');
        client.close();
    });
});
