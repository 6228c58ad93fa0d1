/* doctor.spec.ts - `starling doctor`: from here to the server step by step, through proxies that do it wrong. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Server, binaryPath, cleanEnvironment, scratch, serverFor, writeScratch } from './support/server.ts';
import { userToken } from './support/token.ts';

interface Outcome {
    code: number;
    out: string;
    err: string;
}

function starling(...args: string[]): Promise<Outcome> {
    return new Promise((resolve) => {
        execFile(binaryPath(), args, { cwd: scratch, env: cleanEnvironment() }, (error, out, err) => {
            resolve({ code: error === null ? 0 : Number(error.code), out, err });
        });
    });
}

/* A proxy that does it wrong, for as long as the tests of a describe() block run. */
function wrongProxy(make: () => net.Server): { port: number } {
    const holder = { port: 0 };
    let proxy: net.Server;
    before(async () => {
        proxy = make();
        await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
        holder.port = (proxy.address() as AddressInfo).port;
    });
    after(() => {
        proxy.close();
    });
    return holder;
}

/* Passes requests on without their Upgrade, as a proxy does that speaks HTTP/1.0 upstream. */
function droppingUpgrade(server: Server): net.Server {
    return http.createServer((request, response) => {
        const headers = { ...request.headers };
        delete headers.upgrade;
        delete headers.connection;
        const onward = http.request(
            { port: server.port, host: '127.0.0.1', path: request.url, method: request.method, headers, agent: false },
            (answer) => {
                response.writeHead(answer.statusCode ?? 500, answer.headers);
                answer.pipe(response);
            },
        );
        onward.on('error', () => response.destroy());
        request.pipe(onward);
    });
}

describe('doctor', () => {
    const server = serverFor({ client: { allowed_origins: ['https://chat.example'] } });
    const dropping = wrongProxy(() => droppingUpgrade(server));
    const gateway = wrongProxy(() => http.createServer((_request, response) => response.writeHead(502).end('Bad Gateway')));
    const redirecting = wrongProxy(() =>
        http.createServer((_request, response) => response.writeHead(301, { Location: 'https://chat.example/' }).end()),
    );
    const mute = wrongProxy(() => net.createServer((socket) => socket.on('error', () => {}).end('220 mail.example ESMTP\r\n')));

    test('a server that is well and a token that is good: all steps are, but a page of another origin', async () => {
        const { code, out } = await starling('doctor', `ws://127.0.0.1:${server.port}`, '--token', userToken('42'));
        assert.equal(code, 1);
        for (const step of ['name', 'connection', 'health', 'ready', 'upgrade', 'connect', 'API']) {
            assert.match(out, new RegExp(`^  ok    ${step} `, 'm'));
        }
        assert.match(out, /FAIL  browser .* 403/);
        assert.match(out, /client\.allowed_origins/);
        assert.match(out, /401: reachable, and it asks for its key/);
    });

    test('a server that wants a token is no failure, a token that is refused is one', async () => {
        const url = `ws://127.0.0.1:${server.port}`;
        assert.match((await starling('doctor', url)).out, /ok    connect .*wants a token/);
        const { out } = await starling('doctor', url, '--token=nonsense');
        assert.match(out, /FAIL  connect .*3500/);
        assert.match(out, /starling checktoken says why/);
    });

    test('a proxy that drops the Upgrade header is found, and compared with the server behind it', async () => {
        const { code, out } = await starling('doctor', `http://127.0.0.1:${dropping.port}`, `http://127.0.0.1:${server.port}`);
        assert.equal(code, 1);
        assert.match(out, /ok    health/);
        assert.match(out, /FAIL  upgrade .*(400|426)/);
        assert.match(out, /the Upgrade header does not arrive/);
        assert.ok(
            out.includes(
                `upgrade fails at 127.0.0.1:${dropping.port} and 127.0.0.1:${server.port} does not: the cause lies between them`,
            ),
            out,
        );
    });

    test('a proxy that cannot reach the server, one that redirects and a port of something else are told apart', async () => {
        assert.match((await starling('doctor', `http://127.0.0.1:${gateway.port}`)).out, /502[^]*cannot reach the server/);
        const redirected = (await starling('doctor', `http://127.0.0.1:${redirecting.port}`)).out;
        assert.match(redirected, /301 to https:\/\/chat\.example\/[^]*a proxy redirects/);
        assert.match((await starling('doctor', `http://127.0.0.1:${mute.port}`)).out, /220 mail\.example ESMTP[^]*that is not HTTP/);
    });

    test('a path of nothing, TLS on a plain port and a port of nobody are told apart', async () => {
        assert.match((await starling('doctor', `ws://127.0.0.1:${server.port}/nowhere`)).out, /FAIL  upgrade .*404/);
        assert.match((await starling('doctor', `https://127.0.0.1:${server.port}`)).out, /FAIL  TLS[^]*does not speak TLS/);
        assert.match((await starling('doctor', 'http://127.0.0.1:1')).out, /FAIL  connection .*refused/);
    });

    test('wrong arguments exit with 2', async () => {
        assert.equal((await starling('doctor')).code, 2);
        assert.equal((await starling('doctor', 'chat.example')).code, 2);
        assert.equal((await starling('doctor', 'gopher://chat.example')).code, 2);
        assert.equal((await starling('doctor', '--nonsense', 'ws://127.0.0.1:1')).code, 2);
    });
});

describe('doctor and TLS', () => {
    const [cert, key] = [path.join(scratch, 'doctor.pem'), path.join(scratch, 'doctor.key')];
    before(() => {
        const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
        execFileSync('openssl', [...args, '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    });
    const server = serverFor({ http_server: { tls: { enabled: true, cert_pem: cert, key_pem: key } } });

    test('a certificate that nobody vouches for is a failure, and what lies behind is looked at', async () => {
        const { code, out } = await starling('doctor', `wss://localhost:${server.port}`, '--token', userToken('42'));
        assert.equal(code, 1);
        assert.match(out, /FAIL  TLS .*TLSv1\.3, certificate of localhost until .*self.signed/);
        assert.match(out, /browsers refuse this certificate/);
        assert.match(out, /ok    upgrade/);
        assert.match(out, /ok    connect/);
    });

    test('plain HTTP to a port with TLS is guessed', async () => {
        assert.match((await starling('doctor', `http://127.0.0.1:${server.port}`)).out, /may speak TLS: try https or wss/);
    });

    test('pub refuses the certificate', async () => {
        const { code, err } = await starling('pub', 'a', '1', '--url', `wss://localhost:${server.port}`);
        assert.equal(code, 1);
        assert.match(err, /certificate verify failed: self.signed/);
    });
});

describe('doctor --local', () => {
    test('says nothing where the configured server is ready, and why not where it is not', async () => {
        const probe = net.createServer();
        await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
        const port = (probe.address() as AddressInfo).port;
        await new Promise((resolve) => probe.close(resolve));
        const config = { http_server: { address: ['127.0.0.1'], port }, client: { allow_anonymous_connect_without_token: true } };
        const file = writeScratch('local.json', JSON.stringify({ ...config, log: { format: 'json' }, shutdown: { drain: '0s' } }));
        const down = await starling('doctor', '--local', '-c', file);
        assert.deepEqual([down.code, down.out], [1, '']);
        assert.match(down.err, /not ready: .*refused/);
        const server = await Server.start({ file });
        assert.deepEqual(await starling('doctor', '--local', '-c', file), { code: 0, out: '', err: '' });
        await server.stop();
        assert.equal((await starling('doctor', '--local', '-c', '/nowhere.json')).code, 2);
    });
});
