/* limits.spec.ts - every bound at max - 1, max and max + 1, and who pays for being slow (THREATS 0 and 7). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, connectMany, type Json } from './support/client.ts';
import { SOON_MS, eventually, pause } from './support/deadline.ts';
import { readResponse, request, type HttpResponse } from './support/http.ts';
import { RawSocket, type RawSocketOptions } from './support/raw_socket.ts';
import { Server, forEachWorkerCount, isSlowBuild, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';
import { upgradeText } from './support/websocket.ts';

const MIB = 1024 * 1024;

async function upgrade(server: Server, options: RawSocketOptions = {}): Promise<{ socket: RawSocket; response: HttpResponse }> {
    const socket = await RawSocket.open(server.port, options);
    socket.write(upgradeText());
    return { socket, response: await readResponse(socket) };
}

function expectRetryAfter(response: HttpResponse) {
    const seconds = Number(response.headers['retry-after']);
    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, response.head);
}

forEachWorkerCount('channels of a connection', (workers) => {
    const server = serverFor({ http_server: { workers }, client: { channel_limit: 3 } });

    test('J08: are 3 at most, the next is error 106, and a place that comes free is taken', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (const channel of ['open:1', 'open:2', 'open:3']) {
            await client.subscribe(channel);
        }
        await client.expectError('subscribe', { channel: 'open:4' }, 106);
        await client.call('unsubscribe', { channel: 'open:1' });
        await client.subscribe('open:4');
        await client.expectError('subscribe', { channel: 'open:5' }, 106);
        client.close();
    });

    test('J08: hundreds of subscribes and leaves leave nothing behind', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (let i = 0; i < 100; i++) {
            client.batch([
                { id: 1000 + i, subscribe: { channel: `chat:${i}` } },
                { id: 2000 + i, unsubscribe: { channel: `chat:${i}` } },
            ]);
            await client.expectReply(2000 + i);
        }
        const { channels } = (await server.apiResult('channels', {})) as Json;
        assert.deepEqual(channels, {});
        assert.deepEqual(await server.apiResult('presence_stats', { channel: 'chat:5' }), { num_clients: 0, num_users: 0 });
        client.close();
    });
});

describe('commands a second', () => {
    const server = serverFor({ limits: { command_rate: 1, command_burst: 20 } });

    test('over the burst are error 111, which is temporary, and the connection stays', async () => {
        const client = await Client.connect(server, userToken('1')); /* the first of the twenty */
        for (let i = 2; i <= 20; i++) {
            await client.call('unsubscribe', { channel: 'open:a' });
        }
        const error = await client.expectError('unsubscribe', { channel: 'open:a' }, 111);
        assert.deepEqual(error, { code: 111, message: 'too many requests', temporary: true });
        await eventually('a place', async () => {
            await pause(200);
            return (await client.expectReply(client.command('unsubscribe', { channel: 'open:a' }))).json.error === undefined;
        });
        client.close();
    });

    test('over the burst without an id are closed 3013', async () => {
        const client = await Client.connect(server, userToken('1'));
        client.batch(Array.from({ length: 19 }, (_, i) => ({ id: i + 2, unsubscribe: { channel: 'open:a' } })));
        await client.expectReply(20);
        client.sendText('{"send":{"data":1}}');
        await client.expectDisconnect(3013);
    });
});

forEachWorkerCount('connections of the node', (workers) => {
    const server = serverFor({ http_server: { workers }, client: { connection_limit: 3 } });

    test('S06: are 3 at most, the next is 503 with Retry-After, and the others do not notice', async () => {
        const clients = await connectMany(server, 3, userToken('1'));
        const { response } = await upgrade(server);
        assert.equal(response.status, 503);
        assert.equal(response.headers.connection, 'close');
        expectRetryAfter(response);
        for (const client of clients) {
            await client.publish('open:a', 1);
        }
        assert.equal((await request(server.port, '/health')).status, 200, 'HTTP is not counted');
        clients.pop()?.close();
        await eventually('a free place', async () => {
            const { socket, response: again } = await upgrade(server);
            socket.close();
            return again.status === 101;
        });
        clients.forEach((client) => client.close());
    });
});

