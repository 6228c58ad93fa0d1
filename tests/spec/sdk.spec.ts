/* sdk.spec.ts - centrifuge-js as applications use it, unmodified, under Node (PROTOCOL section 16). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Centrifuge, type Options, type PublicationContext, type Subscription, type SubscriptionOptions } from 'centrifuge';
import WebSocket from 'ws';
import { Client, type Json } from './support/client.ts';
import { SOON_MS, eventually, pause, within } from './support/deadline.ts';
import { Proxy } from './support/proxy.ts';
import { Server, forEachWorkerCount, freePort, isSlowBuild, serverFor } from './support/server.ts';
import { inSeconds, subscriptionToken, userToken } from './support/token.ts';

const opened: Centrifuge[] = [];

/* An SDK client, disconnected at the end whatever happens. */
function sdk(port: number, options: Partial<Options> = {}): Centrifuge {
    const client = new Centrifuge(`ws://127.0.0.1:${port}/connection/websocket`, {
        websocket: WebSocket,
        minReconnectDelay: 20,
        maxReconnectDelay: 200,
        timeout: SOON_MS,
        ...options,
    });
    client.on('error', () => undefined);
    opened.push(client);
    return client;
}

after(() => opened.forEach((client) => client.disconnect()));

function subscription(client: Centrifuge, channel: string, options: Partial<SubscriptionOptions> = {}): Subscription {
    const sub = client.newSubscription(channel, { minResubscribeDelay: 20, maxResubscribeDelay: 200, ...options });
    sub.on('error', () => undefined);
    return sub;
}

async function connected(client: Centrifuge): Promise<Centrifuge> {
    client.connect();
    await within(client.ready(), 'the SDK connects');
    return client;
}

/* The next event of that name. */
function next<T>(emitter: { once(event: string, handler: (context: T) => void): unknown }, event: string, ms = SOON_MS * 2): Promise<T> {
    return within(new Promise<T>((resolve) => emitter.once(event, resolve)), event, ms);
}

async function subscribed(client: Centrifuge, channel: string, options: Partial<SubscriptionOptions> = {}): Promise<Subscription> {
    const sub = subscription(client, channel, options);
    sub.subscribe();
    await within(sub.ready(), `subscribed to ${channel}`);
    return sub;
}

