/* network.spec.ts - TLS, IPv6 and the addresses that are listened on (THREATS L01, H29, P06). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { Client } from './support/client.ts';
import { SOON_MS, within } from './support/deadline.ts';
import { readResponse, request } from './support/http.ts';
import { RawSocket } from './support/raw_socket.ts';
import { Server, forEachWorkerCount, scratch, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';
import { OPCODE, WebSocketClient } from './support/websocket.ts';

/* A certificate of its own for localhost, made by the openssl command. */
function makeCertificate(): { cert: string; key: string } {
    const [cert, key] = [path.join(scratch, 'cert.pem'), path.join(scratch, 'key.pem')];
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', [...args, '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { cert, key };
}

describe('TLS', () => {
    let certificate = { cert: '', key: '' };
    before(() => {
        certificate = makeCertificate();
    });
    const server = serverFor(() => ({
        http_server: { tls: { enabled: true, cert_pem: certificate.cert, key_pem: certificate.key } },
        debug: { echo_path: '/echo' },
        limits: { http_head_timeout: '1s' },
        client: { ping_interval: '2s', pong_timeout: '1s' },
    }));

    const secure = (options = {}) => RawSocket.open(server.port, { tls: options });

    test('pages and the API are served, with our certificate', async () => {
        const socket = await secure();
        const shown = (socket.socket as TLSSocket).getPeerCertificate();
        assert.equal(shown.subject.CN, 'localhost');
        socket.write('GET /chat HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await readResponse(socket)).status, 200);
        socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await readResponse(socket)).status, 404);
        socket.close();
        const post = await request(server.port, '/api/publish', {
            method: 'POST',
            body: '{"channel":"open:a","data":1}',
            headers: { 'X-API-Key': 'wrong' },
            tls: {},
        });
        assert.equal(post.status, 401);
    });

    test('clients connect, publish and receive', async () => {
        const client = await Client.connect(server, userToken('1'), { tls: {} });
        await client.subscribe('open:a');
        await client.publish('open:a', 'over TLS');
        assert.equal((await client.expectPublication('open:a')).data, 'over TLS');
        client.close();
    });

    test('a client that only answers pings stays connected, long after the time a handshake may take', async () => {
        const client = await Client.connect(server, userToken('1'), { tls: {} });
        for (let i = 0; i < 4; i++) {
            await client.expectPing();
        }
        assert.deepEqual(await client.call('unsubscribe', { channel: 'open:a' }), {});
        client.close();
    });

    test('messages of a MiB go both ways', async () => {
        const ws = await WebSocketClient.open(server.port, { path: '/echo', tls: {} });
        for (const size of [1, 16384, 65536, 1024 * 1024]) {
            const payload = Buffer.alloc(size, 'abcdefg');
            ws.send(OPCODE.BINARY, payload);
            await ws.expectFrame(OPCODE.BINARY, payload);
        }
        ws.close();
    });

    test('the connection ends cleanly after a close frame', async () => {
        const ws = await WebSocketClient.open(server.port, { path: '/echo', tls: {} });
        ws.send(OPCODE.CLOSE, Buffer.from([3, 232]));
        await ws.expectFrame(OPCODE.CLOSE, Buffer.from([3, 232]));
        await ws.raw.expectEnd();
    });

    test('L01, P06: HTTP/2 is never negotiated', async () => {
        const both = await secure({ ALPNProtocols: ['h2', 'http/1.1'] });
        assert.equal((both.socket as TLSSocket).alpnProtocol, 'http/1.1');
        both.close();
        const alone = await secure({ ALPNProtocols: ['h2'] }).catch(() => null);
        assert.ok(alone === null || (alone.socket as TLSSocket).alpnProtocol !== 'h2');
        alone?.close();
        const none = await secure();
        assert.equal((none.socket as TLSSocket).alpnProtocol, false);
        none.close();
    });

    test('P06: TLS 1.2 and 1.3 are spoken, 1.0 and 1.1 are not', async () => {
        for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
            const socket = await secure({ minVersion: version, maxVersion: version });
            assert.equal((socket.socket as TLSSocket).getProtocol(), version);
            socket.close();
        }
        for (const version of ['TLSv1', 'TLSv1.1'] as const) {
            await assert.rejects(secure({ minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }), version);
        }
    });

    test('H29: plain HTTP and noise on the TLS port are dropped, and nothing is answered in the clear', async () => {
        for (const bytes of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\x00\x01\x02\x03'.repeat(50)]) {
            const socket = await RawSocket.open(server.port);
            socket.write(bytes);
            const text = await socket.readToEnd();
            assert.ok(!text.startsWith('HTTP/1.1 200') && !text.includes('html'), text);
        }
    });

    test('a peer that says nothing is dropped', async () => {
        const beforeHandshake = await RawSocket.open(server.port);
        const afterHandshake = await secure();
        await afterHandshake.expectEnd();
        await beforeHandshake.expectEnd(5000 + SOON_MS);
    });

    test('half a TLS hello holds up nobody', async () => {
        const half = await RawSocket.open(server.port);
        half.write(Buffer.from('1603010200010001fc0303', 'hex'));
        const client = await Client.connect(server, userToken('1'), { tls: {} });
        await client.publish('open:a', 1);
        client.close();
        half.close();
    });
});

describe('TLS settings', () => {
    test('may hold the PEM text itself', async () => {
        const { cert, key } = makeCertificate();
        const pem = { cert_pem: readFileSync(cert, 'utf8'), key_pem: readFileSync(key, 'utf8') };
        const server = await Server.start({ config: { http_server: { tls: { enabled: true, ...pem } } } });
        assert.equal((await request(server.port, '/chat', { tls: {} })).status, 200);
        await server.stop();
    });

    test('that do not fit together stop the start', async () => {
        const { cert } = makeCertificate();
        const tls = { enabled: true, cert_pem: cert, key_pem: cert };
        await assert.rejects(within(Server.start({ config: { http_server: { tls } } }), 'start'), /did not start/);
    });
});

forEachWorkerCount('IPv6', (workers) => {
    const server = serverFor({ http_server: { address: ['::1'], workers } });

    test('clients connect over it', async () => {
        const client = await Client.connect(server, userToken('1'), { host: '::1' });
        await client.subscribe('open:a');
        await client.publish('open:a', 6);
        assert.equal((await client.expectPublication('open:a')).data, 6);
        client.close();
        await assert.rejects(RawSocket.open(server.port, { host: '127.0.0.1' }));
    });
});

forEachWorkerCount('all addresses', (workers) => {
    const server = serverFor({ http_server: { address: [], workers } });

    test('are IPv4 and IPv6 on one port', async () => {
        for (const host of ['127.0.0.1', '::1']) {
            assert.equal((await request(server.port, '/chat', { host })).status, 200);
        }
    });
});

describe('several addresses', () => {
    const server = serverFor({ http_server: { address: ['127.0.0.1', '127.0.0.5'] } });

    test('are listened on, and no others', async () => {
        for (const host of ['127.0.0.1', '127.0.0.5']) {
            assert.equal((await request(server.port, '/chat', { host })).status, 200);
        }
        await assert.rejects(RawSocket.open(server.port, { host: '127.0.0.6' }));
    });

    test('whose port is taken stop the start', async () => {
        const rival = { http_server: { port: server.port, address: ['127.0.0.1'], workers: 1 } };
        const started = await Server.start({ config: rival }).catch((error: Error) => error.message);
        if (typeof started !== 'string') {
            await started.stop();
            assert.fail('a second server took the same port');
        }
        assert.match(started, /cannot listen on/);
    });
});
