/* redis.spec.ts - several nodes with one Redis: one server to their clients, and what outages mean to them
 * (THREATS D01 to D08). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { eventually, pause, timed } from './support/deadline.ts';
import { request } from './support/http.ts';
import { Redis } from './support/redis.ts';
import { Server, merged, scratch, type Config } from './support/server.ts';
import { userToken } from './support/token.ts';

const OPEN = { allow_subscribe_for_client: true, allow_publish_for_client: true, allow_history_for_client: true };
const NAMESPACES = [
    { name: 'plain', ...OPEN },
    { name: 'stream', ...OPEN, history_size: 10000, history_ttl: '300s', force_recovery: true, force_positioning: true },
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

    test('the API disconnects, unsubscribes, subscribes and refreshes a user on whichever node they are', async () => {
        const channel = it.channel('plain');
        const client = await it.connect(it.b, 'mallory');
        await it.a.apiResult('subscribe', { user: 'mallory', channel });
        await client.expectPush('subscribe', channel);
        await it.a.apiResult('publish', { channel, data: 1 });
        await client.expectPublication(channel);
        await it.a.apiResult('unsubscribe', { user: 'mallory', channel });
        assert.equal((await client.expectPush('unsubscribe', channel)).code, 2000);
        const spared = await it.connect(it.b, 'mallory');
        await it.a.apiResult('disconnect', { user: 'mallory', whitelist: [spared.id], disconnect: { code: 4321, reason: 'bye' } });
        assert.equal(await client.expectDisconnect(4321), 'bye');
        await it.a.apiResult('disconnect', { user: 'mallory' });
        await spared.expectDisconnect(3503);
    });

    test('info lists every node with its own numbers', async () => {
        const clients = [await it.connect(it.a), await it.connect(it.b), await it.connect(it.b)];
        for (const node of it.nodes) {
            await eventually('both nodes with their clients', async () => {
                const nodes = (await node.apiResult('info', {})).nodes as Json[];
                return nodes.length === 2 && nodes.map((each) => each.num_clients).sort().join() === '1,2';
            });
        }
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

/* Numbered publications while something goes wrong: what was acknowledged, and what a subscriber saw of it. */
class Journal {
    readonly acknowledged: number[] = [];
    private n = 0;
    private isOver = false;
    private loops: Promise<void>[] = [];
    readonly channel: string;

    constructor(channel: string) {
        this.channel = channel;
    }

    start(...nodes: Server[]) {
        this.loops = nodes.map(async (node) => {
            while (!this.isOver) {
                const n = ++this.n;
                const answer = await node.api('publish', { channel: this.channel, data: n });
                if (!('error' in answer)) {
                    this.acknowledged.push(n);
                }
                await pause(5);
            }
        });
    }

    async stop() {
        this.isOver = true;
        await Promise.all(this.loops);
    }

    /* Nobody was told of a loss, so everything acknowledged has come, once, with offsets that rise by one. */
    async expectAll(client: Client) {
        const seen: number[] = [];
        let offset = 0;
        const last = 'the end';
        for (;;) {
            const publication = await client.expectPublication(this.channel, 10000);
            assert.ok(offset === 0 || publication.offset === offset + 1, `${publication.offset} after ${offset}`);
            offset = publication.offset as number;
            if (publication.data === last) {
                break;
            }
            seen.push(publication.data as number);
        }
        assert.equal(new Set(seen).size, seen.length, 'no publication twice');
        const missing = this.acknowledged.filter((n) => !seen.includes(n));
        assert.deepEqual(missing, [], 'everything acknowledged arrived');
    }
}

