/* handshake.spec.ts - the WebSocket opening handshake (RFC 6455 section 4; THREATS H01 to H08, L01, W19). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from './support/deadline.ts';
import { readResponse, type HttpResponse } from './support/http.ts';
import { RawSocket } from './support/raw_socket.ts';
import { serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';
import { DEFAULT_PATH, OPCODE, SAMPLE_KEY, WebSocketClient, frameBytes, upgradeText } from './support/websocket.ts';

describe('the opening handshake', () => {
    const server = serverFor({ client: { allowed_origins: ['https://app.example', 'https://*.chat.example'] } });

    /* What the server answers to this text. */
    async function answer(text: string): Promise<HttpResponse> {
        const socket = await RawSocket.open(server.port);
        socket.write(text);
        const response = await readResponse(socket);
        socket.close();
        return response;
    }

    async function expectStatus(text: string, status: number): Promise<HttpResponse> {
        const response = await answer(text);
        assert.equal(response.status, status, `${JSON.stringify(text)} → ${response.head}${response.body}`);
        return response;
    }

    test('is answered with the accept key of the RFC and nothing that was not offered', async () => {
        const response = await expectStatus(upgradeText(), 101);
        assert.equal(response.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
        assert.equal(response.headers.upgrade?.toLowerCase(), 'websocket');
        assert.equal(response.headers.connection?.toLowerCase(), 'upgrade');
        assert.equal(response.headers['sec-websocket-protocol'], undefined);
        assert.equal(response.headers['sec-websocket-extensions'], undefined);
    });

    test('H01: a key that is missing, empty, no base64, of another length or doubled is refused with 400', async () => {
        const keys = [null, '', 'not base64 at all !!', 'c2hvcnQ=', `${SAMPLE_KEY}AAAA`, 'dGhlIHNhbXBsZSBub25jZQ'];
        for (const key of keys) {
            await expectStatus(upgradeText({ 'Sec-WebSocket-Key': key }), 400);
        }
        await expectStatus(upgradeText({ 'sec-websocket-key': SAMPLE_KEY }), 400);
    });

    test('H02: another version than 13 is refused with 426 and the version that would do', async () => {
        for (const version of [null, '', '8', '12', '14', '13, 8', '013']) {
            const response = await expectStatus(upgradeText({ 'Sec-WebSocket-Version': version }), 426);
            assert.equal(response.headers['sec-websocket-version'], '13');
        }
    });

    test('H03: another method is refused with 405 and Allow', async () => {
        for (const method of ['POST', 'PUT', 'DELETE']) {
            const response = await expectStatus(upgradeText({}, DEFAULT_PATH, method), 405);
            assert.match(response.headers.allow ?? '', /GET/);
        }
    });

    test('H03: HTTP/1.0, no Host and two Hosts are refused with 400', async () => {
        await expectStatus(upgradeText({}, DEFAULT_PATH, 'GET', '1.0'), 400);
        await expectStatus(upgradeText({ Host: null }), 400);
        await expectStatus(upgradeText({ host: 'localhost' }), 400);
    });

    test('H04: Connection may list more than Upgrade, in any case', async () => {
        for (const connection of ['Upgrade', 'keep-alive, Upgrade', 'UPGRADE', 'upgrade,keep-alive', 'close , uPgRaDe']) {
            await expectStatus(upgradeText({ Connection: connection }), 101);
        }
        await expectStatus(upgradeText({ Upgrade: 'WebSocket' }), 101);
        await expectStatus(upgradeText({ Connection: 'keep-alive' }), 400);
        await expectStatus(upgradeText({ Connection: null }), 400);
    });

    test('H05, L01, L02: nothing but websocket is ever upgraded to', async () => {
        for (const upgrade of ['h2c', 'TLS/1.0', '', 'foo', 'websocke', 'websocket2', null]) {
            const response = await answer(upgradeText({ Upgrade: upgrade }));
            assert.notEqual(response.status, 101, String(upgrade));
        }
        const h2c = await answer(
            'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
                'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n',
        );
        assert.notEqual(h2c.status, 101);
    });

    test('a plain GET of the endpoint is told how to come back', async () => {
        const response = await answer(`GET ${DEFAULT_PATH} HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.ok(response.status === 400 || response.status === 426, response.head);
    });

    test('H06: a browser of a foreign origin is refused with 403', async () => {
        const foreign = [
            'https://evil.example',
            'null',
            'https://app.example.evil.example',
            'https://evilapp.example',
            'https://app.example@evil.example',
            'https://evil.example/https://app.example',
            'https://evil.example#app.example',
            'http://app.example',
            'https://app.example:8443',
            'https://chat.example',
            'https://evilchat.example',
            '',
        ];
        for (const origin of foreign) {
            await expectStatus(upgradeText({ Origin: origin }), 403);
        }
        await expectStatus(upgradeText({ Origin: 'https://app.example', origin: 'https://app.example' }), 403);
    });

    test('H06: allowed origins, wildcards of whole labels and clients without an origin are let in', async () => {
        const allowed = ['https://app.example', 'HTTPS://APP.EXAMPLE', 'https://app.example:443', 'https://a.b.chat.example'];
        for (const origin of allowed) {
            await expectStatus(upgradeText({ Origin: origin }), 101);
        }
        await expectStatus(upgradeText(), 101);
    });

    test('H08: of the offered subprotocols only a known one comes back', async () => {
        const offer = (value: string) => upgradeText({ 'Sec-WebSocket-Protocol': value });
        assert.equal((await expectStatus(offer('centrifuge-json'), 101)).headers['sec-websocket-protocol'], 'centrifuge-json');
        const listed = await expectStatus(offer('chat, centrifuge-json'), 101);
        assert.equal(listed.headers['sec-websocket-protocol'], 'centrifuge-json');
        for (const unknown of ['chat', 'centrifuge-jsonx', 'Centrifuge-JSON', '"centrifuge-json', ',,,']) {
            const response = await answer(offer(unknown));
            assert.equal(response.headers['sec-websocket-protocol'], undefined, unknown);
        }
    });

    test('H08: odd offers of extensions and subprotocols are declined or refused', async () => {
        const many = Array.from({ length: 900 }, (_, i) => `p${i}`).join(', ');
        const odd = ['\xff\xfe', 'permessage-deflate; x="open', 'a;b;c=;=d', many, 'permessage-deflate; server_max_window_bits=99'];
        for (const value of odd) {
            for (const name of ['Sec-WebSocket-Extensions', 'Sec-WebSocket-Protocol']) {
                const response = await answer(upgradeText({ [name]: value }));
                assert.ok([101, 400, 431].includes(response.status), response.head);
                assert.equal(response.headers['sec-websocket-extensions'], undefined);
                assert.equal(response.headers['sec-websocket-protocol'], undefined);
            }
        }
    });

    test('H25: query parameters that no one knows are ignored', async () => {
        const paths = [`${DEFAULT_PATH}?cf_protocol_version=v2`, `${DEFAULT_PATH}?x=%0d%0aSet-Cookie:a=b&&&=`];
        for (const path of paths) {
            const response = await expectStatus(upgradeText({}, path), 101);
            assert.ok(!/set-cookie/i.test(response.head));
        }
    });

    test('W19: a handshake in single bytes works', async () => {
        const socket = await RawSocket.open(server.port);
        for (const byte of upgradeText()) {
            socket.write(byte);
        }
        assert.equal((await readResponse(socket)).status, 101);
        socket.close();
    });

    test('W19: a first command in the segment of the handshake is answered', async () => {
        const socket = await RawSocket.open(server.port);
        const command = JSON.stringify({ id: 1, connect: { token: userToken('42') } });
        socket.write(Buffer.concat([Buffer.from(upgradeText()), frameBytes(OPCODE.TEXT, command)]));
        assert.equal((await readResponse(socket)).status, 101);
        const reply = await socket.take('the reply', (bytes) => {
            const at = bytes.indexOf('"client"');
            return at < 0 ? null : { value: bytes.toString(), used: bytes.length };
        });
        assert.match(reply, /"id":1/);
        socket.close();
    });

    test('W18: a reset at any byte of the handshake leaves nothing behind', async () => {
        const before = server.descriptorCount();
        const text = upgradeText();
        for (let length = 0; length < text.length; length += 7) {
            const socket = await RawSocket.open(server.port);
            socket.write(text.slice(0, length));
            socket.reset();
        }
        const survivor = await WebSocketClient.open(server.port);
        survivor.close();
        await eventually('descriptors', () => server.descriptorCount() <= before + 1);
    });
});

describe('without client.allowed_origins', () => {
    const server = serverFor();

    test('H06: only pages of the server itself may connect', async () => {
        const host = `127.0.0.1:${server.port}`;
        const own = await WebSocketClient.open(server.port, { headers: { Origin: `http://${host}` } });
        own.close();
        for (const origin of ['http://evil.example', `http://${host}.evil.example`, 'http://127.0.0.1', 'null', `http://x@${host}`]) {
            const socket = await RawSocket.open(server.port);
            socket.write(upgradeText({ Host: host, Origin: origin }));
            assert.equal((await readResponse(socket)).status, 403, origin);
            socket.close();
        }
    });
});
