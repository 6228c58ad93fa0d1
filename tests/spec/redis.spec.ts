/* redis.spec.ts - several nodes with one Redis: one server to their clients, and what outages mean to them
 * (THREATS D01 to D08). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { eventually, pause, timed } from './support/deadline.ts';
import { request } from './support/http.ts';
import { Redis } from './support/redis.ts';
import { Server, merged, type Config } from './support/server.ts';
import { userToken } from './support/token.ts';

const OPEN = { allow_subscribe_for_client: true, allow_publish_for_client: true, allow_history_for_client: true };
const NAMESPACES = [
    { name: 'plain', ...OPEN },
    { name: 'stream', ...OPEN, history_size: 100, history_ttl: '300s', force_recovery: true, force_positioning: true },
    { name: 'small', ...OPEN, history_size: 3, history_ttl: '300s', force_recovery: true },
    { name: 'cache', ...OPEN, history_size: 1, history_ttl: '300s', force_recovery: true, force_recovery_mode: 'cache' },
    {
        name: 'room',
        ...OPEN,
        presence: true,
        join_leave: true,
        force_push_join_leave: true,
        allow_presence_for_subscriber: true,
    },
];

/* Nodes that share a Redis; `redis` is there before any of them, and ends after them. */
class Nodes {
    redis!: Redis;
    readonly nodes: Server[] = [];
    private channelCount = 0;

    get a(): Server {
        return this.nodes[0] as Server;
    }
    get b(): Server {
        return this.nodes[1] as Server;
    }

    async start(redisArgs: string[] = [], config: Config = {}) {
        this.redis = await Redis.start(...redisArgs);
        this.nodes.push(await this.startNode(config), await this.startNode(config));
    }

    async startNode(config: Config = {}): Promise<Server> {
        const redis = { address: [this.redis.address], prefix: 'spec', io_timeout: '1500ms' };
        const base: Config = {
            engine: { type: 'redis', redis },
            channel: { namespaces: NAMESPACES },
            limits: { command_rate: 1000000, command_burst: 1000000 },
        };
        const node = await Server.start({ config: merged(base, config) });
        await this.isReady(node);
        return node;
    }

    async isReady(node: Server) {
        await eventually('the node is ready', async () => (await request(node.port, '/health/ready')).status === 200, 10000);
    }

    async stop() {
        await this.redis.ensureRunning();
        for (const node of this.nodes) {
            await node.stop();
        }
        await this.redis.stop();
    }

    channel(namespace: string): string {
        return `${namespace}:${++this.channelCount}`;
    }

    connect(node: Server, user = '42'): Promise<Client> {
        return Client.connect(node, userToken(user));
    }
}

function nodesFor(redisArgs: string[] = [], config: Config = {}): Nodes {
    const nodes = new Nodes();
    before(() => nodes.start(redisArgs, config));
    after(() => nodes.stop());
    return nodes;
}

/* A publish that is answered with an error that may go away. */
async function expectTemporary(node: Server, channel: string) {
    const { error } = await node.api('publish', { channel, data: 'lost' });
    assert.equal((error as Json | undefined)?.code, 100, JSON.stringify(error));
}

/* Publishes until it succeeds; returns the data. */
async function publishUntilAccepted(node: Server, channel: string, data: unknown) {
    await eventually('a publish is accepted', async () => !('error' in (await node.api('publish', { channel, data }))), 10000);
}