forEachWorkerCount('connections of one address', (workers) => {
    const server = serverFor({ http_server: { workers }, limits: { connections_per_ip: 3 } });

    test('are 3 at most, the next is 429 with Retry-After, and other addresses are let in', async () => {
        const clients = await connectMany(server, 3, userToken('1'));
        const refused = await upgrade(server);
        assert.equal(refused.response.status, 429);
        expectRetryAfter(refused.response);
        const other = await upgrade(server, { localAddress: '127.0.0.2' });
        assert.equal(other.response.status, 101);
        clients.pop()?.close();
        await eventually('a free place', async () => {
            const { socket, response } = await upgrade(server);
            clients.length = 2;
            socket.close();
            return response.status === 101;
        });
        other.socket.close();
        clients.forEach((client) => client.close());
    });

    test('H50: are not made others by X-Forwarded-For', async () => {
        const clients = await connectMany(server, 2, userToken('1'));
        const statuses: number[] = [];
        for (let i = 0; i < 3; i++) {
            const socket = await RawSocket.open(server.port);
            socket.write(upgradeText({ 'X-Forwarded-For': `10.0.0.${i}`, Forwarded: `for=10.0.0.${i}` }));
            statuses.push((await readResponse(socket)).status);
        }
        assert.ok(statuses.includes(429), String(statuses));
        clients.forEach((client) => client.close());
    });
});

describe('new connections a second', () => {
    describe('of one address', () => {
        const server = serverFor({ limits: { connection_rate_per_ip: 1, connection_burst_per_ip: 4 } });

        test('over the burst are 429 with Retry-After, and other addresses are let in', async () => {
            for (let i = 0; i < 4; i++) {
                assert.equal((await upgrade(server)).response.status, 101);
            }
            const { response } = await upgrade(server);
            assert.equal(response.status, 429);
            expectRetryAfter(response);
            assert.equal((await upgrade(server, { localAddress: '127.0.0.3' })).response.status, 101);
        });
    });

    describe('of the node', () => {
        const server = serverFor({ http_server: { workers: 1 }, client: { connection_rate_limit: 4 } });

        test('over the rate are 503 with Retry-After', async () => {
            const answers = await Promise.all(Array.from({ length: 12 }, () => upgrade(server)));
            const refused = answers.filter(({ response }) => response.status === 503);
            assert.ok(refused.length >= 1 && refused.length <= 8, `${refused.length} of 12 refused`);
            refused.forEach(({ response }) => expectRetryAfter(response));
        });
    });
});

describe('answers', () => {
    const server = serverFor({
        client: { history_max_publication_limit: 4 },
        limits: { presence_answer_max: 3 },
        channel: {
            namespaces: [
                {
                    name: 'big',
                    allow_subscribe_for_client: true,
                    allow_publish_for_client: true,
                    presence: true,
                    allow_presence_for_client: true,
                    history_size: 100,
                    history_ttl: '300s',
                    allow_history_for_client: true,
                },
            ],
        },
    });

    test('J09: of history hold 4 publications to a client, however many it asks for', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (let i = 0; i < 6; i++) {
            await client.publish('big:a', i);
        }
        for (const [limit, count] of [[3, 3], [4, 4], [5, 4], [-1, 4], [1000000, 4]]) {
            assert.equal((await client.call('history', { channel: 'big:a', limit })).publications.length, count);
        }
        const { publications } = await server.apiResult('history', { channel: 'big:a', limit: -1 });
        assert.equal((publications as Json[]).length, 6, 'the server API is not bound by it');
        client.close();
    });

    test('of presence hold 3 clients, and presence_stats counts all', async () => {
        const clients = await connectMany(server, 4, userToken('1'));
        for (const [i, client] of clients.entries()) {
            await client.subscribe('big:b');
            const { presence } = await client.call('presence', { channel: 'big:b' });
            assert.equal(Object.keys(presence as Json).length, Math.min(i + 1, 3));
        }
        assert.equal((await clients[0]?.call('presence_stats', { channel: 'big:b' }))?.num_clients, 4);
        clients.forEach((client) => client.close());
    });
});

