/* jwks.spec.ts - tokens of an identity provider: its key set, over HTTP, while keys come and go (PROTOCOL section 9). */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, type JsonWebKey, type KeyObject } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client, type Json } from './support/client.ts';
import { eventually } from './support/deadline.ts';
import { TOKEN_SECRET, forEachWorkerCount, serverFor } from './support/server.ts';
import { inSeconds, userToken } from './support/token.ts';

interface Key {
    kid: string;
    alg: string;
    privateKey: KeyObject;
    jwk: JsonWebKey;
}

function makeKey(kid: string, alg: 'RS256' | 'ES256' | 'EdDSA', bits = 2048): Key {
    const pair =
        alg === 'RS256'
            ? generateKeyPairSync('rsa', { modulusLength: bits })
            : alg === 'ES256'
              ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
              : generateKeyPairSync('ed25519');
    return { kid, alg, privateKey: pair.privateKey, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' } };
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function tokenOf(key: Key, user: string, header: Json = {}): string {
    const text = `${part({ alg: key.alg, kid: key.kid, ...header })}.${part({ sub: user, exp: inSeconds(60) })}`;
    const digest = key.alg === 'EdDSA' ? null : 'sha256';
    return `${text}.${sign(digest, Buffer.from(text), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/* An identity provider whose keys and mood the test sets. */
class Provider {
    keys: unknown[] = [];
    status = 200;
    body: string | null = null;
    requestCount = 0;
    private readonly server = http.createServer((_request, response) => {
        this.requestCount++;
        response.writeHead(this.status, { 'Content-Type': 'application/json' });
        response.end(this.body ?? JSON.stringify({ keys: this.keys }));
    });

    async start() {
        await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    }

    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }

    get url(): string {
        return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/jwks.json`;
    }
}

/* Connects as an SDK does: a temporary error is tried again. */
async function connectPatiently(server: { port: number }, token: string): Promise<Client> {
    for (;;) {
        const client = await Client.open(server);
        const reply = await client.expectReply(client.command('connect', { token }));
        if (reply.json.error === undefined) {
            return client;
        }
        client.close();
        assert.deepEqual([reply.json.error.code, reply.json.error.temporary], [100, true], reply.text);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

forEachWorkerCount('a key set', (workers) => {
    const provider = new Provider();
    const keys = [makeKey('rsa-1', 'RS256'), makeKey('ec-1', 'ES256'), makeKey('ed-1', 'EdDSA')];
    before(async () => {
        provider.keys = [
            ...keys.map((key) => key.jwk),
            { ...makeKey('weak', 'RS256', 1024).jwk },
            { kty: 'oct', kid: 'secret', k: 'c2VjcmV0' },
            { ...keys[0]?.jwk, kid: 'for-encryption', use: 'enc' },
            { kty: 'EC', crv: 'P-256', kid: 'broken', x: 'AA', y: 'AA' },
            { kty: 'RSA' },
            7,
        ];
        await provider.start();
    });
    after(() => provider.stop());
    const server = serverFor(() => ({
        http_server: { workers },
        client: { token: { hmac_secret_key: TOKEN_SECRET, jwks_public_endpoint: provider.url } },
    }));

    test('verifies tokens by their kid, whichever kind of key it names', async () => {
        for (const key of keys) {
            const client = await connectPatiently(server, tokenOf(key, key.kid));
            client.close();
        }
    });

    test('leaves tokens without a kid to the configured keys', async () => {
        (await Client.connect(server, userToken('42'))).close();
    });

    test('is fetched anew when a key is new, and not again at once for a kid that nobody has', async () => {
        const fresh = makeKey('ec-2', 'ES256');
        provider.keys.push(fresh.jwk);
        (await connectPatiently(server, tokenOf(fresh, '42'))).close();
        await Promise.all(
            Array.from({ length: 20 }, async () => {
                const client = await Client.open(server);
                client.command('connect', { token: tokenOf({ ...fresh, kid: 'nobody' }, '42') });
                const frame = await client.ws.nextFrame('an answer');
                client.close();
                assert.ok(frame.payload.length > 0);
            }),
        );
        assert.ok(provider.requestCount <= 5 * workers, `${provider.requestCount} requests`);
    });

    test('does not make a key do what it is not for', async () => {
        const [rsa, ec] = keys as [Key, Key, Key];
        for (const token of [
            tokenOf({ ...rsa, kid: 'ec-1' }, '1'),
            tokenOf({ ...ec, kid: 'rsa-1' }, '1'),
            tokenOf({ ...rsa, kid: 'for-encryption' }, '1'),
            `${part({ alg: 'HS256', kid: 'rsa-1' })}.${part({ sub: '1' })}.${'A'.repeat(43)}`,
            `${part({ alg: 'none', kid: 'rsa-1' })}.${part({ sub: '1' })}.AA`,
        ]) {
            await eventually('a refusal for good', async () => {
                const client = await Client.open(server);
                client.command('connect', { token });
                const frame = await client.ws.nextFrame('an answer');
                client.close();
                assert.ok(!frame.payload.toString('utf8').includes('"client"'), 'it was accepted');
                return frame.payload.length >= 2 && frame.payload.readUInt16BE(0) === 3500;
            }, 15000);
        }
    });

    test('stays as it was while the provider is ill', async () => {
        provider.status = 500;
        (await connectPatiently(server, tokenOf(keys[0] as Key, '42'))).close();
        provider.status = 200;
        provider.body = '{"keys": [';
        (await connectPatiently(server, tokenOf(keys[1] as Key, '42'))).close();
        provider.body = null;
    });
});

describe('a key set that cannot be fetched', () => {
    const server = serverFor({
        client: { token: { hmac_secret_key: TOKEN_SECRET, jwks_public_endpoint: 'http://127.0.0.1:9/jwks.json' } },
    });

    test('makes clients try again, and says nothing about their token', async () => {
        const client = await Client.open(server);
        const error = await client.expectError('connect', { token: tokenOf(makeKey('any', 'ES256'), '42') }, 100);
        assert.equal(error.temporary, true);
        client.close();
        (await Client.connect(server, userToken('42'))).close();
    });
});
