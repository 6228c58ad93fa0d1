/* webhooks.spec.ts - what the application's backend is told, against a real HTTP server that does not always like it. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { SOON_MS, eventually } from './support/deadline.ts';
import { forEachWorkerCount, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

const SECRET = 'spec-webhook-secret-0123456789abcdef';

interface Delivery {
    headers: http.IncomingHttpHeaders;
    body: string;
    events: Json[];
}

/* Takes what is posted; `answers` says with which status, 200 once it has run out. */
class Backend {
    readonly deliveries: Delivery[] = [];
    answers: number[] = [];
    private readonly server = http.createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
            const body = Buffer.concat(chunks).toString('utf8');
            this.deliveries.push({ headers: request.headers, body, events: (JSON.parse(body) as Json).events });
            response.writeHead(this.answers.shift() ?? 200).end();
        });
    });

    async start() {
        await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    }

    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }

    get url(): string {
        return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/events`;
    }

    get events(): Json[] {
        return this.deliveries.flatMap((delivery) => delivery.events);
    }

    /* Waits until `count` events of that client or channel are there. */
    async expect(count: number, matches: (event: Json) => boolean): Promise<Json[]> {
        await eventually(`${count} events`, () => this.events.filter(matches).length >= count, SOON_MS);
        return this.events.filter(matches);
    }
}

const namespaces = [{ name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true }];

forEachWorkerCount('webhooks', (workers) => {
    const backend = new Backend();
    before(() => backend.start());
    after(() => backend.stop());
    const server = serverFor(() => ({
        http_server: { workers },
        channel: { namespaces },
        webhooks: {
            endpoint: backend.url,
            secret: SECRET,
            batch_delay: '20ms',
            events: ['connected', 'disconnected', 'subscribed', 'unsubscribed', 'occupied', 'vacated', 'published'],
        },
    }));

    test('tell of a client from its coming to its going, in order', async () => {
        const client = await Client.connect(server, userToken('42'));
        await client.subscribe('open:a');
        await client.call('unsubscribe', { channel: 'open:a' });
        await client.subscribe('open:b');
        client.close();
        const events = await backend.expect(6, (event) => event.client === client.id);
        assert.deepEqual(
            events.map((event) => [event.event, event.channel]),
            [
                ['connected', undefined],
                ['subscribed', 'open:a'],
                ['unsubscribed', 'open:a'],
                ['subscribed', 'open:b'],
                ['unsubscribed', 'open:b'],
                ['disconnected', undefined],
            ],
        );
        assert.ok(events.every((event) => event.user === '42' && Math.abs(event.time - Date.now()) < 60000));
        assert.deepEqual([events[5]?.code, events[5]?.reason], [3000, 'connection closed']);
    });

    test('name the code a client was disconnected with', async () => {
        const client = await Client.connect(server, userToken('43'));
        await server.apiResult('disconnect', { user: '43', disconnect: { code: 4001, reason: 'enough' } });
        await client.expectDisconnect(4001);
        const events = await backend.expect(2, (event) => event.client === client.id);
        assert.deepEqual([events[1]?.event, events[1]?.code, events[1]?.reason], ['disconnected', 4001, 'enough']);
    });

    test('say once that a channel is occupied, and once that it is vacant', async () => {
        const clients = await Promise.all(['1', '2', '3'].map((user) => Client.connect(server, userToken(user))));
        for (const client of clients) {
            await client.subscribe('open:shared');
        }
        for (const client of clients) {
            await client.call('unsubscribe', { channel: 'open:shared' });
            client.close();
        }
        const about = (event: Json) => event.channel === 'open:shared' && event.client === undefined;
        const events = await backend.expect(2, about);
        assert.deepEqual(events.map((event) => event.event), ['occupied', 'vacated']);
    });

    test('carry publications byte for byte, those of clients with who sent them', async () => {
        const client = await Client.connect(server, userToken('44'));
        client.sendText('{"id":900,"publish":{"channel":"open:bytes","data":{"n": 1E400,"z":0.100}}}');
        await client.expectReply(900);
        const [event] = await backend.expect(1, (e) => e.event === 'published' && e.channel === 'open:bytes');
        assert.equal(event?.info.user, '44');
        assert.ok(backend.deliveries.some(({ body }) => body.includes('"data":{"n": 1E400,"z":0.100}')));
        client.close();
    });

    test('are signed, and numbered by delivery', async () => {
        const client = await Client.connect(server, userToken('45'));
        await backend.expect(1, (event) => event.client === client.id);
        client.close();
        for (const { headers, body } of backend.deliveries) {
            const match = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-starling-signature']));
            assert.ok(match);
            const wanted = createHmac('sha256', SECRET).update(`${match[1]}.${body}`).digest('hex');
            assert.equal(match[2], wanted);
            assert.match(String(headers['x-starling-delivery']), /^[0-9a-f-]{36}$/);
            assert.equal(headers['content-type'], 'application/json');
        }
    });

    test('are sent again until they are taken, with the same delivery and the same events', async () => {
        backend.answers = Array.from({ length: workers }, () => 503);
        const seen = backend.deliveries.length;
        const client = await Client.connect(server, userToken('46'));
        /* Which delivery is refused is chance: events of the test before may still be on their way. */
        const repeated = () => {
            const deliveries = backend.deliveries.slice(seen);
            const id = deliveries.map((d) => d.headers['x-starling-delivery']).find((one, i, all) => all.indexOf(one) < i);
            return deliveries.filter((d) => id !== undefined && d.headers['x-starling-delivery'] === id);
        };
        await eventually('a second attempt', () => repeated().length >= 2);
        const [first, again] = repeated();
        assert.deepEqual(again?.events, first?.events);
        backend.answers = [];
        client.close();
    });

    test('that are refused for good are dropped and counted, and later ones arrive', async () => {
        const before = await server.metric('starling_webhook_events_dropped_total', 'reason="failed"');
        backend.answers = [400];
        const refused = await Client.connect(server, userToken('47'));
        await eventually('the drop', async () => {
            return (await server.metric('starling_webhook_events_dropped_total', 'reason="failed"')) > before;
        });
        const next = await Client.connect(server, userToken('48'));
        await backend.expect(1, (event) => event.client === next.id);
        refused.close();
        next.close();
    });
});

describe('webhooks whose backend is dead', () => {
    const server = serverFor({
        http_server: { workers: 1 },
        channel: { namespaces },
        webhooks: { endpoint: 'http://127.0.0.1:9/', events: ['connected', 'subscribed'], queue_max: 3 },
    });

    test('hold up nobody, keep what the queue holds and count the rest', async () => {
        for (let i = 0; i < 5; i++) {
            const client = await Client.connect(server, userToken('1'));
            await client.subscribe('open:a');
            await client.publish('open:a', i);
            assert.equal((await client.expectPublication('open:a')).data, i);
            client.close();
        }
        assert.equal(await server.metric('starling_webhook_events_queued'), 3);
        assert.equal(await server.metric('starling_webhook_events_dropped_total', 'reason="queue"'), 7);
    });
});
