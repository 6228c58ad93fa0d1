/* connections.spec.ts - who is connected, and which channels there are, a page at a time (server/API.md). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, connectMany, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

interface Row {
    client: string;
    user: string;
    transport: string;
    address: string;
    connected_at_ms: number;
    queue_bytes: number;
    num_channels: number;
    worker: number;
    channels?: string[];
}

forEachWorkerCount('the list of connections', (workers) => {
    const server = serverFor({ http_server: { workers } });

    const ask = async (query: Json): Promise<{ connections: Row[]; total: number; cursor?: string }> =>
        (await server.apiResult('connections', query)) as never;
    const closeAll = (clients: Client[]): void => clients.forEach((client) => client.close());
    const isEmpty = (): Promise<void> =>
        eventually('earlier clients have left', async () => (await ask({})).total === 0);

    async function refuses(query: Json): Promise<void> {
        const answer = await server.api('connections', query);
        assert.equal((answer.error as Json | undefined)?.code, 107, JSON.stringify(query));
    }

    /* Follows the cursor to the end; each page has as many rows as were asked for, but the last. */
    async function pages(query: Json, limit: number): Promise<Row[]> {
        const rows: Row[] = [];
        let cursor: string | undefined;
        do {
            const page = await ask({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
            assert.ok(page.connections.length <= limit);
            assert.equal(page.cursor === undefined || page.connections.length === limit, true);
            rows.push(...page.connections);
            cursor = page.cursor;
        } while (cursor !== undefined);
        return rows;
    }

    test('a connection says who it is, since when, and in how many channels', async () => {
        await isEmpty();
        const before = Date.now();
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('open:a');
        await client.subscribe('chat:b');
        const { connections, total } = await ask({});
        const [row] = connections;
        assert.equal(total, 1);
        assert.ok(row!.connected_at_ms >= before - 1000 && row!.connected_at_ms <= Date.now() + 1000);
        const { connected_at_ms, worker, client: id, ...rest } = row!;
        assert.match(id, /^[0-9a-f-]{36}$/);
        assert.ok(worker < workers);
        assert.deepEqual(rest, {
            user: '42',
            transport: 'websocket',
            address: '127.0.0.1',
            queue_bytes: 0,
            num_channels: 2,
        });
        client.close();
    });

    test('one client is shown with the names of its channels', async () => {
        await isEmpty();
        const clients = await connectMany(server, 4, userToken('42'));
        await clients[2]!.subscribe('open:mine');
        const { connections } = await ask({});
        const [wanted] = connections.filter((row) => row.num_channels === 1);
        const answer = await ask({ client: wanted!.client });
        assert.equal(answer.total, 1);
        assert.deepEqual(answer.connections[0]!.channels, ['open:mine']);
        assert.deepEqual((await ask({ client: 'nobody' })).connections, []);
        closeAll(clients);
    });

    test('pages in the order of client IDs hold every connection once, at any size of a page', async () => {
        await isEmpty();
        const clients = await connectMany(server, 11, userToken('42'));
        const ids = (await ask({})).connections.map((row) => row.client);
        assert.equal(new Set(ids).size, 11);
        assert.deepEqual(ids, [...ids].sort());
        for (const limit of [1, 4, 10, 11, 12]) {
            const rows = await pages({}, limit);
            assert.deepEqual(
                rows.map((row) => row.client),
                ids,
                `limit ${limit}`,
            );
            const byQueue = await pages({ sort: 'queue' }, limit);
            assert.deepEqual(
                byQueue.map((row) => row.client),
                ids,
                `queue, limit ${limit}`,
            );
        }
        closeAll(clients);
    });

    test('a user, or a pattern on user and client, picks some', async () => {
        await isEmpty();
        const clients = [
            ...(await connectMany(server, 3, userToken('anna'))),
            ...(await connectMany(server, 2, userToken('bert'))),
        ];
        const users = async (query: Json): Promise<string[]> => (await ask(query)).connections.map((row) => row.user);
        assert.deepEqual(await users({ user: 'bert' }), ['bert', 'bert']);
        assert.equal((await ask({ user: 'anna', limit: 1 })).total, 3);
        assert.deepEqual(await users({ user: '' }), []);
        assert.deepEqual(await users({ user: 'ann' }), []);
        assert.deepEqual(await users({ pattern: 'a*', user: 'anna' }), ['anna', 'anna', 'anna']);
        assert.deepEqual(await users({ pattern: 'ber?', limit: 1 }), ['bert']);
        const [first] = (await ask({})).connections;
        assert.ok((await ask({ pattern: `${first!.client.slice(0, 20)}*` })).total >= 1);
        closeAll(clients);
    });

    test('bad limits, orders and cursors are refused', async () => {
        for (const query of [
            { limit: 0 },
            { limit: 1001 },
            { limit: -1 },
            { sort: 'name' },
            { cursor: 'x' },
            { sort: 'queue', cursor: '302591a4-b408-47f6-9db9-2e05904ce4a2' },
            { sort: 'queue', cursor: '-1 302591a4-b408-47f6-9db9-2e05904ce4a2' },
            { pattern: '*'.repeat(129) },
            { user: 7 },
        ]) {
            await refuses(query);
        }
        assert.deepEqual((await ask({ limit: 1000, pattern: '?'.repeat(128) })).connections, []);
    });

    test('without a key nobody is listed', async () => {
        const response = await fetch(`http://127.0.0.1:${server.port}/api/connections`, { method: 'POST', body: '{}' });
        assert.equal(response.status, 401);
    });

    test('channels come in pages too, each once, in the order of their names', async () => {
        await isEmpty();
        const client = await Client.connect(server, userToken('42'));
        const names = Array.from({ length: 9 }, (_, i) => `open:${'x'.repeat(i % 3)}${i}`);
        for (const name of names) {
            await client.subscribe(name);
        }
        for (const limit of [1, 4, 9, 10]) {
            const found: string[] = [];
            let cursor: string | undefined;
            do {
                const page = (await server.apiResult('channels', {
                    limit,
                    pattern: 'open:*',
                    ...(cursor === undefined ? {} : { cursor }),
                })) as { channels: Record<string, Json>; cursor?: string; truncated?: boolean };
                found.push(...Object.keys(page.channels));
                assert.equal(page.truncated ?? false, page.cursor !== undefined);
                cursor = page.cursor;
            } while (cursor !== undefined);
            assert.deepEqual(found, [...names].sort(), `limit ${limit}`);
        }
        const answer = await server.api('channels', { limit: 1001 });
        assert.equal((answer.error as Json).code, 107);
        client.close();
    });
});