describe('outages', () => {
    const it = nodesFor();

    async function throughFault(fault: () => Promise<void>) {
        const journal = new Journal(it.channel('stream'));
        const clients = [await it.connect(it.a), await it.connect(it.b)];
        for (const client of clients) {
            await client.subscribe(journal.channel);
        }
        journal.start(it.a, it.b);
        await pause(100);
        await fault();
        await it.isReady(it.a);
        await it.isReady(it.b);
        await journal.stop();
        assert.ok(journal.acknowledged.length > 0);
        await publishUntilAccepted(it.a, journal.channel, 'the end');
        for (const client of clients) {
            await journal.expectAll(client);
            client.close();
        }
    }

    test('T5: pub/sub connections that are killed again and again cost nobody a message', async () => {
        await throughFault(async () => {
            for (let i = 0; i < 6; i++) {
                await it.redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
                await pause(200);
            }
        });
    });

    test('T6: request connections that are killed under load duplicate nothing and lose nothing', async () => {
        await throughFault(async () => {
            for (let i = 0; i < 8; i++) {
                await it.redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
                await pause(150);
            }
        });
    });

    test('T8: scripts that Redis has forgotten are loaded again', async () => {
        await throughFault(async () => {
            for (let i = 0; i < 3; i++) {
                await it.redis.command('SCRIPT', 'FLUSH');
                await pause(200);
            }
        });
    });

    test('T4: a Redis that stands still: errors in time, nothing lost, nobody told', async () => {
        await throughFault(async () => {
            it.redis.signal('SIGSTOP');
            await pause(300);
            it.redis.signal('SIGCONT');
            await pause(300);
            it.redis.signal('SIGSTOP');
            const ms = await timed(() => expectTemporary(it.a, it.channel('stream')));
            assert.ok(ms < 3500, `${ms} ms`);
            it.redis.signal('SIGCONT');
        });
    });

    test('T21: a write pause of Redis duplicates nothing', async () => {
        await throughFault(async () => {
            await it.redis.command('CLIENT', 'PAUSE', '700', 'WRITE');
            await pause(800);
        });
    });

    test('T19: a node that is cut for reading too slowly repairs itself', async () => {
        await it.redis.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 32kb 32kb 1');
        const channel = it.channel('stream');
        const client = await it.connect(it.b);
        await client.subscribe(channel);
        const text = 'x'.repeat(15000);
        await Promise.all(Array.from({ length: 40 }, (_, n) => it.a.apiResult('publish', { channel, data: { n, text } })));
        for (let offset = 1; offset <= 40; offset++) {
            assert.equal((await client.expectPublication(channel, 10000)).offset, offset);
        }
        await it.redis.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60');
        client.close();
    });

    test('T7: FLUSHALL begins a new epoch, and subscribers are told', async () => {
        const channel = it.channel('stream');
        const client = await it.connect(it.b);
        const { epoch } = await client.subscribe(channel);
        await it.a.apiResult('publish', { channel, data: 1 });
        await client.expectPublication(channel);
        await it.redis.command('FLUSHALL');
        await it.a.apiResult('publish', { channel, data: 2 });
        assert.equal((await client.expectPush('unsubscribe', channel)).code, 2500);
        const reply = await client.subscribe(channel, { recover: true, epoch, offset: 1 });
        assert.equal(reply.recovered ?? false, false);
        assert.notEqual(reply.epoch, epoch);
        client.close();
    });

    test('T23: a foreign value where a stream should be fails that publish and leaves no hole', async () => {
        const channel = it.channel('stream');
        const { epoch } = await it.a.apiResult('publish', { channel, data: 1 });
        const keys = (await it.redis.command('KEYS', `spec:*:c:${channel}`)) as string[];
        await it.redis.command('SET', keys[0] as string, 'foreign');
        await expectTemporary(it.b, channel);
        await it.redis.command('DEL', keys[0] as string);
        const next = await it.a.apiResult('publish', { channel, data: 2 });
        assert.deepEqual([next.offset, next.epoch], [2, epoch]);
    });

    test('D06: what is not ours on our channels is ignored and counted', async () => {
        const channel = it.channel('plain');
        const client = await it.connect(it.a);
        await client.subscribe(channel);
        await it.b.apiResult('publish', { channel, data: 'first' });
        await client.expectPublication(channel);
        const [name] = (await it.redis.command('PUBSUB', 'CHANNELS', `spec:*:c:${channel}`)) as string[];
        for (const forged of ['', 'hello', '::', 'x:1:y', `::\u0001${'\u0000'.repeat(60)}`, ':5:', 'e:99999999999999999999:']) {
            await it.redis.command('PUBLISH', name as string, forged);
        }
        await it.b.apiResult('publish', { channel, data: 'second' });
        assert.equal((await client.expectPublication(channel)).data, 'second');
        assert.ok((await it.a.metric('starling_broker_foreign_messages_total')) >= 7);
        client.close();
    });

    test('T9: a full Redis refuses publishes, still lets clients recover, and counts on without a hole', async () => {
        const channel = it.channel('stream');
        const [watcher, client] = [await it.connect(it.b, 'w'), await it.connect(it.b)];
        const { epoch } = await watcher.subscribe(channel);
        await it.a.apiResult('publish', { channel, data: 1 });
        await watcher.expectPublication(channel);
        await it.redis.command('CONFIG', 'SET', 'maxmemory', '1');
        await expectTemporary(it.a, channel);
        const reply = await client.subscribe(channel, { recover: true, epoch });
        assert.deepEqual((reply.publications as Json[]).map((p) => p.data), [1]);
        await it.redis.command('CONFIG', 'SET', 'maxmemory', '0');
        assert.equal((await it.a.apiResult('publish', { channel, data: 2 })).offset, 2);
        watcher.close();
        client.close();
    });

    test('T22: a Redis that became a replica takes no publications, and the nodes are not ready', async () => {
        await it.redis.command('REPLICAOF', '127.0.0.1', '1');
        await eventually('not ready', async () => (await request(it.a.port, '/health/ready')).status === 503, 10000);
        await expectTemporary(it.a, it.channel('plain'));
        await it.redis.command('REPLICAOF', 'NO', 'ONE');
        await it.isReady(it.a);
        await it.isReady(it.b);
    });

    test('T1: Redis is killed: clients stay, publishes are refused, subscribers are told once and recover after', async () => {
        const [stream, plain] = [it.channel('stream'), it.channel('plain')];
        const client = await it.connect(it.a);
        const { epoch } = await client.subscribe(stream);
        await client.subscribe(plain);
        await it.a.apiResult('publish', { channel: stream, data: 1 });
        await client.expectPublication(stream);
        await it.redis.kill();
        const ms = await timed(() => expectTemporary(it.a, stream));
        assert.ok(ms < 2500, `${ms} ms`);
        await expectTemporary(it.b, plain);
        await eventually('not ready', async () => (await request(it.a.port, '/health/ready')).status === 503, 10000);
        assert.equal((await request(it.a.port, '/health/live')).status, 200);
        const late = await it.connect(it.b);
        await late.expectError('subscribe', { channel: stream }, 100);
        await late.subscribe(plain);
        await it.redis.run();
        await it.isReady(it.a);
        await it.isReady(it.b);
        assert.equal((await client.expectPush('unsubscribe', stream)).code, 2500);
        const reply = await client.subscribe(stream, { recover: true, epoch, offset: 1 });
        assert.equal(reply.recovered ?? false, false);
        await publishUntilAccepted(it.b, plain, 'back');
        for (const each of [client, late]) {
            assert.equal((await each.expectPublication(plain)).data, 'back');
            each.close();
        }
    });

    test('T29: a disconnect reaches a node that was cut off while it was asked for', async () => {
        const client = await it.connect(it.b, 'victim');
        await it.redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await eventually('the order is taken', async () => !('error' in (await it.a.api('disconnect', { user: 'victim' }))));
        await client.expectDisconnect(3503, 10000);
    });

    test('T30: the presence of a node that died ends, with one leave each', async () => {
        const channel = it.channel('room');
        const node = await it.startNode();
        const [watcher, visitor] = [await it.connect(it.a, 'w'), await it.connect(node, 'v')];
        await watcher.subscribe(channel);
        await visitor.subscribe(channel);
        await node.kill();
        const stats = async () => it.b.apiResult('presence_stats', { channel });
        await eventually('presence without the dead node', async () => (await stats()).num_clients === 1, 30000);
        assert.equal(((await watcher.expectPush('leave', channel)).info as Json).user, 'v');
        assert.deepEqual(await stats(), { num_clients: 1, num_users: 1 });
        watcher.close();
    });
});

