/* recovery.spec.ts - positions, and catching up with what was missed (PROTOCOL section 7; THREATS J09). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { Server, forEachWorkerCount, isSlowBuild, serverFor, type Config } from './support/server.ts';
import { userToken } from './support/token.ts';

const OPEN = { allow_subscribe_for_client: true, allow_publish_for_client: true, allow_history_for_client: true };
const CONFIG: Config = {
    client: { recovery_max_publication_limit: 200 },
    limits: { command_rate: 1000000, command_burst: 1000000 },
    channel: {
        namespaces: [
            { name: 'plain', ...OPEN },
            { name: 'stream', ...OPEN, history_size: 5, history_ttl: '300s', allow_positioning: true, allow_recovery: true },
            { name: 'forced', ...OPEN, history_size: 5, history_ttl: '300s', force_recovery: true },
            { name: 'positioned', ...OPEN, history_size: 5, history_ttl: '300s', force_positioning: true },
            { name: 'kept', ...OPEN, history_size: 5, history_ttl: '300s' },
            { name: 'long', ...OPEN, history_size: 100000, history_ttl: '300s', force_recovery: true },
            { name: 'brief', ...OPEN, history_size: 5, history_ttl: '1s', force_recovery: true },
            { name: 'cache', ...OPEN, history_size: 3, history_ttl: '300s', force_recovery: true, force_recovery_mode: 'cache' },
            {
                name: 'auto',
                ...OPEN,
                history_size: 3,
                history_ttl: '300s',
                force_recovery: true,
                force_recovery_mode: 'cache',
                auto_cache_recover: true,
            },
        ],
    },
};

const offsets = (result: Json) => ((result.publications ?? []) as Json[]).map((publication) => publication.offset as number);

forEachWorkerCount('recovery', (workers) => {
    const server = serverFor({ ...CONFIG, http_server: { workers } });
    const connect = () => Client.connect(server, userToken('42'));
    let channelCount = 0;

    /* A fresh channel of the namespace with `count` publications 1, 2, 3 …; its epoch, and a connected client. */
    async function filled(namespace: string, count: number): Promise<{ channel: string; epoch: string; client: Client }> {
        const channel = `${namespace}:${++channelCount}`;
        const client = await connect();
        for (let n = 1; n <= count; n++) {
            await client.publish(channel, n);
        }
        const { epoch } = await client.call('history', { channel });
        return { channel, epoch: epoch as string, client };
    }

    /* ---- without recover ---- */

    test('a plain subscribe of a stream says where its top is and sends nothing old', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        assert.deepEqual(await client.subscribe(channel), { recoverable: true, positioned: true, epoch, offset: 3 });
        client.close();
    });

    test('a stream has an epoch before its first publication', async () => {
        const client = await connect();
        const reply = await client.subscribe('forced:untouched');
        assert.ok(!('offset' in reply), 'an offset of 0 is left out');
        assert.match(reply.epoch as string, /\S/);
        await client.publish('forced:untouched', 1);
        assert.equal((await client.expectPublication('forced:untouched')).offset, 1);
        assert.equal((await client.call('history', { channel: 'forced:untouched' })).epoch, reply.epoch);
        client.close();
    });

    test('position and recovery are given where the namespace forces or allows them, and not where not', async () => {
        const client = await connect();
        const granted = async (channel: string, request: Json) => {
            const reply = await client.subscribe(channel, request);
            return [reply.positioned ?? false, reply.recoverable ?? false, 'epoch' in reply];
        };
        assert.deepEqual(await granted('plain:1', { positioned: true, recoverable: true }), [false, false, false]);
        assert.deepEqual(await granted('kept:1', { positioned: true, recoverable: true }), [false, false, false]);
        assert.deepEqual(await granted('stream:none', {}), [false, false, false]);
        assert.deepEqual(await granted('stream:positioned', { positioned: true }), [true, false, true]);
        assert.deepEqual(await granted('stream:recoverable', { recoverable: true }), [true, true, true]);
        assert.deepEqual(await granted('positioned:1', {}), [true, false, true]);
        assert.deepEqual(await granted('forced:1', {}), [true, true, true]);
        client.close();
    });

    test('publications carry offsets where the channel has history, asked for or not', async () => {
        const client = await connect();
        for (const [channel, offset] of [['plain:o', undefined], ['kept:o', 1], ['stream:o', 1]] as const) {
            await client.subscribe(channel);
            await client.publish(channel, 'x');
            assert.equal((await client.expectPublication(channel)).offset, offset);
        }
        client.close();
    });

    /* ---- recovered ---- */

    test('a client at the top has missed nothing', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        const reply = await client.subscribe(channel, { recover: true, epoch, offset: 3 });
        assert.deepEqual(reply, { recoverable: true, positioned: true, epoch, offset: 3, recovered: true, was_recovering: true });
        client.close();
    });

    test('what was missed comes in the reply, which repeats the offset that was asked from', async () => {
        const { channel, epoch, client } = await filled('forced', 4);
        const reply = await client.subscribe(channel, { recover: true, epoch, offset: 2 });
        assert.deepEqual([reply.recovered, reply.was_recovering, reply.recoverable], [true, true, true]);
        assert.deepEqual([reply.offset, reply.epoch], [2, epoch]);
        assert.deepEqual(reply.publications, [
            { data: 3, info: { user: '42', client: client.id }, offset: 3 },
            { data: 4, info: { user: '42', client: client.id }, offset: 4 },
        ]);
        await client.publish(channel, 5);
        assert.equal((await client.expectPublication(channel)).offset, 5);
        client.close();
    });

    test('a client that was there before the first publication gets all of them', async () => {
        const { channel, epoch, client } = await filled('forced', 5);
        const reply = await client.subscribe(channel, { recover: true, epoch });
        assert.deepEqual(offsets(reply), [1, 2, 3, 4, 5]);
        client.close();
    });

    test('an empty epoch matches any', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        const reply = await client.subscribe(channel, { recover: true, offset: 2 });
        assert.deepEqual([reply.recovered, reply.epoch, offsets(reply)], [true, epoch, [3]]);
        client.close();
    });

    test('recovery of a stream that allows it needs the client to ask for it', async () => {
        const { channel, epoch, client } = await filled('stream', 3);
        const reply = await client.subscribe(channel, { recover: true, recoverable: true, epoch, offset: 1 });
        assert.deepEqual([reply.recovered, offsets(reply)], [true, [2, 3]]);
        client.close();
    });

    /* ---- not recovered ---- */

    async function expectLost(reply: Json, epoch: string, top: number) {
        assert.deepEqual(reply, { recoverable: true, positioned: true, epoch, offset: top, was_recovering: true });
    }

    test('history of 5 recovers a client that is 5 behind, but not one that is 6 behind', async () => {
        const { channel, epoch, client } = await filled('forced', 8);
        assert.deepEqual(offsets(await client.subscribe(channel, { recover: true, epoch, offset: 3 })), [4, 5, 6, 7, 8]);
        await client.call('unsubscribe', { channel });
        await expectLost(await client.subscribe(channel, { recover: true, epoch, offset: 2 }), epoch, 8);
        await client.publish(channel, 9);
        assert.equal((await client.expectPublication(channel)).offset, 9, 'lost is subscribed all the same');
        client.close();
    });

    test('more than recovery_max_publication_limit is not recovered', async () => {
        const { channel, epoch, client } = await filled('long', 210);
        for (const [behind, isRecovered] of [[199, true], [200, true], [201, false]] as const) {
            const reply = await client.subscribe(channel, { recover: true, epoch, offset: 210 - behind });
            assert.equal(reply.recovered ?? false, isRecovered, `${behind} behind`);
            assert.equal(offsets(reply).length, isRecovered ? behind : 0);
            await client.call('unsubscribe', { channel });
        }
        client.close();
    });

    test('another epoch is not recovered, nor is _, even at the top', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        for (const other of ['xxxxxxxx', '_', `${epoch}x`, epoch.slice(0, -1), 'x'.repeat(20000)]) {
            await expectLost(await client.subscribe(channel, { recover: true, epoch: other, offset: 3 }), epoch, 3);
            await client.call('unsubscribe', { channel });
        }
        client.close();
    });

    test('J09: an offset beyond the top is not recovered, however large', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        for (const offset of ['4', '9007199254740993', '18446744073709551615']) {
            const id = client.nextId();
            client.sendText(`{"id":${id},"subscribe":{"channel":"${channel}","recover":true,"epoch":"${epoch}","offset":${offset}}}`);
            await expectLost((await client.expectReply(id)).json.subscribe as Json, epoch, 3);
            await client.call('unsubscribe', { channel });
        }
        for (const offset of ['-1', '1.5', '"3"', '18446744073709551616']) {
            client.sendText(`{"id":77,"subscribe":{"channel":"${channel}","recover":true,"offset":${offset}}}`);
            assert.equal((await client.expectReply(77)).json.error.code, 107, offset);
        }
        client.close();
    });

    test('flag bit 2 turns what cannot be recovered into error 112, and there is no subscription', async () => {
        const { channel, epoch, client } = await filled('forced', 8);
        await client.expectError('subscribe', { channel, recover: true, epoch, offset: 1, flag: 2 }, 112);
        await client.expectError('subscribe', { channel, recover: true, epoch: 'other', offset: 8, flag: 3 }, 112);
        await client.publish(channel, 9);
        await client.expectNothing();
        assert.deepEqual(offsets(await client.subscribe(channel, { recover: true, epoch, offset: 8, flag: 2 })), [9]);
        client.close();
    });

    test('recover is not heeded where there is no recovery', async () => {
        const client = await connect();
        assert.deepEqual(await client.subscribe('plain:r', { recover: true, epoch: 'x', offset: 5 }), {});
        assert.deepEqual(await client.subscribe('kept:r', { recover: true, epoch: 'x', offset: 5 }), {});
        client.close();
    });

    test('publications whose time is over cannot be recovered, but the position stays', async () => {
        const { channel, epoch, client } = await filled('brief', 3);
        await eventually('history is empty', async () => {
            return (await client.call('history', { channel, limit: -1 })).publications.length === 0;
        });
        const atTop = await client.subscribe(channel, { recover: true, epoch, offset: 3 });
        assert.equal(atTop.recovered, true);
        await client.call('unsubscribe', { channel });
        await expectLost(await client.subscribe(channel, { recover: true, epoch, offset: 2 }), epoch, 3);
        client.close();
    });

    test('removing the history keeps offset and epoch', async () => {
        const { channel, epoch, client } = await filled('forced', 3);
        await server.apiResult('history_remove', { channel });
        assert.deepEqual(await client.call('history', { channel, limit: -1 }), { publications: [], epoch, offset: 3 });
        await expectLost(await client.subscribe(channel, { recover: true, epoch, offset: 2 }), epoch, 3);
        client.close();
    });

    /* ---- cache mode ---- */

    test('cache mode recovers the last value alone', async () => {
        const { channel, epoch, client } = await filled('cache', 3);
        for (const position of [{ epoch, offset: 1 }, { epoch: 'other', offset: 2 }, {}]) {
            const reply = await client.subscribe(channel, { recover: true, ...position });
            assert.deepEqual([reply.recovered, reply.was_recovering, offsets(reply)], [true, true, [3]]);
            await client.call('unsubscribe', { channel });
        }
        const atTop = await client.subscribe(channel, { recover: true, epoch, offset: 3 });
        assert.deepEqual([atTop.recovered, offsets(atTop)], [true, []]);
        client.close();
    });

    test('cache mode without recover sends nothing', async () => {
        const { channel, epoch, client } = await filled('cache', 3);
        assert.deepEqual(await client.subscribe(channel), { recoverable: true, positioned: true, epoch, offset: 3 });
        client.close();
    });

    test('auto_cache_recover sends the last value on every subscribe, server-side ones included', async () => {
        const { channel, client } = await filled('auto', 3);
        const reply = await client.subscribe(channel);
        assert.deepEqual([reply.recovered, reply.was_recovering, offsets(reply)], [true, true, [3]]);
        const other = await Client.open(server);
        const { subs } = await other.connect({ token: userToken('1', { channels: [channel] }) });
        assert.deepEqual([subs[channel].recovered, offsets(subs[channel] as Json)], [true, [3]]);
        await client.publish(channel, 4);
        assert.equal((await other.expectPublication(channel)).offset, 4);
        client.close();
        other.close();
    });

    /* ---- between history and live ---- */

    /* Publishes n = 1, 2, 3 … without a pause, several in flight, until the returned function is called. */
    function publishWithoutPause(publisher: Client, channel: string): () => Promise<number> {
        let count = 0;
        let isOver = false;
        const run = (async () => {
            while (!isOver) {
                const ids = Array.from({ length: 8 }, () => publisher.command('publish', { channel, data: ++count }));
                for (const id of ids) {
                    await publisher.expectReply(id);
                }
            }
        })();
        return async () => {
            isOver = true;
            await run;
            return count;
        };
    }

    test('a subscriber that leaves and recovers under a publisher without pause misses nothing and sees nothing twice', async () => {
        const channel = `long:busy${workers}`;
        const publishers = await Promise.all([connect(), connect()]);
        const stops = publishers.map((publisher) => publishWithoutPause(publisher, channel));
        const reader = await connect();
        const first = await reader.subscribe(channel);
        let position = (first.offset ?? 0) as number;
        let recoveredCount = 0;
        for (let round = 0; round < (isSlowBuild ? 20 : 60); round++) {
            for (let i = 0; i < round % 7; i++) {
                const publication = await reader.expectPublication(channel);
                assert.equal(publication.offset, position + 1, `round ${round}`);
                position++;
            }
            const left = reader.command('unsubscribe', { channel });
            const back = reader.nextId();
            await reader.expectReply(left);
            for (const message of reader.inbox.splice(0)) {
                assert.equal(message.json.push.pub.offset, position + 1);
                position++;
            }
            reader.sendText(JSON.stringify({ id: back, subscribe: { channel, recover: true, epoch: first.epoch, offset: position } }));
            const { subscribe } = (await reader.expectReply(back)).json;
            if (subscribe.recovered === true) {
                recoveredCount++;
                assert.equal(subscribe.offset, position);
                for (const offset of offsets(subscribe as Json)) {
                    assert.equal(offset, ++position);
                }
            } else {
                position = (subscribe.offset ?? 0) as number; /* more than the limit in one absence: said, not hidden */
            }
        }
        const published = (await Promise.all(stops.map((stop) => stop()))).reduce((a, b) => a + b);
        while (position < published) {
            assert.equal((await reader.expectPublication(channel)).offset, ++position);
        }
        assert.ok(recoveredCount > 5, `only ${recoveredCount} recovered`);
        await reader.expectNothing();
        [...publishers, reader].forEach((client) => client.close());
    });

    test('clients that subscribe at once under a publisher without pause all see one unbroken sequence', async () => {
        const channel = `long:crowd${workers}`;
        const publisher = await connect();
        const stop = publishWithoutPause(publisher, channel);
        const readers = await Promise.all(Array.from({ length: 12 }, connect));
        await Promise.all(
            readers.map(async (reader) => {
                let position = ((await reader.subscribe(channel)).offset ?? 0) as number;
                for (let i = 0; i < 60; i++) {
                    assert.equal((await reader.expectPublication(channel)).offset, ++position);
                }
            }),
        );
        await stop();
        [publisher, ...readers].forEach((client) => client.close());
    });
});

describe('a restart', () => {
    test('changes the epoch, so that no old position means anything', async () => {
        const channel = 'forced:restart';
        const epochs: string[] = [];
        for (let run = 0; run < 2; run++) {
            const server = await Server.start({ config: CONFIG });
            const client = await Client.connect(server, userToken('1'));
            await client.publish(channel, 1);
            const reply = await client.subscribe(channel, { recover: true, epoch: epochs[0] ?? 'none', offset: 1 });
            assert.ok(!('recovered' in reply));
            epochs.push(reply.epoch as string);
            client.close();
            await server.stop();
        }
        assert.notEqual(epochs[0], epochs[1]);
    });
});
