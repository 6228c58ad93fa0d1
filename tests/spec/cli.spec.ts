/* cli.spec.ts - the commands beside serve, as a person types them (SERVER_API sections 8, 9). */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { SOON_MS, eventually, within } from './support/deadline.ts';
import { request } from './support/http.ts';
import { Server, binaryPath, cleanEnvironment, scratch, serverFor, writeScratch } from './support/server.ts';
import { userToken } from './support/token.ts';

interface Outcome {
    code: number | null;
    out: string;
    err: string;
}

function run(args: string[], options: { input?: string; env?: Record<string, string>; cwd?: string } = {}): Outcome {
    const result = spawnSync(binaryPath(), args, {
        encoding: 'utf8',
        input: options.input ?? '',
        env: cleanEnvironment(options.env),
        cwd: options.cwd ?? scratch,
        timeout: SOON_MS * 4,
    });
    return { code: result.status, out: result.stdout, err: result.stderr };
}

function check(config: unknown, ...args: string[]): Outcome {
    return run(['checkconfig', '-c', writeScratch('check.json', JSON.stringify(config)), ...args]);
}

describe('the command line', () => {
    test('version says the version, for people and for programs', () => {
        const text = run(['version']);
        assert.equal(text.code, 0);
        const version = /^starling (\d+\.\d+\.\d+\S*)\n$/.exec(text.out)?.[1];
        assert.ok(version, text.out);
        assert.equal((JSON.parse(run(['version', '--json']).out) as Json).version, version);
        assert.equal(run(['--version']).out, text.out);
    });

    test('help names every command, and each command explains itself', () => {
        const help = run(['help']);
        assert.equal(help.code, 0);
        for (const name of ['serve', 'genconfig', 'checkconfig', 'gentoken', 'pub', 'sub', 'version']) {
            assert.match(help.out, new RegExp(`^  ${name} `, 'm'));
            const own = run([name, '--help']);
            assert.equal(own.code, 0);
            assert.match(own.out, new RegExp(`^starling ${name}`));
        }
    });

    test('an unknown command or argument is exit code 2, with a hint', () => {
        for (const args of [['fly'], ['serve', 'x'], ['version', '--loud'], ['gentoken', '--what']]) {
            const outcome = run(args);
            assert.equal(outcome.code, 2, args.join(' '));
            assert.match(outcome.err, /^(error|gentoken): /);
        }
    });

    test('genconfig writes what checkconfig accepts and serve starts with, and never overwrites', async () => {
        for (const name of ['starling.json', 'starling.yaml']) {
            const folder = mkdtempSync(path.join(scratch, 'genconfig-'));
            const file = path.join(folder, name);
            assert.equal(run(['genconfig', '-c', file]).code, 0);
            assert.equal(statSync(file).mode & 0o077, 0, 'nobody else may read the secrets');
            const strict = run(['checkconfig', '--strict', '-c', file]);
            assert.deepEqual([strict.code, strict.err], [0, '']);
            const text = readFileSync(file, 'utf8');
            const again = run(['genconfig', '-c', file]);
            assert.notEqual(again.code, 0);
            assert.equal(readFileSync(file, 'utf8'), text);
            const other = path.join(folder, `second-${name}`);
            run(['genconfig', '-c', other]);
            assert.notEqual(readFileSync(other, 'utf8'), text, 'secrets are random');
            const server = await Server.start({ file, args: ['--http_server.port=0', '--http_server.address=127.0.0.1', '--log.format=json'] });
            const token = run(['gentoken', '-c', file, '-u', '42', '-q']).out.trim();
            const client = await Client.connect(server, token);
            client.close();
            await server.stop();
        }
    });

    test('a bad value stops the start with exit code 2, the key and the range', () => {
        const cases: [Json, RegExp][] = [
            [{ client: { ping_interval: '10ms' } }, /client\.ping_interval.*1s/s],
            [{ http_server: { port: 70000 } }, /http_server\.port.*65535/s],
            [{ http_server: { workers: 'many' } }, /http_server\.workers/],
            [{ client: { ping_interval: '5s', pong_timeout: '5s' } }, /pong_timeout/],
            [{ channel: { namespaces: [{ name: 'a b' }] } }, /namespace/],
            [{ channel: { namespaces: [{ name: 'ab', history_size: 5 }] } }, /history_ttl/],
            [{ client: { token: { hmac_secret_key: 'short' } } }, /hmac_secret_key.*32/s],
        ];
        for (const [config, message] of cases) {
            const file = writeScratch('bad.json', JSON.stringify(config));
            const serve = run(['serve', '-c', file]);
            assert.equal(serve.code, 2, serve.err);
            assert.match(serve.err, message);
            const outcome = run(['checkconfig', '-c', file]);
            assert.equal(outcome.code, 1);
            assert.match(outcome.err, message);
        }
    });

    test('a file that is not there, not readable or no JSON is said to be so', () => {
        for (const file of ['/nowhere/starling.json', writeScratch('broken.json', '{"client": '), writeScratch('x.toml', '')]) {
            const outcome = run(['serve', '-c', file]);
            assert.equal(outcome.code, 2);
            assert.ok(outcome.err.includes(path.basename(file)), outcome.err);
        }
    });

    test('an unknown key is a note with what was probably meant, and an error with --strict', () => {
        const config = { client: { ping_intervall: '25s' } };
        const loose = check(config);
        assert.equal(loose.code, 0);
        assert.match(loose.err, /ping_intervall.*client\.ping_interval\b/s);
        assert.equal(check(config, '--strict').code, 1);
        assert.equal(check({}, '--strict').code, 0);
    });

    test('A32: a short or well-known secret, or a file that others may read, needs --insecure', () => {
        const weak = check({ client: { token: { hmac_secret_key: 'x' } } });
        assert.equal(weak.code, 1);
        assert.ok(!weak.err.includes("'x'"));
        const file = writeScratch('public.json', JSON.stringify({ http_api: { key: 'k'.repeat(40) } }));
        spawnSync('chmod', ['644', file]);
        const shared = run(['checkconfig', '-c', file]);
        assert.equal(shared.code, 1, shared.err);
        assert.equal(run(['checkconfig', '--insecure', '-c', file]).code, 0);
    });

    test('environment and flags override the file, in that order', () => {
        const file = writeScratch('over.json', JSON.stringify({ client: { channel_limit: 1 } }));
        const show = (args: string[], env: Record<string, string> = {}) =>
            run(['serve', '--print-config', '-c', file, ...args], { env }).out.split('\n').find((line) => line.includes('client.channel_limit')) ?? '';
        assert.match(show([]), /\b1\b/);
        assert.match(show([], { STARLING_CLIENT_CHANNEL_LIMIT: '2' }), /\b2\b/);
        assert.match(show(['--client.channel_limit=3'], { STARLING_CLIENT_CHANNEL_LIMIT: '2' }), /\b3\b/);
    });

    test('--print-config shows no secret', () => {
        const secret = 'a-secret-of-more-than-thirty-two-bytes';
        const outcome = check({ client: { token: { hmac_secret_key: secret } }, http_api: { key: `${secret}-2` } }, '--print-config');
        assert.equal(outcome.code, 0, outcome.err);
        assert.ok(!outcome.out.includes(secret));
    });

    test('a secret may come from a file that the environment names', async () => {
        const secret = 'from-a-file-0123456789-0123456789-0123';
        const file = writeScratch('secret', `${secret}\n`);
        const token = run(['gentoken', '-u', '42', '-q'], { env: { STARLING_CLIENT_TOKEN_HMAC_SECRET_KEY_FILE: file } });
        assert.equal(token.code, 0, token.err);
        assert.equal(token.out.trim().split('.').length, 3);
    });
});