forEachWorkerCount('slow readers', (workers) => {
    const server = serverFor({
        http_server: { workers },
        limits: { command_rate: 1000000, command_burst: 1000000 },
        websocket: { message_size_limit: '1MiB' },
    });

    test('S01: are cut, and those who read get everything, in order, once', async () => {
        const channel = 'open:flood';
        const readers = await connectMany(server, 10, userToken('1'));
        await Promise.all(readers.map((reader) => reader.subscribe(channel)));
        const [stalled, quick] = [readers.slice(0, 5), readers.slice(5)];
        stalled.forEach((reader) => reader.ws.raw.stopReading());
        const before = server.residentBytes();
        const publisher = await Client.connect(server, userToken('2'));
        const filler = 'x'.repeat(4000);
        const count = 4000; /* 16 MB for each: more than the kernel holds for a peer that does not read */
        const received = quick.map(async (reader) => {
            for (let n = 0; n < count; n++) {
                const publication = await reader.expectPublication(channel, SOON_MS * 4);
                assert.equal(publication.data.n, n);
            }
        });
        const publishing = (async () => {
            for (let n = 0; n < count; n += 20) {
                const ids = Array.from({ length: 20 }, (_, i) => publisher.command('publish', { channel, data: { n: n + i, filler } }));
                await publisher.expectReply(ids[19] as number, SOON_MS * 4);
            }
        })();
        await Promise.all([publishing, ...received]);
        await eventually('the stalled are cut', async () => (await server.metric('starling_slow_clients_closed_total')) >= 5, 12000);
        if (!isSlowBuild) {
            const grown = server.residentBytes() - before;
            assert.ok(grown < 5 * MIB + 16 * MIB, `${Math.round(grown / MIB)} MiB`);
        }
        for (const reader of quick) {
            await reader.expectNothing();
        }
        stalled.forEach((reader) => reader.ws.raw.goOnReading());
        await Promise.all(stalled.map((reader) => reader.ws.raw.expectEnd()));
        [...quick, publisher].forEach((client) => client.close());
    });

    test('S03: one who sends and does not read is not read either, and goes on when it reads again', async () => {
        const setup = await Client.connect(server, userToken('2'));
        const data = 'x'.repeat(20000);
        await setup.subscribe('chat:big');
        for (let i = 0; i < 5; i++) {
            await setup.publish('chat:big', data);
        }
        const client = await Client.connect(server, userToken('1'));
        await client.subscribe('chat:big');
        client.ws.raw.stopReading();
        /* One command after the other, until one is not handled any more. */
        const before = await server.metric('starling_commands_total');
        const handled = async () => (await server.metric('starling_commands_total')) - before;
        const ids: number[] = [];
        const isRead = async () => {
            ids.push(client.command('history', { channel: 'chat:big', limit: -1 })); /* an answer of 100 kB */
            return eventually('it is handled', async () => (await handled()) >= ids.length, 500).then(
                () => true,
                () => false,
            );
        };
        while (await isRead()) {
            assert.ok(ids.length < 400, '40 MB were queued for a client that reads nothing');
        }
        client.ws.raw.goOnReading();
        for (const id of ids) {
            const { json } = await client.expectReply(id, SOON_MS * 4);
            assert.equal(json.history.publications.length, 5);
        }
        await eventually('it is read again', async () => (await handled()) === ids.length);
        client.close();
        setup.close();
    });
});

