/* lifetime.spec.ts - pings, expiry and refresh: how long a connection lasts (PROTOCOL sections 3, 4.9, 6, 7.8). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { SOON_MS, timed } from './support/deadline.ts';
import { serverFor } from './support/server.ts';
import { inSeconds, makeToken, subscriptionToken, userToken } from './support/token.ts';
import { OPCODE } from './support/websocket.ts';

describe('pings', () => {
    const server = serverFor({ client: { ping_interval: '2s', pong_timeout: '1s', stale_close_delay: '1s' } });

    test('come at the interval of the connect reply, the first after half of it to all of it', async () => {
        const client = await Client.open(server);
        assert.equal((await client.connect({ token: userToken('1') })).ping, 2);
        const first = await timed(() => client.expectPing());
        const second = await timed(() => client.expectPing());
        assert.ok(first >= 900 && first < 2000 + SOON_MS / 5, `first after ${first} ms`);
        assert.ok(second >= 1700 && second < 2300 + SOON_MS / 5, `second after ${second} ms`);
        client.close();
    });

    test('a client that answers them stays', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (let i = 0; i < 3; i++) {
            await client.expectPing();
        }
        await client.publish('open:a', 1);
        client.close();
    });

    test('a client that does not answer is closed 3012', async () => {
        const client = await Client.connect(server, userToken('1'), { answersPings: false });
        await client.expectPing();
        const ms = await timed(() => client.expectDisconnect(3012));
        assert.ok(ms >= 900, `${ms} ms`);
    });

    test('W17: half a frame and then nothing is closed 3012 like any silence', async () => {
        const client = await Client.connect(server, userToken('1'), { answersPings: false });
        client.ws.raw.write(Buffer.from([0x81, 0xfe, 0x01]));
        await client.expectPing();
        /* The answer to the close frame is taken for the rest of the half frame: the server waits 5 s for it. */
        await client.expectDisconnect(3012, 2 * SOON_MS);
    });

    test('a pong nobody asked for is closed 3501', async () => {
        const client = await Client.connect(server, userToken('1'));
        client.sendText('{}');
        await client.expectDisconnect(3501);
    });

    test('come as WebSocket frames where the client asks for that, and the connect reply names none', async () => {
        const client = await Client.open(server, { path: '/connection/websocket?cf_ws_frame_ping_pong=true' });
        const reply = await client.connect({ token: userToken('1') });
        assert.deepEqual([reply.ping, reply.pong], [undefined, undefined]);
        for (let i = 0; i < 2; i++) {
            const frame = await client.ws.nextFrame('a ping frame');
            assert.deepEqual([frame.opcode, frame.payload.length], [OPCODE.PING, 0]);
            client.ws.send(OPCODE.PONG, '');
        }
        assert.equal((await client.ws.nextFrame('a third ping frame')).opcode, OPCODE.PING);
        await client.expectDisconnect(3012);
    });

    test('a second pong for one ping is closed 3501', async () => {
        const client = await Client.connect(server, userToken('1'));
        await client.expectPing();
        client.sendText('{}');
        await client.expectDisconnect(3501);
    });

    test('a client that never sends connect is closed 3502', async () => {
        const silent = await Client.open(server);
        const pinging = await Client.open(server);
        const ms = await timed(() => silent.expectDisconnect(3502));
        assert.ok(ms >= 800 && ms < 2000 + SOON_MS / 5, `${ms} ms`);
        pinging.ws.send(OPCODE.PING, 'a frame, but no command');
        await pinging.expectDisconnect(3502);
    });

    test('a client whose connect was refused is closed 3502', async () => {
        const client = await Client.open(server);
        await client.expectError('connect', { token: userToken('1', { exp: 1 }) }, 109);
        await client.expectDisconnect(3502);
    });
});

describe('expiry of connections', () => {
    const server = serverFor({ client: { expired_close_delay: '0s', expired_sub_close_delay: '0s' } });

    test('closes 3005 when the token has run out', async () => {
        const client = await Client.connect(server, userToken('1', { exp: inSeconds(2) }));
        const ms = await timed(() => client.expectDisconnect(3005));
        assert.ok(ms > 500 && ms < 2500 + SOON_MS / 5, `${ms} ms`);
    });

    test('follows expire_at where the token has it', async () => {
        const client = await Client.connect(server, userToken('1', { exp: inSeconds(1000), expire_at: inSeconds(2) }));
        await client.expectDisconnect(3005);
    });

    test('is put off by a refresh', async () => {
        const client = await Client.connect(server, userToken('1', { exp: inSeconds(2) }));
        const result = await client.call('refresh', { token: userToken('1', { exp: inSeconds(100) }) });
        assert.equal(result.expires, true);
        assert.ok(result.ttl >= 98 && result.ttl <= 100);
        const witness = await Client.connect(server, userToken('2', { exp: inSeconds(3) }));
        await witness.expectDisconnect(3005);
        await client.publish('open:a', 1);
        client.close();
    });

    test('ends with a refresh to a token without end', async () => {
        const client = await Client.connect(server, userToken('1', { exp: inSeconds(2) }));
        const result = await client.call('refresh', { token: userToken('1') });
        assert.ok(!('expires' in result) && !('ttl' in result));
        const witness = await Client.connect(server, userToken('2', { exp: inSeconds(3) }));
        await witness.expectDisconnect(3005);
        await client.publish('open:a', 1);
        client.close();
    });

    test('ttl is never more than a year', async () => {
        const client = await Client.open(server);
        const reply = await client.connect({ token: userToken('1', { exp: inSeconds(400 * 86400) }) });
        assert.equal(reply.ttl, 365 * 86400);
        client.close();
    });
});