/* One node with this engine; it need not become ready. */
async function startAlone(redis: Config): Promise<Server> {
    const engine = { type: 'redis', redis: { prefix: 'alone', ...redis } };
    return Server.start({ config: { engine, channel: { namespaces: NAMESPACES } } });
}

describe('what a Redis may be like', () => {
    /* What each fake answers to whatever it gets. */
    const fakes: [string, (socket: net.Socket) => void][] = [
        ['garbage', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
        ['half a reply, then the end', (socket) => socket.end('$100\r\nhalf')],
        ['nothing at all', () => undefined],
        ['nil to everything', (socket) => socket.write('$-1\r\n'.repeat(20))],
        ['arrays in arrays', (socket) => socket.write('*1\r\n'.repeat(5000))],
        ['an endless bulk', (socket) => socket.write(`$1073741824\r\n${'x'.repeat(1000000)}`)],
        ['the end at once', (socket) => socket.destroy()],
        ['too many clients', (socket) => socket.end('-ERR max number of clients reached\r\n')],
    ];
    for (const [name, answer] of fakes) {
        test(`T28, D02: a server that answers ${name} harms nothing but its channels`, async () => {
            const fake = net.createServer((socket) => {
                socket.on('error', () => undefined);
                socket.on('data', () => socket.writable && answer(socket));
            });
            await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
            const { port } = fake.address() as net.AddressInfo;
            const node = await startAlone({ address: [`127.0.0.1:${port}`], io_timeout: '1500ms' });
            const client = await Client.connect(node, userToken('1'));
            const ms = await timed(() => expectTemporary(node, 'stream:1'));
            assert.ok(ms < 2500, `${ms} ms`);
            await client.subscribe('plain:1');
            assert.equal((await request(node.port, '/health/ready')).status, 503);
            assert.equal((await request(node.port, '/health/live')).status, 200);
            client.close();
            await node.stop();
            fake.close();
        });
    }

    test('T28: a host name without an address harms nothing but its channels', async () => {
        const node = await startAlone({ address: ['name.invalid:6379'] });
        await expectTemporary(node, 'stream:1');
        await node.stop();
    });

    test('D08, T31: a wrong password is said, and a right one works, as does a user with the rights that are needed', async () => {
        const redis = await Redis.start();
        await redis.command('ACL', 'SETUSER', 'star', 'on', '>secret of the spec', '~alone:*', '&alone:*', '+@all', '-@dangerous', '+info');
        await redis.command('ACL', 'SETUSER', 'default', 'off');
        const wrong = await startAlone({ address: [redis.address], user: 'star', password: 'wrong' });
        await eventually('the log says why', () => wrong.log.some((line) => line.reason === 'Redis refuses user or password'));
        assert.ok(!JSON.stringify(wrong.log).includes('wrong'), 'the password is not logged');
        await wrong.stop();
        const right = await startAlone({ address: [`redis://star:secret%20of%20the%20spec@${redis.address}`] });
        await publishUntilAccepted(right, 'stream:1', 1);
        await publishUntilAccepted(right, 'plain:1', 1);
        await right.stop();
        await redis.stop();
    });

    test('a Unix socket and a database of its own', async () => {
        const file = path.join(scratch, 'redis.sock');
        const redis = await Redis.start('--unixsocket', file);
        const node = await startAlone({ address: [`unix://${file}`], db: 3 });
        await publishUntilAccepted(node, 'stream:1', 1);
        assert.match((await redis.command('INFO', 'keyspace')) as string, /db3:/);
        await node.stop();
        await redis.stop();
    });

    test('D08: TLS, where the certificate is that of the host, and not otherwise', async () => {
        const [key, cert] = [path.join(scratch, 'redis.key'), path.join(scratch, 'redis.crt')];
        const subject = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
        const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
        execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' });
        const port = 20000 + Math.floor(Math.random() * 10000);
        const redis = await Redis.start('--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no');
        const address = [`rediss://127.0.0.1:${port}`];
        const node = await startAlone({ address, tls: { server_ca_pem: readFileSync(cert, 'utf8') } });
        const client = await Client.connect(node, userToken('1'));
        await client.subscribe('stream:1').catch(() => undefined);
        const data = 'x'.repeat(100000);
        await publishUntilAccepted(node, 'stream:2', data);
        const history = await node.apiResult('history', { channel: 'stream:2', limit: 1 });
        assert.equal((history.publications as Json[])[0]?.data, data);
        client.close();
        await node.stop();
        const other = await startAlone({ address, tls: { server_ca_pem: readFileSync(cert, 'utf8'), server_name: 'elsewhere' } });
        await eventually('refused', () => other.log.some((line) => String(line.reason).startsWith('TLS: ')));
        await expectTemporary(other, 'stream:1');
        await other.stop();
        await redis.stop();
    });

    test('T25: with two Redis, one that is away leaves the channels of the other alone', async () => {
        const [first, second] = [await Redis.start(), await Redis.start()];
        const node = await startAlone({ address: [first.address, second.address] });
        const channels = Array.from({ length: 40 }, (_, i) => `stream:${i}`);
        for (const channel of channels) {
            await publishUntilAccepted(node, channel, 1);
        }
        await second.kill();
        const answers = await Promise.all(channels.map((channel) => node.api('publish', { channel, data: 2 })));
        const good = answers.filter((answer) => !('error' in answer)).length;
        assert.ok(good > 5 && good < 35, `${good} of 40 channels still work`);
        await second.run();
        for (const channel of channels) {
            await publishUntilAccepted(node, channel, 3);
        }
        await node.stop();
        await first.stop();
        await second.stop();
    });
});
