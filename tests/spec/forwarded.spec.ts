/* forwarded.spec.ts - the client's address behind proxies: THREATS H50 and H51. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { request } from './support/http.ts';
import { serverFor, type Server } from './support/server.ts';
import { userToken } from './support/token.ts';

function from(forwarded: string) {
    return { headers: { 'X-Forwarded-For': forwarded } };
}

/* The status that answers an upgrade. */
async function upgradeStatus(server: Server, headers: Record<string, string>): Promise<number> {
    const answer = await request(server.port, '/connection/websocket', {
        headers: {
            Upgrade: 'websocket',
            Connection: 'Upgrade',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            ...headers,
        },
    });
    return answer.status;
}

describe('behind a trusted proxy', () => {
    const server = serverFor({
        http_server: { trusted_proxies: ['127.0.0.1', '10.0.0.0/8'] },
        limits: { connections_per_ip: 1 },
    });

    test('H50: each forwarded address has its own limit, and what a client put in front changes nothing', async () => {
        const first = await Client.connect(server, userToken('1'), from('198.51.100.1'));
        const second = await Client.connect(server, userToken('2'), from('198.51.100.2, 10.1.2.3'));
        assert.equal(await upgradeStatus(server, { 'X-Forwarded-For': '203.0.113.9, 198.51.100.1' }), 429);
        const refused = await server.expectLog('handshake_refused');
        assert.equal(refused.address, '198.51.100.1');
        assert.equal(refused.rule, 'limits.connections_per_ip');
        first.close();
        second.close();
    });

    test('H50: a place is given back to the address that had it', async () => {
        const client = await Client.connect(server, userToken('1'), from('198.51.100.3'));
        client.close();
        await eventually('a free place', async () => {
            return (await upgradeStatus(server, { 'X-Forwarded-For': '198.51.100.3' })) === 101;
        });
    });

    test('H51: an endpoint that is reached by TLS is of another origin than a page that was not', async () => {
        const origin = { Host: 'chat.example', Origin: 'http://chat.example', 'X-Forwarded-Proto': 'https' };
        assert.equal(await upgradeStatus(server, { ...origin, 'X-Forwarded-For': '198.51.100.4' }), 403);
        const client = await Client.connect(server, userToken('1'), {
            headers: { ...origin, Origin: 'https://chat.example', 'X-Forwarded-For': '198.51.100.4' },
        });
        client.close();
    });
});

describe('behind nobody who is trusted', () => {
    const server = serverFor({ http_server: { trusted_proxies: ['10.0.0.0/8'] }, limits: { connections_per_ip: 1 } });

    test('H50: all connections of the peer count as its own, whatever they forward', async () => {
        const first = await Client.connect(server, userToken('1'), from('198.51.100.1'));
        assert.equal(await upgradeStatus(server, { 'X-Forwarded-For': '198.51.100.2' }), 429);
        assert.equal((await server.expectLog('handshake_refused')).address, '127.0.0.1');
        first.close();
    });
});
