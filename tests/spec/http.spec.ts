/* http.spec.ts - HTTP/1.1 over sockets: one connection, many requests, and what is no request (THREATS 3.2). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { timed } from './support/deadline.ts';
import { readResponse, request, type HttpResponse } from './support/http.ts';
import { RawSocket } from './support/raw_socket.ts';
import { serverFor } from './support/server.ts';
import { upgradeText } from './support/websocket.ts';

describe('HTTP', () => {
    const server = serverFor();

    /* The answer to this text, on a connection of its own that the server then drops. */
    async function refused(text: string | Uint8Array): Promise<HttpResponse> {
        const socket = await RawSocket.open(server.port);
        socket.write(text);
        const response = await readResponse(socket);
        socket.endWriting();
        await socket.expectEnd();
        return response;
    }

    async function expectRefusal(text: string | Uint8Array, ...statuses: number[]) {
        const response = await refused(text);
        assert.ok(statuses.includes(response.status), `${JSON.stringify(text.slice(0, 200))} → ${response.head}`);
        assert.equal(response.headers.connection, 'close', response.head);
    }

    const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

    test('one connection serves requests one after another', async () => {
        const socket = await RawSocket.open(server.port);
        for (const status of [200, 404, 200, 404]) {
            socket.write(get(status === 200 ? '/' : '/nowhere'));
            const response = await readResponse(socket);
            assert.equal(response.status, status);
            assert.equal(response.headers.connection, undefined);
        }
        socket.close();
    });

    test('pipelined requests are answered in their order', async () => {
        const socket = await RawSocket.open(server.port);
        const paths = Array.from({ length: 200 }, (_, i) => (i % 3 === 0 ? '/' : i % 3 === 1 ? '/nowhere' : '/chat'));
        socket.write(paths.map((path) => get(path, 'Accept-Encoding: gzip\r\n')).join(''));
        for (const path of paths) {
            const response = await socket.readThrough('\r\n\r\n');
            assert.match(response, path === '/nowhere' ? /^HTTP\/1.1 404 / : /^HTTP\/1.1 200 /);
            await socket.read(Number(/content-length: (\d+)/i.exec(response)?.[1]));
        }
        socket.close();
    });

    test('requests in single bytes and in odd pieces are understood', async () => {
        const text = get('/nowhere') + get('/') + get('/nowhere');
        for (const size of [1, 7, 64]) {
            const socket = await RawSocket.open(server.port);
            for (let at = 0; at < text.length; at += size) {
                socket.write(text.slice(at, at + size));
            }
            for (const status of [404, 200, 404]) {
                assert.equal((await readResponse(socket)).status, status);
            }
            socket.close();
        }
    });

    test('Connection: close and HTTP/1.0 end the connection after the answer', async () => {
        for (const text of [get('/nowhere', 'Connection: close\r\n'), 'GET /nowhere HTTP/1.0\r\nHost: a\r\n\r\n']) {
            const socket = await RawSocket.open(server.port);
            socket.write(text);
            const response = await readResponse(socket);
            assert.equal(response.status, 404);
            await socket.expectCleanEnd();
        }
        const kept = await RawSocket.open(server.port);
        for (let i = 0; i < 2; i++) {
            kept.write('GET /nowhere HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
            assert.equal((await readResponse(kept)).headers.connection, 'keep-alive');
        }
        kept.close();
    });

    test('a peer that has sent its last request still gets the answer', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write(get('/nowhere', 'Connection: close\r\n'));
        socket.endWriting();
        assert.equal((await readResponse(socket)).status, 404);
        await socket.expectEnd();
    });

    test('HEAD answers the head of GET and no body', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
        const head = await readResponse(socket, true);
        socket.write(get('/'));
        const full = await readResponse(socket);
        assert.equal(head.status, 200);
        assert.equal(head.headers['content-length'], full.headers['content-length']);
        socket.close();
    });

    test('H28: other methods of a known path are refused with 405 and Allow, unknown ones with 501', async () => {
        for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
            const response = await request(server.port, '/', { method });
            assert.equal(response.status, 405, method);
            assert.equal(response.headers.allow, 'GET, HEAD');
        }
        for (const method of ['TRACE', 'CONNECT', 'BREW', 'get']) {
            const response = await refused(`${method} / HTTP/1.1\r\nHost: a\r\nX-Secret: swordfish\r\n\r\n`);
            assert.ok([400, 405, 501].includes(response.status), response.head);
            assert.ok(!(response.head + response.body).includes('swordfish'));
        }
    });

    test('H20: a length that two servers could read differently is refused with 400', async () => {
        const bodies = [
            'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
            'Content-Length: 5\r\nContent-Length: 5\r\n',
            'Content-Length: 5\r\nContent-Length: 6\r\n',
            'Content-Length: 5, 5\r\n',
            'Content-Length: -1\r\n',
            'Content-Length: +5\r\n',
            'Content-Length: 0x5\r\n',
            'Content-Length: 5 5\r\n',
            'Content-Length: \r\n',
            'Content-Length: 5a\r\n',
            'Content-Length: 9223372036854775808\r\n',
            'Content-Length: 18446744073709551617\r\n',
            'Transfer-Encoding: gzip, chunked\r\n',
            'Transfer-Encoding: xchunked\r\n',
            'Transfer-Encoding: chunked, chunked\r\n',
            'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
            'Transfer-Encoding: identity\r\n',
            'Transfer-Encoding: \r\n',
        ];
        for (const body of bodies) {
            await expectRefusal(`POST /nowhere HTTP/1.1\r\nHost: a\r\n${body}\r\n`, 400, 413);
        }
        await expectRefusal('POST /nowhere HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 400);
    });

    test('H21: a body on GET is never read as the next request', async () => {
        const smuggled = 'GET /chat HTTP/1.1\r\nHost: b\r\n\r\n';
        const socket = await RawSocket.open(server.port);
        socket.write(get('/nowhere', `Content-Length: ${smuggled.length}\r\n`) + smuggled + get('/', 'Connection: close\r\n'));
        assert.equal((await readResponse(socket)).status, 404);
        const next = await readResponse(socket);
        assert.equal(next.status, 200);
        await socket.expectCleanEnd();
    });

    test('H21: a body on an upgrade is read away or refused, never a frame', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write(upgradeText({ 'Content-Length': '10' }) + '0123456789');
        const response = await readResponse(socket);
        assert.ok([101, 400].includes(response.status));
        socket.close();
    });

    test('H22: chunks are strict', async () => {
        const post = 'POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
        const broken = [
            'g\r\n',
            '-1\r\n',
            '0x5\r\nhello\r\n',
            ' 5\r\nhello\r\n',
            '5\nhello\r\n',
            '5\r\nhelloX\r\n',
            '5\r\nhello\n',
            `5;${'x'.repeat(300)}\r\n`,
            '11111111111111111\r\n',
            '0\r\nTrailer: x\r\n\r\n',
        ];
        for (const chunk of broken) {
            await expectRefusal(post + chunk, 400, 413);
        }
        const socket = await RawSocket.open(server.port);
        socket.write(`${post}5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n${get('/')}`);
        assert.equal((await readResponse(socket)).status, 404);
        assert.equal((await readResponse(socket)).status, 200);
        socket.close();
    });

    test('H23: malformed header lines are refused with 400 at once', async () => {
        const lines = [
            'Name : value',
            ' folded',
            'Name: a\r\n folded',
            'Name: a\x00b',
            'Name: a\rb',
            'Name: a\nb',
            'no colon',
            ': empty name',
            'Na me: x',
            'Name\x01: x',
            'Name: \x7f',
            'N\xe4me: x',
        ];
        for (const line of lines) {
            await expectRefusal(get('/', `${line}\r\n`), 400);
        }
        await expectRefusal('GET / HTTP/1.1\nHost: a\n\n', 400);
        await expectRefusal('GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400);
        await expectRefusal('GET /\r\n\r\n', 400);
        await expectRefusal('GET / HTTP/2.0\r\nHost: a\r\n\r\n', 400, 505);
        await expectRefusal('GET / http/1.1\r\nHost: a\r\n\r\n', 400);
    });

    test('H24: the host part of an absolute target is ignored, other odd targets are refused', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('GET http://elsewhere.example/ HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.ok([200, 400].includes((await readResponse(socket)).status));
        socket.close();
        for (const target of ['*', 'a:80', 'chat', '?x=1', 'ftp://a/']) {
            const response = await refused(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
            assert.ok([400, 404].includes(response.status), target);
        }
    });

    test('H25: encoded line ends in a target reach no header', async () => {
        for (const path of ['/%0d%0aX-Evil:%20yes', '/nowhere?%0d%0aX-Evil:%20yes']) {
            const response = await request(server.port, path);
            assert.equal(response.status, 404);
            assert.equal(response.headers['x-evil'], undefined);
        }
    });

    test('H26: request lines: 8192 bytes are read, 8193 are 414', async () => {
        const line = (bytes: number) => `GET /${'a'.repeat(bytes - 'GET / HTTP/1.1'.length)} HTTP/1.1\r\nHost: a\r\n\r\n`;
        const at = (bytes: number) => refused(line(bytes).replace('Host: a\r\n', 'Host: a\r\nConnection: close\r\n'));
        assert.equal((await at(8191)).status, 404);
        assert.equal((await at(8192)).status, 404);
        await expectRefusal(line(8193), 414);
    });

    test('H26: header lines: 8192 bytes are read, 8193 are 431', async () => {
        const header = (bytes: number) => `X: ${'a'.repeat(bytes - 3)}\r\nConnection: close\r\n`;
        assert.equal((await refused(get('/nowhere', header(8191)))).status, 404);
        assert.equal((await refused(get('/nowhere', header(8192)))).status, 404);
        await expectRefusal(get('/nowhere', header(8193)), 431);
    });

    test('H26: 64 header lines are read, 65 are 431', async () => {
        const headers = (count: number) =>
            'Connection: close\r\n' + Array.from({ length: count - 2 }, (_, i) => `X-${i}: y\r\n`).join('');
        assert.equal((await refused(get('/nowhere', headers(63)))).status, 404);
        assert.equal((await refused(get('/nowhere', headers(64)))).status, 404);
        await expectRefusal(get('/nowhere', headers(65)), 431);
    });

    test('H26: 16 KiB of headers are read, one byte more is 431', async () => {
        const fixed = 'Host: a\r\nConnection: close\r\n';
        const half = `X: ${'a'.repeat(8187)}\r\n`;
        const rest = (bytes: number) => `Y: ${'b'.repeat(bytes - fixed.length - half.length - 5)}\r\n`;
        const text = (bytes: number) => `GET /nowhere HTTP/1.1\r\n${fixed}${half}${rest(bytes)}\r\n`;
        assert.equal((await refused(text(16383))).status, 404);
        assert.equal((await refused(text(16384))).status, 404);
        await expectRefusal(text(16385), 431);
    });

    test('H26: an endless header is refused before it ends', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(100000)}`);
        assert.equal((await readResponse(socket)).status, 431);
        socket.close();
    });

    test('a body over 64 KiB is refused with 413 before it is sent', async () => {
        const post = (length: number) => `POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
        await expectRefusal(post(65537), 413);
        const socket = await RawSocket.open(server.port);
        socket.write(post(65536) + 'x'.repeat(65536));
        assert.equal((await readResponse(socket)).status, 404);
        socket.close();
        await expectRefusal('POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n', 413);
    });

    test('Expect: 100-continue is answered before the body', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
        assert.equal((await readResponse(socket)).status, 100);
        socket.write('body');
        assert.equal((await readResponse(socket)).status, 404);
        socket.close();
    });

    test('H29: a TLS hello, the HTTP/2 preface and noise are refused at once', async () => {
        const hello = Buffer.from('16030100c8010000c40303', 'hex');
        const noise = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 37 + 129) & 255));
        for (const bytes of [hello, Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), noise, Buffer.from('\0\0\0\0')]) {
            const socket = await RawSocket.open(server.port);
            const ms = await timed(async () => {
                socket.write(bytes);
                const text = await socket.take('an answer', (received) =>
                    received.includes('\r\n\r\n') ? { value: received.toString('latin1'), used: received.length } : null,
                );
                assert.match(text, /^HTTP\/1.1 400 /);
            });
            assert.ok(ms < 2000, `${ms} ms`);
            socket.endWriting();
            await socket.expectEnd();
        }
    });

    test('empty lines before a request are forgiven, other bytes are not', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write(`\r\n${get('/nowhere')}`);
        assert.ok([400, 404].includes((await readResponse(socket)).status));
        socket.close();
    });
});

