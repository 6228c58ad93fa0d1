/* cookies.spec.ts - who a browser is without a token: the login cookie of an application (THREATS A20 to A27, H06, H07). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { signedCookie } from './support/cookie.ts';
import { eventually } from './support/deadline.ts';
import { Server, serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

const SECRETS = { 1: 'spec-cookie-secret-1-0123456789abcdef', 2: 'spec-cookie-secret-2-0123456789abcdef' };
const DAY_S = 24 * 3600;

/* A cookie that the application signed with its current key. */
function appCookie(value: string, options: { name?: string; keyVersion?: 1 | 2; timeS?: number } = {}): string {
    const keyVersion = options.keyVersion ?? 2;
    return signedCookie(value, { ...options, keyVersion, secret: SECRETS[keyVersion] });
}

function nowS(): number {
    return Math.floor(Date.now() / 1000);
}

/* Opens with these headers, connects without a token and returns the user that others see. */
async function userOf(server: Server, headers: Record<string, string>, token?: string): Promise<string> {
    const client = await Client.connect(server, token, { headers });
    await client.subscribe('chat:who');
    const presence = await client.call('presence', { channel: 'chat:who' });
    const clients = presence.presence as Record<string, { user: string }>;
    const user = (clients[client.id] as { user: string }).user ?? '';
    client.close();
    return user;
}

async function expectNobody(server: Server, cookie: string) {
    const client = await Client.open(server, { headers: { Cookie: cookie } });
    client.command('connect', {});
    await client.expectDisconnect(3501);
}

describe('the cookie of a Tornado application', () => {
    const server = serverFor({
        client: { cookie_auth: { enabled: true, name: 'user', keys: SECRETS, key_version: 2 } },
    });

    test('says who connects without a token', async () => {
        assert.equal(await userOf(server, { Cookie: `user=${appCookie('alice')}` }), 'alice');
        assert.equal(await userOf(server, { Cookie: `a=b; user="${appCookie('bob')}"; c=d` }), 'bob');
    });

    test('gives way to a token', async () => {
        assert.equal(await userOf(server, { Cookie: `user=${appCookie('alice')}` }, userToken('42')), '42');
    });

    test('a token that is refused is not made good by a cookie', async () => {
        const client = await Client.open(server, { headers: { Cookie: `user=${appCookie('alice')}` } });
        client.command('connect', { token: 'nonsense' });
        await client.expectDisconnect(3500);
    });

    test('A22: a cookie of an older key is accepted, one of an unknown key is not', async () => {
        assert.equal(await userOf(server, { Cookie: `user=${appCookie('carol', { keyVersion: 1 })}` }), 'carol');
        const unknown = signedCookie('carol', { secret: SECRETS[1], keyVersion: 3 });
        await expectNobody(server, `user=${unknown}`);
    });

    test('A20 to A26: a refused cookie is as good as none, and the log says which rule decided', async () => {
        const good = appCookie('alice');
        const cookies: [string, RegExp][] = [
            [good.replace(/.$/, (c) => (c === '0' ? '1' : '0')), /signature/],
            [good.replace('YWxpY2U=', 'YWRtaW4='), /signature/],
            [appCookie('alice', { name: 'other' }), /another name/],
            [appCookie('alice', { timeS: nowS() - 31 * DAY_S - 60 }), /too old/],
            [appCookie('alice', { timeS: nowS() + DAY_S + 60 }), /future/],
            ['YWxpY2U=|1700000000|5c1b6bfa1f4e1c1d4c2b1d9d3e6d3d1a4f1a2b3c', /version 2/],
            [good.slice(0, -64) + good.slice(-64).toUpperCase(), /signature/],
            ['|'.repeat(4000), /version 2/],
            [`2${'|'.repeat(4000)}`, /malformed/],
            ['', /version 2/],
        ];
        for (const [cookie, rule] of cookies) {
            const before = server.count('cookie_refused');
            await expectNobody(server, `user=${cookie}`);
            await eventually('a log line', () => server.count('cookie_refused') === before + 1);
            const line = server.log.filter((entry) => entry.event === 'cookie_refused').at(-1);
            assert.match(String(line?.rule), rule);
            assert.ok(cookie.length < 20 || !JSON.stringify(line).includes(cookie), 'a cookie is never logged');
        }
    });

    test('A27: of two cookies of that name the first one counts', async () => {
        assert.equal(await userOf(server, { Cookie: `user=${appCookie('alice')}; user=${appCookie('bob')}` }), 'alice');
        await expectNobody(server, `user=x; user=${appCookie('bob')}`);
    });

    test('A27: thousands of cookies are over the limit of a header', async () => {
        const cookies = Array.from({ length: 4000 }, (_, i) => `c${i}=x`).join('; ');
        await assert.rejects(Client.open(server, { headers: { Cookie: cookies } }), /431/);
    });

    test('a cookie of another name is not looked at', async () => {
        const before = server.count('cookie_refused');
        await expectNobody(server, `session=${appCookie('alice')}`);
        assert.equal(server.count('cookie_refused'), before);
    });

    test('the cookie counts in the quota and the personal names of its user', async () => {
        const client = await Client.connect(server, undefined, { headers: { Cookie: `user=${appCookie('erin')}` } });
        await server.apiResult('disconnect', { user: 'erin' });
        await client.expectDisconnect(3503);
    });

    test('H06: a foreign page gets nothing, whatever its cookies', async () => {
        for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${server.port}.evil.example`]) {
            await assert.rejects(
                Client.open(server, { headers: { Cookie: `user=${appCookie('alice')}`, Origin: origin } }),
                /403/,
            );
        }
        const own = `http://127.0.0.1:${server.port}`;
        assert.equal(await userOf(server, { Cookie: `user=${appCookie('alice')}`, Origin: own }), 'alice');
    });
});

describe('a cookie whose value is JSON', () => {
    const server = serverFor({
        client: {
            cookie_auth: { enabled: true, name: 'login', keys: { 0: SECRETS[1] }, user_from: 'json:id', max_age_days: 1 },
        },
    });

    test('names the user in a member', async () => {
        const cookie = signedCookie('{"name":"Alice","id":42}', { secret: SECRETS[1], name: 'login' });
        assert.equal(await userOf(server, { Cookie: `login=${cookie}` }), '42');
    });

    test('without that member names nobody', async () => {
        await expectNobody(server, `login=${signedCookie('{"name":"Alice"}', { secret: SECRETS[1], name: 'login' })}`);
        await expectNobody(server, `login=${signedCookie('alice', { secret: SECRETS[1], name: 'login' })}`);
    });

    test('A23: is refused after max_age_days', async () => {
        const at = (timeS: number) => signedCookie('{"id":"7"}', { secret: SECRETS[1], name: 'login', timeS });
        assert.equal(await userOf(server, { Cookie: `login=${at(nowS() - DAY_S + 60)}` }), '7');
        await expectNobody(server, `login=${at(nowS() - DAY_S - 60)}`);
    });
});

describe('the start', () => {
    test('H07: cookies together with every origin are a configuration error', async () => {
        await assert.rejects(
            Server.start({
                config: {
                    client: { allowed_origins: ['*'], cookie_auth: { enabled: true, keys: SECRETS, key_version: 1 } },
                },
            }),
            /allowed_origins \* exclude each other/,
        );
    });
});
