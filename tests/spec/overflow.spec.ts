/* overflow.spec.ts - what the namespace options overflow and write_delay do to a subscriber. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { serverFor } from './support/server.ts';

const OPEN = {
    allow_subscribe_for_client: true,
    allow_subscribe_for_anonymous: true,
};

/* More than the sockets of both sides can hold, so that the reader really falls behind. */
const COUNT = 6000;
const BATCH = 200;
const PADDING = 'x'.repeat(4000);

describe('a reader that falls behind in a latest_only namespace', () => {
    const server = serverFor({
        client: { allow_anonymous_connect_without_token: true },
        channel: { namespaces: [{ name: 'board', overflow: 'latest_only', ...OPEN }] },
    });

    test('skips what was overtaken, ends with the newest, and is not disconnected', async () => {
        const slow = await Client.connect(server);
        const fast = await Client.connect(server);
        await slow.subscribe('board:prices');
        await fast.subscribe('board:prices');
        slow.ws.raw.socket.pause();
        for (let first = 0; first < COUNT; first += BATCH) {
            const commands = Array.from({ length: BATCH }, (_, i) => ({
                publish: { channel: 'board:prices', data: { n: first + i, pad: PADDING } },
            }));
            await server.api('batch', { commands });
            for (let i = 0; i < BATCH; i++) {
                assert.equal((await fast.expectPublication('board:prices')).data.n, first + i);
            }
        }
        slow.ws.raw.socket.resume();
        const seen: number[] = [];
        while (seen.at(-1) !== COUNT - 1) {
            seen.push((await slow.expectPublication('board:prices')).data.n);
        }
        assert.ok(seen.length < COUNT, 'nothing was dropped: the reader was never behind');
        assert.ok(seen.every((n, i) => i === 0 || n > (seen[i - 1] as number)), 'out of order');
        assert.equal(await server.metric('starling_publications_conflated_total'), COUNT - seen.length);
        assert.equal(await server.metric('starling_slow_clients_closed_total'), 0);
        await slow.expectNothing();
    });
});

describe('a namespace with write_delay', () => {
    const server = serverFor({
        http_server: { workers: 1 },
        client: { allow_anonymous_connect_without_token: true },
        channel: { namespaces: [{ name: 'busy', write_delay: '100ms', ...OPEN }, { name: 'plain', ...OPEN }] },
    });

    /* Writes to sockets while ten calls of the API publish one after the other. */
    async function writesFor(channel: string): Promise<number> {
        const client = await Client.connect(server);
        await client.subscribe(channel);
        const before = await server.metric('starling_sends_total');
        for (let n = 0; n < 10; n++) {
            await server.api('publish', { channel, data: n });
        }
        for (let n = 0; n < 10; n++) {
            assert.equal((await client.expectPublication(channel)).data, n);
        }
        const after = await server.metric('starling_sends_total');
        client.close();
        return after - before;
    }

    test('sends several publications in one write, in order', async () => {
        const plain = await writesFor('plain:x');
        const busy = await writesFor('busy:x');
        assert.ok(plain >= 20, `${plain} writes: one for each answer and each publication`);
        assert.ok(busy <= plain - 5, `${busy} writes with the delay, ${plain} without`);
    });

    test('a reply does not wait, and takes along what was waiting', async () => {
        const client = await Client.connect(server);
        await client.subscribe('busy:y');
        await server.api('publish', { channel: 'busy:y', data: 1 });
        const id = client.command('unsubscribe', { channel: 'busy:other' });
        assert.equal((await client.nextMessage()).json.push.pub.data, 1);
        await client.expectReply(id);
    });
});