describe('HTTP deadlines', () => {
    const server = serverFor({
        limits: { http_head_timeout: '300ms', http_body_timeout: '300ms', http_keepalive_timeout: '400ms', http_keepalive_requests: 5 },
    });

    test('H27: a head that does not come is dropped, one that stays half is answered 408', async () => {
        const silent = await RawSocket.open(server.port);
        const half = await RawSocket.open(server.port);
        half.write('GET / HTTP/1.1\r\nHost: a\r\n');
        assert.equal((await readResponse(half)).status, 408);
        await silent.expectEnd();
        assert.equal(silent.peek(100), '');
        half.close();
    });

    test('H27: bytes that dribble in do not prolong the time for a head', async () => {
        const socket = await RawSocket.open(server.port);
        const text = `GET /${'a'.repeat(2000)} HTTP/1.1\r\n`;
        let at = 0;
        const dribble = setInterval(() => socket.write(text[at++] ?? 'a'), 20);
        try {
            const response = await readResponse(socket);
            assert.equal(response.status, 408);
        } finally {
            clearInterval(dribble);
            socket.close();
        }
    });

    test('H27: a body that does not come is answered 408', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
        assert.equal((await readResponse(socket)).status, 408);
        socket.close();
    });

    test('a connection that is silent between requests is closed without an answer', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await readResponse(socket)).status, 404);
        await socket.expectEnd();
        assert.equal(socket.peek(100), '');
    });

    test('H26: after the allowed number of requests the connection ends', async () => {
        const socket = await RawSocket.open(server.port);
        socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(8));
        for (let i = 1; i <= 5; i++) {
            const response = await readResponse(socket);
            assert.equal(response.status, 404);
            assert.equal(response.headers.connection, i === 5 ? 'close' : undefined);
        }
        await socket.expectEnd();
        assert.equal(socket.peek(100), '');
    });
});