describe('a reader that takes no byte for limits.outbox_stall', () => {
    const server = serverFor({ limits: { outbox_stall: '1s', command_rate: 1000000, command_burst: 1000000 }, client: { queue_max_size: '64MiB' } });

    test('S04: is cut though its queue is not full', async () => {
        const client = await Client.connect(server, userToken('1'));
        await client.subscribe('open:a');
        client.ws.raw.stopReading();
        const publisher = await Client.connect(server, userToken('2'));
        const data = 'x'.repeat(50000);
        for (let i = 0; i < 300; i++) {
            await publisher.publish('open:a', data);
        }
        await eventually('it is cut', async () => (await server.metric('starling_slow_clients_closed_total')) === 1, 4000 + SOON_MS);
        client.ws.raw.goOnReading();
        await client.ws.raw.expectEnd();
        publisher.close();
    });
});

describe('descriptors', () => {
    const server = serverFor({ http_server: { workers: 1 } }, { wrapper: ['prlimit', '--nofile=64:64'] });

    test('S07: running out of them pauses accepting, costs no processor, and ends when they come back', async () => {
        const witness = await Client.connect(server, userToken('1'));
        await witness.subscribe('open:a');
        const sockets = await Promise.all(Array.from({ length: 90 }, () => RawSocket.open(server.port)));
        await eventually('all descriptors are used', () => server.descriptorCount() >= 60);
        const cpu = server.cpuMs();
        const began = Date.now();
        await pause(1500);
        const share = (server.cpuMs() - cpu) / (Date.now() - began);
        assert.ok(share < 0.2, `${Math.round(share * 100)} % of a processor`);
        await witness.publish('open:a', 1);
        assert.equal((await witness.expectPublication('open:a')).data, 1);
        sockets.forEach((socket) => socket.close());
        await eventually('accepting goes on', async () => {
            const { socket, response } = await upgrade(server);
            socket.close();
            return response.status === 101;
        });
        assert.ok((await server.metric('starling_accept_pauses_total')) > 0);
        witness.close();
    });
});

describe('a client that asks for a lot at once', () => {
    const server = serverFor({
        http_server: { workers: 1 },
        client: { queue_max_size: 65536 },
        websocket: { message_size_limit: 65536 },
        limits: { command_rate: 1000, command_burst: 1000 },
        channel: {
            namespaces: [
                {
                    name: 'long',
                    allow_subscribe_for_client: true,
                    allow_history_for_client: true,
                    history_size: 20,
                    history_ttl: '300s',
                },
            ],
        },
    });

    test('S03: gets every answer, though they are many times its queue', async () => {
        for (let i = 0; i < 20; i++) {
            await server.apiResult('publish', { channel: 'long:a', data: 'x'.repeat(5000) });
        }
        const client = await Client.connect(server, userToken('42'));
        const ids = Array.from({ length: 100 }, () => client.command('history', { channel: 'long:a', limit: -1 }));
        for (const id of ids) {
            const reply = await client.expectReply(id);
            assert.equal(reply.json.history.publications.length, 20);
        }
        client.batch(
            Array.from({ length: 100 }, (_, i) => ({ id: 1000 + i, history: { channel: 'long:a', limit: -1 } })),
        );
        for (let i = 0; i < 100; i++) {
            assert.equal((await client.expectReply(1000 + i)).json.history.publications.length, 20);
        }
        client.close();
    });

    test('may have more commands waiting than one message may hold', async () => {
        const client = await Client.open(server);
        const connect = { id: 1, connect: { token: userToken('42') } };
        client.sendText(JSON.stringify(connect));
        const ids = Array.from({ length: 300 }, (_, i) => 2 + i);
        ids.forEach((id) => client.sendText(JSON.stringify({ id, history: { channel: 'long:a', limit: 0 } })));
        for (const id of ids) {
            assert.ok((await client.expectReply(id)).json.history !== undefined);
        }
        client.close();
    });
});