forEachWorkerCount('the JavaScript SDK', (workers) => {
    const server = serverFor({ http_server: { workers }, client: { ping_interval: '2s', pong_timeout: '1s' } });
    const connect = (user = '42', options: Partial<Options> = {}) => connected(sdk(server.port, { token: userToken(user), ...options }));

    test('connects, subscribes, publishes and receives', async () => {
        const client = await connect();
        const sub = await subscribed(client, 'chat:hello');
        const publication = next<PublicationContext>(sub, 'publication');
        await sub.publish({ text: 'hi' });
        const { data, info, offset } = await publication;
        assert.deepEqual([data, info?.user, offset], [{ text: 'hi' }, '42', 1]);
        client.disconnect();
    });

    test('sends connect and subscribes in one frame, before anything was answered', async () => {
        const client = sdk(server.port, { token: userToken('42') });
        const subs = Array.from({ length: 60 }, (_, i) => subscription(client, `open:many${i}`));
        subs.forEach((sub) => sub.subscribe());
        client.connect();
        await Promise.all(subs.map((sub) => within(sub.ready(), sub.channel)));
        client.disconnect();
    });

    test('reads presence, presence stats and history', async () => {
        const client = await connect('1');
        const other = await connect('2');
        const sub = await subscribed(client, 'chat:who');
        await subscribed(other, 'chat:who');
        const { clients } = await sub.presence();
        assert.deepEqual(Object.values(clients).map((entry) => entry.user).sort(), ['1', '2']);
        assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 2 });
        await sub.publish(1);
        await sub.publish(2);
        const history = await sub.history({ limit: 10 });
        assert.deepEqual(history.publications.map((publication) => publication.data), [1, 2]);
        assert.equal(history.offset, 2);
        client.disconnect();
        other.disconnect();
    });

    test('sees others join and leave', async () => {
        const client = await connect('1');
        const sub = await subscribed(client, 'chat:door', { joinLeave: true });
        const other = await connect('2');
        const join = new Promise<void>((resolve) => sub.on('join', (context) => context.info.user === '2' && resolve()));
        const otherSub = await subscribed(other, 'chat:door');
        await within(join, 'join');
        const leave = next<{ info: { user: string } }>(sub, 'leave');
        otherSub.unsubscribe();
        assert.equal((await leave).info.user, '2');
        client.disconnect();
        other.disconnect();
    });

    test('subscribes and unsubscribes in a tight loop, and ends where it meant to', async () => {
        const client = await connect();
        const sub = subscription(client, 'chat:loop');
        for (let i = 0; i < 100; i++) {
            sub.subscribe();
            sub.unsubscribe();
        }
        sub.subscribe();
        await within(sub.ready(), 'subscribed');
        assert.deepEqual(await sub.presenceStats(), { numClients: 1, numUsers: 1 });
        sub.unsubscribe();
        await eventually('presence is empty', async () => {
            return (await server.apiResult('presence_stats', { channel: 'chat:loop' })).num_clients === 0;
        });
        client.disconnect();
    });

    test('connects and disconnects in a tight loop, and leaves nothing behind', async () => {
        const client = sdk(server.port, { token: userToken('42') });
        const sub = subscription(client, 'chat:flap');
        sub.subscribe();
        for (let i = 0; i < 30; i++) {
            client.connect();
            if (i % 3 === 0) {
                await within(client.ready(), 'connected');
            }
            client.disconnect();
        }
        await eventually('presence is empty', async () => {
            return (await server.apiResult('presence_stats', { channel: 'chat:flap' })).num_clients === 0;
        });
        await eventually('no clients', async () => (await server.metric('starling_node_num_clients')) === 0);
    });

    test('answers pings: it is still there when one who does not is closed', async () => {
        const client = await connect();
        let isGone = false;
        client.on('disconnected', () => (isGone = true));
        client.on('connecting', () => (isGone = true));
        const mute = await Client.connect(server, userToken('1'), { answersPings: false });
        await mute.expectDisconnect(3012, SOON_MS * 2);
        await client.publish('open:a', 1);
        assert.ok(!isGone);
        client.disconnect();
    });

    test('is told what it may not do', async () => {
        const client = await connect();
        const sub = subscription(client, 'closed:a');
        const ended = next<{ code: number }>(sub, 'unsubscribed');
        sub.subscribe();
        assert.equal((await ended).code, 103);
        await assert.rejects(client.rpc('x', {}), { code: 108 });
        await assert.rejects(client.publish('closed:a', 1), { code: 103 });
        await assert.rejects(client.presence('open:a'), { code: 108 });
        client.disconnect();
    });

    test('is terminally disconnected by a token that is not ours', async () => {
        const client = sdk(server.port, { token: `${userToken('42')}x` });
        const ended = next<{ code: number }>(client, 'disconnected');
        client.connect();
        assert.equal((await ended).code, 3500);
    });

    test('gets a token when it has none, and a new one when the old one has expired', async () => {
        const tokens = [userToken('42', { exp: 1 }), userToken('42')];
        let asked = 0;
        const client = sdk(server.port, { getToken: () => Promise.resolve(tokens[asked++] ?? '') });
        await connected(client);
        assert.equal(asked, 2);
        client.disconnect();
    });

    test('refreshes its token before it expires, without losing the connection', async () => {
        let asked = 0;
        const client = sdk(server.port, { getToken: () => Promise.resolve(userToken('42', { exp: inSeconds(++asked > 2 ? 100 : 2) })) });
        await connected(client);
        let isGone = false;
        client.on('connecting', () => (isGone = true));
        await eventually('it has refreshed twice', () => asked >= 3, 8000 + SOON_MS);
        await client.publish('open:a', 1);
        assert.ok(!isGone);
        client.disconnect();
    });

    test('refreshes the token of a subscription', async () => {
        const client = await connect();
        let asked = 0;
        const sub = await subscribed(client, '$closed:paid', {
            getToken: (context) => Promise.resolve(subscriptionToken('42', context.channel, { exp: inSeconds(++asked > 1 ? 100 : 2) })),
        });
        let isGone = false;
        sub.on('subscribing', () => (isGone = true));
        await eventually('it has refreshed', () => asked >= 2, 5000 + SOON_MS);
        await client.publish('open:a', 1);
        assert.ok(!isGone);
        client.disconnect();
    });

    test('receives server-side subscriptions of its token, and those that the API makes and ends', async () => {
        const client = sdk(server.port, { token: userToken('55', { channels: ['open:mine'] }) });
        const first = next<{ channel: string }>(client, 'subscribed');
        await connected(client);
        assert.equal((await first).channel, 'open:mine');
        const publication = next<PublicationContext>(client, 'publication');
        await server.apiResult('publish', { channel: 'open:mine', data: 'pushed' });
        assert.equal((await publication).data, 'pushed');
        const later = next<{ channel: string }>(client, 'subscribed');
        await server.apiResult('subscribe', { user: '55', channel: 'chat:late' });
        assert.equal((await later).channel, 'chat:late');
        const ended = next<{ channel: string }>(client, 'unsubscribed');
        await server.apiResult('unsubscribe', { user: '55', channel: 'chat:late' });
        assert.equal((await ended).channel, 'chat:late');
        client.disconnect();
    });

    test('stays unsubscribed after the API has unsubscribed it with 2000', async () => {
        const client = await connect('56');
        const sub = await subscribed(client, 'open:kicked');
        const ended = next<{ code: number }>(sub, 'unsubscribed');
        await server.apiResult('unsubscribe', { user: '56', channel: 'open:kicked' });
        assert.equal((await ended).code, 2000);
        assert.equal(sub.state, 'unsubscribed');
        client.disconnect();
    });

    test('stays away after a terminal code, and comes back after any other', async () => {
        for (const [code, comesBack] of [[3503, false], [3999, false], [4500, false], [3000, true], [4000, true], [4499, true]] as const) {
            const client = await connect('57');
            const event = next<{ code: number }>(client, comesBack ? 'connecting' : 'disconnected');
            await server.apiResult('disconnect', { user: '57', disconnect: { code, reason: 'spec' } });
            const context = await event;
            if (code !== 3000) {
                assert.equal(context.code, code);
            }
            if (comesBack) {
                await within(client.ready(), `it comes back after ${code}`);
            } else {
                assert.equal(client.state, 'disconnected');
            }
            client.disconnect();
        }
    });

    test('loses nothing and sees nothing twice when its connection is cut again and again', async () => {
        const proxy = await Proxy.open(() => server.port);
        const client = await connected(sdk(proxy.port, { token: userToken('42') }));
        const seen: number[] = [];
        let lostCount = 0;
        const sub = subscription(client, 'chat:cut');
        sub.on('publication', (context) => seen.push((context.data as { n: number }).n));
        sub.on('subscribed', (context) => (lostCount += context.wasRecovering && !context.recovered ? 1 : 0));
        sub.subscribe();
        await within(sub.ready(), 'subscribed');
        let n = 0;
        let isOver = false;
        /* History holds 10: slower than a reconnect is long, and without an end. */
        const publishing = (async () => {
            while (!isOver) {
                await server.apiResult('publish', { channel: 'chat:cut', data: { n: ++n } });
                await pause(isSlowBuild ? 200 : 50);
            }
        })();
        for (let cut = 0; cut < 6; cut++) {
            const count = seen.length;
            await eventually('publications come', () => seen.length > count + 3);
            const gone = next(client, 'connecting');
            proxy.cut();
            await gone;
            await within(client.ready(), 'it is back', SOON_MS * 2);
        }
        isOver = true;
        await publishing;
        await eventually('the last has come', () => seen[seen.length - 1] === n);
        assert.equal(lostCount, 0);
        assert.deepEqual(seen, Array.from({ length: n - (seen[0] as number) + 1 }, (_, i) => i + (seen[0] as number)));
        client.disconnect();
        proxy.close();
    });

    test('is told when more was missed than history holds', async () => {
        const proxy = await Proxy.open(() => server.port);
        const client = await connected(sdk(proxy.port, { token: userToken('42') }));
        const sub = await subscribed(client, 'chat:long');
        await sub.publish({ n: 0 });
        proxy.setOpen(false);
        const gone = next(client, 'connecting');
        proxy.cut();
        await gone;
        for (let n = 1; n <= 15; n++) {
            await server.apiResult('publish', { channel: 'chat:long', data: { n } });
        }
        const back = next<{ wasRecovering: boolean; recovered: boolean }>(sub, 'subscribed');
        proxy.setOpen(true);
        const context = await back;
        assert.deepEqual([context.wasRecovering, context.recovered], [true, false]);
        client.disconnect();
        proxy.close();
    });
});