describe('token commands', () => {
    const config = { client: { token: { hmac_secret_key: 'cli-token-secret-0123456789abcdef01' } } };
    const server = serverFor(config);
    const file = () => writeScratch('tokens.json', JSON.stringify(config));

    test('gentoken makes what the server accepts', async () => {
        const outcome = run(['gentoken', '-c', file(), '-u', '42', '-t', '100', '-q']);
        assert.equal(outcome.code, 0, outcome.err);
        const client = await Client.open(server);
        const reply = await client.connect({ token: outcome.out.trim() });
        assert.ok(reply.ttl > 90 && reply.ttl <= 100);
        client.close();
    });

    test('gensubtoken makes what the server accepts for that channel', async () => {
        const token = run(['gensubtoken', '-c', file(), '-u', '42', '-s', '$closed:a', '-q']).out.trim();
        const connection = run(['gentoken', '-c', file(), '-u', '42', '-q']).out.trim();
        const client = await Client.connect(server, connection);
        await client.subscribe('$closed:a', { token });
        client.close();
    });

    test('checktoken says yes with exit code 0, and no with another', () => {
        const config_file = file();
        const good = run(['gentoken', '-c', config_file, '-u', '42', '-q']).out.trim();
        assert.equal(run(['checktoken', '-c', config_file, good]).code, 0);
        assert.equal(run(['checktoken', '-c', config_file, '-'], { input: `${good}\n` }).code, 0);
        assert.notEqual(run(['checktoken', '-c', config_file, `${good}x`]).code, 0);
        assert.notEqual(run(['checktoken', '-c', config_file, userToken('42')]).code, 0);
    });
});