describe('two nodes', () => {
    const it = nodesFor();

    test('a publication on one node reaches subscribers of both, in one order', async () => {
        const channel = it.channel('stream');
        const [first, second] = [await it.connect(it.a), await it.connect(it.b)];
        await first.subscribe(channel);
        await second.subscribe(channel);
        for (let n = 1; n <= 20; n++) {
            await (n % 2 === 0 ? it.a : it.b).apiResult('publish', { channel, data: n });
        }
        for (const client of [first, second]) {
            for (let n = 1; n <= 20; n++) {
                const publication = await client.expectPublication(channel);
                assert.deepEqual([publication.data, publication.offset], [n, n]);
            }
            client.close();
        }
    });

    test('what a client publishes arrives byte for byte, with its info, without history too', async () => {
        const channel = it.channel('plain');
        const [first, second] = [await it.connect(it.a), await it.connect(it.b)];
        await second.subscribe(channel);
        const data = { text: 'ü\r\n*3\r\n$4\r\n\u0000 1E400', numbers: [1.0, 12345678901234567890n.toString()] };
        await first.publish(channel, data);
        const publication = await second.expectPublication(channel);
        assert.deepEqual(publication.data, data);
        assert.deepEqual(publication.info, { user: '42', client: first.id });
        first.close();
        second.close();
    });

    test('D01: names with spaces, quotes and CR LF in Redis terms stay one argument', async () => {
        const channel = `stream:{x} "y" $3 * 'z' \\`;
        const client = await it.connect(it.b);
        await client.subscribe(channel);
        await it.a.apiResult('publish', { channel, data: 'x' });
        assert.equal((await client.expectPublication(channel)).data, 'x');
        client.close();
    });

    test('a client recovers on another node what it missed on the first', async () => {
        const channel = it.channel('stream');
        const client = await it.connect(it.a);
        const { epoch } = await client.subscribe(channel);
        client.close();
        for (let n = 1; n <= 5; n++) {
            await it.a.apiResult('publish', { channel, data: n });
        }
        const other = await it.connect(it.b);
        const reply = await other.subscribe(channel, { recover: true, epoch, offset: 2 });
        assert.equal(reply.recovered, true);
        assert.deepEqual((reply.publications as Json[]).map((p) => p.data), [3, 4, 5]);
        await it.a.apiResult('publish', { channel, data: 6 });
        assert.equal((await other.expectPublication(channel)).offset, 6);
        other.close();
    });

    test('what was trimmed away cannot be recovered, and that is said', async () => {
        const channel = it.channel('small');
        const client = await it.connect(it.a);
        const { epoch } = await client.subscribe(channel);
        client.close();
        for (let n = 1; n <= 5; n++) {
            await it.a.apiResult('publish', { channel, data: n });
        }
        const other = await it.connect(it.b);
        const reply = await other.subscribe(channel, { recover: true, epoch, offset: 1 });
        assert.deepEqual([reply.recovered ?? false, reply.publications], [false, undefined]);
        other.close();
    });

    test('cache recovery gives the newest publication of any node', async () => {
        const channel = it.channel('cache');
        await it.a.apiResult('publish', { channel, data: 'old' });
        await it.b.apiResult('publish', { channel, data: 'new' });
        const client = await it.connect(it.a);
        const reply = await client.subscribe(channel, { recover: true });
        assert.equal(reply.recovered, true);
        assert.deepEqual((reply.publications as Json[]).map((p) => p.data), ['new']);
        client.close();
    });

    test('history is the same on both, and removing it removes it on both', async () => {
        const channel = it.channel('stream');
        await it.a.apiResult('publish', { channel, data: 1 });
        await it.b.apiResult('publish', { channel, data: 2 });
        const [onA, onB] = [await it.a.apiResult('history', { channel, limit: -1 }), await it.b.apiResult('history', { channel, limit: -1 })];
        assert.deepEqual(onA, onB);
        assert.equal((onA.publications as Json[]).length, 2);
        await it.b.apiResult('history_remove', { channel });
        const left = await it.a.apiResult('history', { channel, limit: -1 });
        assert.deepEqual([(left.publications as Json[]).length, left.offset, left.epoch], [0, 2, onA.epoch]);
    });

    test('an idempotency key publishes once in the cluster', async () => {
        for (const namespace of ['stream', 'plain']) {
            const channel = it.channel(namespace);
            const client = await it.connect(it.b);
            await client.subscribe(channel);
            const first = await it.a.apiResult('publish', { channel, data: 'once', idempotency_key: 'k' });
            const again = await it.b.apiResult('publish', { channel, data: 'twice', idempotency_key: 'k' });
            await it.a.apiResult('publish', { channel, data: 'end' });
            assert.deepEqual([again.offset, again.epoch], [first.offset, first.epoch]);
            assert.equal((await client.expectPublication(channel)).data, 'once');
            assert.equal((await client.expectPublication(channel)).data, 'end');
            client.close();
        }
    });

    test('a version that is not newer is not published, whichever node is asked', async () => {
        const channel = it.channel('stream');
        const client = await it.connect(it.a);
        await client.subscribe(channel);
        await it.a.apiResult('publish', { channel, data: 'v9', version: 9 });
        await it.b.apiResult('publish', { channel, data: 'v9 again', version: 9 });
        await it.b.apiResult('publish', { channel, data: 'v8', version: 8 });
        await it.b.apiResult('publish', { channel, data: 'v10', version: 10 });
        assert.equal((await client.expectPublication(channel)).data, 'v9');
        assert.equal((await client.expectPublication(channel)).data, 'v10');
        client.close();
    });

    test('presence shows the clients of both nodes, by client and by user', async () => {
        const channel = it.channel('room');
        const clients = [await it.connect(it.a, 'x'), await it.connect(it.b, 'x'), await it.connect(it.b, 'y')];
        for (const client of clients) {
            await client.subscribe(channel);
        }
        for (const node of it.nodes) {
            const { presence } = await node.apiResult('presence', { channel });
            const entries = presence as { [client: string]: Json };
            assert.deepEqual(Object.keys(entries).sort(), clients.map((client) => client.id).sort());
            assert.equal(entries[clients[2]?.id as string]?.user, 'y');
            assert.deepEqual(await node.apiResult('presence_stats', { channel }), { num_clients: 3, num_users: 2 });
        }
        clients[1]?.close();
        await eventually('presence without the one that left', async () => {
            const stats = await it.a.apiResult('presence_stats', { channel });
            return stats.num_clients === 2 && stats.num_users === 2;
        });
        clients.forEach((client) => client.close());
    });

    test('joins and leaves on one node are told on the other', async () => {
        const channel = it.channel('room');
        const [watcher, visitor] = [await it.connect(it.a, 'w'), await it.connect(it.b, 'v')];
        await watcher.subscribe(channel);
        await watcher.expectPush('join', channel);
        await visitor.subscribe(channel);
        assert.equal(((await watcher.expectPush('join', channel)).info as Json).user, 'v');
        visitor.close();
        assert.equal(((await watcher.expectPush('leave', channel)).info as Json).user, 'v');
        watcher.close();
    });
});