describe('a server restart', () => {
    test('brings SDK clients back, with their subscriptions, and they are told that nothing could be recovered', async () => {
        const port = await freePort();
        const config = { http_server: { port }, shutdown: { drain: '0s' } };
        const first = await Server.start({ config });
        const clients = await Promise.all(Array.from({ length: 5 }, (_, i) => connected(sdk(port, { token: userToken(`${i}`) }))));
        const subs = await Promise.all(clients.map((client) => subscribed(client, 'chat:restart')));
        await subs[0]?.publish('before');
        const leaving = Promise.all(clients.map((client) => next<{ code: number }>(client, 'connecting')));
        const resubscribed = subs.map((sub) => next<Json>(sub, 'subscribed', SOON_MS * 4));
        await first.stop();
        assert.deepEqual((await leaving).map((context) => context.code), [3001, 3001, 3001, 3001, 3001]);
        const second = await Server.start({ config });
        for (const context of await Promise.all(resubscribed)) {
            assert.deepEqual([context.wasRecovering, context.recovered], [true, false]);
        }
        const received = subs.map((sub) => next<PublicationContext>(sub, 'publication'));
        await subs[1]?.publish('after');
        assert.deepEqual((await Promise.all(received)).map((context) => context.data as string), Array(5).fill('after'));
        clients.forEach((client) => client.disconnect());
        await second.stop();
    });

    test('that kills the process without a word is no different', async () => {
        const port = await freePort();
        const config = { http_server: { port } };
        const first = await Server.start({ config });
        const client = await connected(sdk(port, { token: userToken('1') }));
        const sub = await subscribed(client, 'chat:crash');
        const back = next<Json>(sub, 'subscribed', SOON_MS * 4);
        await first.kill();
        const second = await Server.start({ config });
        await back;
        client.disconnect();
        await second.stop();
    });
});