describe('pub and sub', () => {
    const server = serverFor();
    const url = () => `ws://127.0.0.1:${server.port}/connection/websocket`;

    test('what pub publishes, sub prints, a line each, as it was', async () => {
        const token = userToken('42');
        const sub = spawn(binaryPath(), ['sub', 'open:cli', '--url', url(), '--token', token, '--count', '2']);
        let out = '';
        sub.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
        const ended = new Promise<number | null>((resolve) => sub.on('close', resolve));
        await eventually('it is subscribed', async () => {
            return (await server.apiResult('channels', { pattern: 'open:cli' })).channels !== undefined && JSON.stringify(await server.apiResult('channels', {})).includes('open:cli');
        });
        for (const payload of ['{"text": "hello", "n": 1E400}', '[1,2]']) {
            const pub = run(['pub', 'open:cli', payload, '--url', url(), '--token', token]);
            assert.equal(pub.code, 0, pub.err);
        }
        assert.equal(await within(ended, 'sub ends after two'), 0);
        const lines = out.trimEnd().split('\n');
        assert.equal(lines.length, 2);
        assert.ok(lines[0]?.includes('{"text": "hello", "n": 1E400}'), out);
        assert.ok(lines[1]?.includes('[1,2]'), out);
    });

    test('pub says why it failed', () => {
        const refused = run(['pub', 'closed:a', '1', '--url', url(), '--token', userToken('42')]);
        assert.notEqual(refused.code, 0);
        assert.match(refused.err, /permission denied/);
        const gone = run(['pub', 'open:a', '1', '--url', 'ws://127.0.0.1:1/x']);
        assert.notEqual(gone.code, 0);
        assert.match(gone.err, /^error: /m);
    });
});

describe('starling --dev', () => {
    test('serves pages, chat and a feed to anyone on this machine, with one line to copy', async () => {
        const server = await Server.start({ bare: true, args: ['--dev', '--http_server.port=0', '--log.format=json'] });
        assert.equal((await request(server.port, '/chat')).status, 200);
        const client = await Client.open(server);
        await client.connect({});
        await client.subscribe('chat:lobby');
        const post = await request(server.port, '/api/publish', { method: 'POST', body: '{"channel":"chat:lobby","data":{"text":"hello"}}' });
        assert.equal(post.status, 200);
        assert.deepEqual((await client.expectPublication('chat:lobby')).data, { text: 'hello' });
        await client.subscribe('feed:prices');
        await client.expectPublication('feed:prices');
        client.close();
        await server.stop();
        assert.ok(!existsSync('starling.json'));
    });
});

describe('a pid file', () => {
    test('holds the process while it runs, and is gone after', async () => {
        const file = path.join(scratch, 'starling.pid');
        writeFileSync(file, 'stale\n');
        const server = await Server.start({ config: { pid_file: file } });
        assert.equal(Number(readFileSync(file, 'utf8')), server.child.pid);
        await server.stop();
        assert.ok(!existsSync(file));
    });
});