describe('the pages', () => {
    const server = serverFor();

    test('H41: every page carries the headers that keep foreign script out', async () => {
        for (const path of ['/', '/chat', '/feed']) {
            const response = await request(server.port, path);
            assert.equal(response.status, 200, path);
            assert.match(response.headers['content-type'] ?? '', /^text\/html; charset=utf-8$/i);
            const policy = response.headers['content-security-policy'] ?? '';
            for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) {
                assert.ok(policy.includes(part), `${path}: ${policy}`);
            }
            assert.ok(!policy.includes('unsafe'), policy);
            assert.equal(response.headers['x-content-type-options'], 'nosniff');
            assert.equal(response.headers['referrer-policy'], 'no-referrer');
            assert.equal(response.headers['cross-origin-opener-policy'], 'same-origin');
            assert.ok(!/\d/.test(response.headers.server ?? ''), 'no version in Server');
            assert.ok(!/<script(?![^>]*\ssrc=)|<style|\son\w+=/i.test(response.body), `inline script or style in ${path}`);
        }
    });

    test('assets may be kept for ever, pages are asked for again and answered 304', async () => {
        const page = await request(server.port, '/chat');
        const asset = /src="(\/assets\/[^"]+\.js)"/.exec(page.body)?.[1];
        assert.ok(asset);
        const script = await request(server.port, asset);
        assert.match(script.headers['cache-control'] ?? '', /immutable/);
        assert.match(script.headers['content-type'] ?? '', /javascript/);
        const again = await request(server.port, '/chat', { headers: { 'If-None-Match': page.headers.etag ?? '' } });
        assert.equal(again.status, 304);
        assert.equal(again.body, '');
    });

    test('H40: no path of a client reaches a file', async () => {
        const paths = [
            '/../etc/passwd',
            '/%2e%2e/etc/passwd',
            '/%252e%252e/etc/passwd',
            '/assets/../../../etc/passwd',
            '/..\\etc\\passwd',
            '/%c0%ae%c0%ae/etc/passwd',
            '/chat;x=1/../../etc/passwd',
            '/chat%00.html',
            '//etc/passwd',
            '/.git/config',
            '/.env',
            '/assets/',
            '/assets',
            '/proc/self/environ',
        ];
        for (const path of paths) {
            const response = await request(server.port, path);
            assert.ok([400, 404].includes(response.status), `${path}: ${response.status}`);
            assert.ok(!response.body.includes('root:'));
        }
    });
});

describe('with pages.enabled off', () => {
    const server = serverFor({ pages: { enabled: false } });

    test('there are no pages', async () => {
        assert.equal((await request(server.port, '/')).status, 404);
        assert.equal((await request(server.port, '/chat')).status, 404);
    });
});
