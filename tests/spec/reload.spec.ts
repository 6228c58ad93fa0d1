/* reload.spec.ts - SIGHUP: a new configuration without a client noticing, or the old one with a reason (THREATS S12). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { Client } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { request } from './support/http.ts';
import { RawSocket } from './support/raw_socket.ts';
import { Server, baseConfig, forEachWorkerCount, merged, scratch, writeScratch, type Config } from './support/server.ts';
import { makeToken, userToken } from './support/token.ts';

const OPEN = { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true };

function text(more: Config): string {
    return JSON.stringify(merged(baseConfig(), more));
}

/* A server whose file the test changes. */
async function start(more: Config): Promise<{ server: Server; file: string }> {
    const file = writeScratch('reload.json', text(more));
    return { server: await Server.start({ file }), file };
}

async function reload(server: Server, file: string, content: string, event = 'config_reloaded') {
    const before = server.count(event);
    writeFileSync(file, content);
    server.signal('SIGHUP');
    await eventually(event, () => server.count(event) > before);
}

forEachWorkerCount('reload', (workers) => {
    const base: Config = { http_server: { workers }, channel: { namespaces: [OPEN] } };

    test('S12: no client is dropped, and live channels get their new options', async () => {
        const { server, file } = await start(base);
        const clients = await Promise.all(['1', '2', '3', '4'].map((user) => Client.connect(server, userToken(user))));
        for (const client of clients) {
            await client.subscribe('open:a');
        }
        await clients[0]!.expectError('history', { channel: 'open:a' }, 108);
        const kept = { ...OPEN, history_size: 5, history_ttl: '60s', allow_history_for_client: true };
        await reload(server, file, text({ ...base, channel: { namespaces: [kept, { ...OPEN, name: 'fresh' }] } }));
        await clients[0]!.publish('open:a', { n: 1 });
        for (const client of clients) {
            assert.deepEqual((await client.expectPublication('open:a')).data, { n: 1 });
        }
        const history = await clients[1]!.call('history', { channel: 'open:a', limit: 10 });
        assert.equal(history.publications.length, 1);
        await clients[2]!.subscribe('fresh:a');
        clients.forEach((client) => client.close());
        await server.stop();
    });

    test('S12: a namespace that has gone keeps its subscribers and takes no new ones', async () => {
        const { server, file } = await start(base);
        const reader = await Client.connect(server, userToken('1'));
        await reader.subscribe('open:a');
        await reload(server, file, text({ ...base, channel: { namespaces: [] } }));
        await reader.expectError('subscribe', { channel: 'open:b' }, 102);
        await reader.call('unsubscribe', { channel: 'open:a' });
        reader.close();
        await server.stop();
    });

    test('S12: secrets, the API key, origins and limits are those of the new file', async () => {
        const { server, file } = await start(base);
        const secret = 'another-token-secret-0123456789abcdef';
        const old = await Client.connect(server, userToken('1'));
        await reload(
            server,
            file,
            text({
                ...base,
                client: { token: { hmac_secret_key: secret }, channel_limit: 1, allowed_origins: ['https://new.example'] },
                http_api: { key: 'another-api-key-0123456789abcdef0123' },
            }),
        );
        const refused = await Client.open(server);
        refused.command('connect', { token: userToken('2') });
        await refused.expectDisconnect(3500);
        const origin = { headers: { Origin: 'https://new.example' } };
        const client = await Client.connect(server, makeToken({ sub: '2' }, secret), origin);
        await client.subscribe('open:a');
        await client.expectError('subscribe', { channel: 'open:b' }, 106);
        await old.subscribe('open:a');
        await old.expectError('subscribe', { channel: 'open:b' }, 106);
        assert.equal((await server.apiRaw('info', '{}')).status, 401);
        const headers = { 'X-API-Key': 'another-api-key-0123456789abcdef0123' };
        assert.equal((await server.apiRaw('info', '{}', headers)).status, 200);
        old.close();
        client.close();
        await server.stop();
    });

    test('S12: a bad file is refused with its reason, and nothing changes', async () => {
        const { server, file } = await start(base);
        const client = await Client.connect(server, userToken('1'));
        await reload(server, file, text({ ...base, client: { ping_interval: 'often' } }), 'config_refused');
        assert.match(String(server.find('config_refused')?.reason), /client\.ping_interval/);
        await reload(server, file, '{', 'config_refused');
        await reload(server, file, text({ ...base, log: { file: '/nowhere/at/all.log' } }), 'config_refused');
        assert.equal(server.count('config_reloaded'), 0);
        await client.subscribe('open:a');
        await client.publish('open:a', 1);
        assert.equal((await client.expectPublication('open:a')).data, 1);
        client.close();
        await server.stop();
    });

    test('S12: what needs a restart is named and stays', async () => {
        const { server, file } = await start(base);
        await reload(server, file, text({ ...base, http_server: { workers: workers + 1 } }));
        assert.equal((await server.expectLog('config_needs_restart')).option, 'http_server.workers');
        assert.equal((await request(server.port, '/health')).status, 200);
        await server.stop();
    });

    test('S12: level and file of the log change, and SIGUSR1 opens a file again that was moved away', async () => {
        const { server, file } = await start(base);
        const log = path.join(scratch, `moved-${workers}.log`);
        const events = (name: string) => readFileSync(name, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line).event);
        writeFileSync(file, text({ ...base, log: { level: 'debug', format: 'json', file: log } }));
        server.signal('SIGHUP');
        await eventually('the line in the file', () => {
            try {
                return events(log).includes('config_reloaded');
            } catch {
                return false;
            }
        });
        const client = await Client.connect(server, userToken('1'));
        await eventually('a line of the level debug', () => events(log).includes('client_connected'));
        renameSync(log, `${log}.1`);
        server.signal('SIGUSR1');
        await eventually('a new file', () => {
            client.command('subscribe', { channel: 'nowhere:a' });
            try {
                return events(log).includes('subscribe_refused');
            } catch {
                return false;
            }
        });
        client.close();
        await server.stop();
        assert.ok(events(log).includes('stopped'));
    });

    test('S12: new connections get the new certificate, old ones go on with theirs', async () => {
        const cert = path.join(scratch, `reload-${workers}.pem`);
        const key = path.join(scratch, `reload-${workers}.key`);
        const makeCertificate = (name: string) => {
            const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
            execFileSync('openssl', [...args, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
        };
        const shownName = async () => {
            const socket = await RawSocket.open(server.port, { tls: {} });
            const name = (socket.socket as TLSSocket).getPeerCertificate().subject.CN;
            socket.close();
            return name;
        };
        makeCertificate('first.example');
        const tls = { enabled: true, cert_pem: cert, key_pem: key };
        const { server, file } = await start({ ...base, http_server: { workers, tls } });
        const content = readFileSync(file, 'utf8');
        const client = await Client.connect(server, userToken('1'), { tls: {} });
        assert.equal(await shownName(), 'first.example');
        for (const name of ['second.example', 'third.example']) {
            makeCertificate(name);
            await reload(server, file, content);
            for (let i = 0; i < 8; i++) {
                assert.equal(await shownName(), name);
            }
        }
        writeFileSync(key, 'nothing');
        await reload(server, file, content, 'config_refused');
        assert.match(String(server.find('config_refused')?.reason), /http_server\.tls\.key_pem/);
        assert.equal(await shownName(), 'third.example');
        await client.subscribe('open:a');
        client.close();
        await server.stop();
    });
});

describe('many reloads', () => {
    test('S12: each is taken, while clients publish', async () => {
        const { server, file } = await start({ channel: { namespaces: [OPEN] } });
        const client = await Client.connect(server, userToken('1'));
        await client.subscribe('open:a');
        for (let i = 1; i <= 20; i++) {
            await reload(server, file, text({ channel: { namespaces: [{ ...OPEN, history_size: i, history_ttl: '60s' }] } }));
            await client.publish('open:a', i);
            assert.equal((await client.expectPublication('open:a')).data, i);
        }
        client.close();
        await server.stop();
    });
});