describe('refresh', () => {
    const server = serverFor();

    async function expectRefused(token: unknown, code: number, connectToken = userToken('1', { exp: inSeconds(100) })) {
        const client = await Client.connect(server, connectToken);
        client.command('refresh', { token });
        await client.expectDisconnect(code);
    }

    test('without a token is closed 3501', () => expectRefused('', 3501));
    test('with an expired token is closed 3005', () => expectRefused(userToken('1', { exp: 1 }), 3005));
    test('with a token of another user is closed 3500', () => expectRefused(userToken('2', { exp: inSeconds(100) }), 3500));
    test('with a foreign token is closed 3500', () => expectRefused(makeToken({ sub: '1' }, 'x'.repeat(40)), 3500));
    test('A09: with a subscription token is closed 3500', () => expectRefused(subscriptionToken('1', 'open:a'), 3500));

    test('with another set of server-side channels is closed 3010, so that the client fetches them', async () => {
        const token = (channels: string[]) => userToken('1', { exp: inSeconds(100), channels });
        await expectRefused(token(['open:a']), 3010);
        await expectRefused(token(['open:a', 'open:b']), 3010, token(['open:a']));
        await expectRefused(token([]), 3010, token(['open:a']));
        await expectRefused(token(['open:b']), 3010, token(['open:a']));
    });

    test('with the same set in another order goes on', async () => {
        const token = (channels: string[]) => userToken('1', { exp: inSeconds(100), channels });
        const client = await Client.connect(server, token(['open:a', 'open:b']));
        await client.call('refresh', { token: token(['open:b', 'open:a']) });
        client.close();
    });

    test('takes over the info of the new token', async () => {
        const client = await Client.connect(server, userToken('1', { info: { name: 'old' } }));
        await client.call('refresh', { token: userToken('1', { info: { name: 'new' } }) });
        await client.subscribe('open:a');
        await client.publish('open:a', 1);
        assert.deepEqual((await client.expectPublication('open:a')).info, { user: '1', client: client.id, conn_info: { name: 'new' } });
        client.close();
    });
});

describe('expiry of subscriptions', () => {
    const server = serverFor({ client: { expired_sub_close_delay: '0s' } });

    test('ends the subscription with an unsubscribe push 2501, and the connection stays', async () => {
        const client = await Client.connect(server, userToken('1'));
        const token = subscriptionToken('1', '$closed:a', { exp: inSeconds(2) });
        const reply = await client.subscribe('$closed:a', { token });
        assert.equal(reply.expires, true);
        assert.ok(reply.ttl >= 1 && reply.ttl <= 2, String(reply.ttl));
        assert.deepEqual(await client.expectPush('unsubscribe', '$closed:a'), { code: 2501, reason: 'expired' });
        await client.subscribe('$closed:a', { token: subscriptionToken('1', '$closed:a') });
        client.close();
    });

    test('is put off by sub_refresh', async () => {
        const client = await Client.connect(server, userToken('1'));
        await client.subscribe('$closed:a', { token: subscriptionToken('1', '$closed:a', { exp: inSeconds(2) }) });
        const result = await client.call('sub_refresh', {
            channel: '$closed:a',
            token: subscriptionToken('1', '$closed:a', { exp: inSeconds(100) }),
        });
        assert.equal(result.expires, true);
        assert.ok(result.ttl >= 98 && result.ttl <= 100);
        await client.subscribe('$closed:b', { token: subscriptionToken('1', '$closed:b', { exp: inSeconds(3) }) });
        await client.expectPush('unsubscribe', '$closed:b');
        await client.expectError('subscribe', { channel: '$closed:a' }, 105);
        client.close();
    });

    test('sub_refresh of what is not subscribed is 103, without a token 107, without a channel 3501', async () => {
        const client = await Client.connect(server, userToken('1'));
        const channel = '$closed:a';
        await client.expectError('sub_refresh', { channel, token: subscriptionToken('1', channel) }, 103);
        await client.subscribe(channel, { token: subscriptionToken('1', channel, { exp: inSeconds(100) }) });
        await client.expectError('sub_refresh', { channel, token: '' }, 107);
        client.command('sub_refresh', { token: 'x' });
        await client.expectDisconnect(3501);
    });

    test('sub_refresh with a foreign token is closed 3500, with an expired one 3006', async () => {
        const channel = '$closed:a';
        const refused: [string, number][] = [
            [subscriptionToken('2', channel), 3500],
            [subscriptionToken('1', '$closed:b'), 3500],
            [makeToken({ sub: '1', channel }, 'x'.repeat(40)), 3500],
            [userToken('1'), 3500],
            [subscriptionToken('1', channel, { exp: 1 }), 3006],
        ];
        for (const [token, code] of refused) {
            const client = await Client.connect(server, userToken('1'));
            await client.subscribe(channel, { token: subscriptionToken('1', channel, { exp: inSeconds(100) }) });
            client.command('sub_refresh', { channel, token });
            await client.expectDisconnect(code);
        }
    });
});
