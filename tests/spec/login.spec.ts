/* login.spec.ts - sign-in, sessions and XSRF (EXPERIENCE F.3 and I; THREATS H43 to H45, A22, A30). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { signedCookie } from './support/cookie.ts';
import { request, type HttpResponse } from './support/http.ts';
import { API_KEY, Server, binaryPath, freePort, merged, serverFor, type Config } from './support/server.ts';

const PASSWORD = 'correct horse battery';
const SESSION_KEYS = { 1: 'spec-session-key-1-0123456789abcdef', 2: 'spec-session-key-2-0123456789abcdef' };

function adminConfig(): Config {
    const hash = execFileSync(binaryPath(), ['hashpassword'], { input: `${PASSWORD}\n`, encoding: 'utf8' });
    return {
        admin: { enabled: true, user: 'root', password_hash: hash.trim() },
        session: { keys: SESSION_KEYS, key_version: 2 },
        http_server: { trusted_proxies: ['127.0.0.9'] },
    };
}

interface State {
    user: string;
    admin: boolean;
    sign_in: { name: boolean; password: boolean };
    xsrf: string;
}

/* A browser, as far as cookies go. */
class Browser {
    readonly cookies = new Map<string, string>();
    /* The Set-Cookie lines of the last answer. */
    lines: string[] = [];
    xsrf = '';
    readonly server: Server;
    readonly localAddress: string;

    constructor(server: Server, localAddress = '127.0.0.1') {
        this.server = server;
        this.localAddress = localAddress;
    }

    private keep(response: HttpResponse): HttpResponse {
        this.lines = response.head.split('\r\n').filter((line) => line.startsWith('Set-Cookie: '));
        for (const line of this.lines) {
            const [, name, value] = /^Set-Cookie: ([^=]+)=([^;]*);/.exec(line) as unknown as [string, string, string];
            if (line.includes('Max-Age=0;')) {
                this.cookies.delete(name);
            } else {
                this.cookies.set(name, value);
            }
        }
        return response;
    }

    headers(more: Record<string, string> = {}): Record<string, string> {
        const pairs = [...this.cookies].map(([name, value]) => `${name}=${value}`);
        return pairs.length === 0 ? more : { Cookie: pairs.join('; '), ...more };
    }

    async get(more: Record<string, string> = {}): Promise<State> {
        const { server, localAddress } = this;
        const response = this.keep(await request(server.port, '/session', { headers: this.headers(more), localAddress }));
        assert.equal(response.status, 200, response.body);
        assert.equal(response.headers['cache-control'], 'no-store');
        const state = JSON.parse(response.body) as State;
        this.xsrf = state.xsrf;
        return state;
    }

    async post(path: string, form: Record<string, string>, more: Record<string, string> = {}): Promise<HttpResponse> {
        const { server, localAddress } = this;
        const headers = {
            'Content-Type': 'application/x-www-form-urlencoded',
            ...(this.xsrf === '' ? {} : { 'X-XSRFToken': this.xsrf }),
            ...more,
        };
        const body = new URLSearchParams(form).toString();
        const options = { method: 'POST', headers: this.headers(headers), body, localAddress };
        return this.keep(await request(server.port, path, options));
    }

    signIn(password = PASSWORD, user = 'root', more: Record<string, string> = {}): Promise<HttpResponse> {
        return this.post('/session', { user, password, ...more });
    }

    api(method: string, body: unknown, more: Record<string, string> = {}): Promise<HttpResponse> {
        const headers = this.headers(more);
        return request(this.server.port, `/api/${method}`, { method: 'POST', body: JSON.stringify(body), headers });
    }
}

async function signedIn(server: Server): Promise<Browser> {
    const browser = new Browser(server);
    await browser.get();
    const response = await browser.signIn();
    assert.equal(response.status, 200, response.body);
    browser.xsrf = (JSON.parse(response.body) as State).xsrf;
    return browser;
}

describe('sign-in of the administrator', () => {
    const server = serverFor(adminConfig);

    test('the state of a stranger is nobody, with a new XSRF token', async () => {
        const browser = new Browser(server);
        const state = await browser.get();
        assert.deepEqual(
            { ...state, xsrf: '' },
            { user: '', admin: false, sign_in: { name: false, password: true }, xsrf: '' },
        );
        assert.match(state.xsrf, /^2\|[0-9a-f]{8}\|[0-9a-f]{32}\|[1-9][0-9]*$/);
        assert.equal(browser.lines.length, 1);
        const again = await browser.get();
        assert.deepEqual(browser.lines, [], 'the cookie is not set where there is a good one');
        assert.notEqual(again.xsrf, state.xsrf, 'the mask is new in every answer');
    });

    test('with the password signs in, and the session is known afterwards', async () => {
        const browser = await signedIn(server);
        const state = await browser.get();
        assert.equal(state.user, 'root');
        assert.equal(state.admin, true);
    });

    test('H44: the session cookie is HttpOnly and SameSite, the XSRF cookie alone can be read', async () => {
        const browser = new Browser(server);
        await browser.get();
        await browser.signIn();
        const session = browser.lines.find((line) => line.includes('starling_session=')) as string;
        const xsrf = browser.lines.find((line) => line.includes('_xsrf=')) as string;
        assert.match(session, /^Set-Cookie: starling_session=2\|[^;]+; Path=\/; Max-Age=86400; SameSite=Strict; HttpOnly$/);
        assert.match(xsrf, /^Set-Cookie: _xsrf=2\|[^;]+; Path=\/; Max-Age=2678400; SameSite=Strict$/);
    });

    test('H44: over TLS cookies are Secure and the session has the prefix __Host-', async () => {
        const https = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '192.0.2.1' };
        const browser = new Browser(server, '127.0.0.9');
        await browser.get(https);
        assert.ok(browser.lines.every((line) => line.endsWith('; Secure')));
        const response = await browser.post('/session', { user: 'root', password: PASSWORD }, https);
        assert.equal(response.status, 200, response.body);
        assert.ok(browser.lines.some((line) => /^Set-Cookie: __Host-starling_session=.*; Secure$/.test(line)));
        assert.equal((await browser.get(https)).user, 'root');
        assert.equal((await browser.get()).user, '', 'without TLS that cookie does not count');
    });

    test('signing in makes a new XSRF token, the old one is worth nothing', async () => {
        const browser = new Browser(server);
        const before = (await browser.get()).xsrf;
        await browser.signIn();
        browser.xsrf = before;
        assert.equal((await browser.post('/session/end', {})).status, 403);
    });

    test('signing out takes the cookie away', async () => {
        const browser = await signedIn(server);
        const response = await browser.post('/session/end', {});
        assert.equal(response.status, 200, response.body);
        assert.ok(!browser.cookies.has('starling_session'));
        assert.equal((await browser.get()).user, '');
    });

    test('H43: without the XSRF token, or with a foreign, empty or old one, nothing happens', async () => {
        const browser = new Browser(server);
        const stranger = (await new Browser(server).get()).xsrf;
        const own = (await browser.get()).xsrf;
        const stale = own.replace(/[0-9]+$/, '1300000000');
        for (const token of ['', stranger, 'x', stale, own.toUpperCase(), own.slice(0, -1) + 'x']) {
            browser.xsrf = token;
            const response = await browser.signIn();
            assert.equal(response.status, 403, token);
            assert.deepEqual(browser.lines, []);
        }
        browser.xsrf = own;
        browser.cookies.delete('_xsrf');
        assert.equal((await browser.signIn()).status, 403, 'the cookie is needed as well');
    });

    test('H43: the token may come in either header or as a form field', async () => {
        for (const way of ['X-XSRFToken', 'X-CSRFToken', 'form']) {
            const browser = new Browser(server);
            const token = (await browser.get()).xsrf;
            browser.xsrf = '';
            const response = await browser.post(
                '/session',
                { user: 'root', password: PASSWORD, ...(way === 'form' ? { _xsrf: token } : {}) },
                way === 'form' ? {} : { [way]: token },
            );
            assert.equal(response.status, 200, `${way}: ${response.body}`);
        }
    });

    test('H43: a page of another origin or site is refused even with the token', async () => {
        const foreign: Record<string, string>[] = [
            { Origin: 'https://evil.example' },
            { Origin: 'null' },
            { Origin: `http://127.0.0.1:${server.port + 1}` },
            { Origin: `http://127.0.0.1:${server.port}.evil.example` },
            { 'Sec-Fetch-Site': 'cross-site' },
            { 'Sec-Fetch-Site': 'same-site' },
            { 'Sec-Fetch-Site': 'none' },
        ];
        for (const headers of foreign) {
            const browser = new Browser(server);
            await browser.get();
            const form = { user: 'root', password: PASSWORD };
            assert.equal((await browser.post('/session', form, headers)).status, 403);
        }
        const browser = new Browser(server);
        await browser.get();
        const own = { Origin: `http://127.0.0.1:${server.port}`, 'Sec-Fetch-Site': 'same-origin' };
        assert.equal((await browser.post('/session', { user: 'root', password: PASSWORD }, own)).status, 200);
    });

    test('a body that is no form is refused', async () => {
        const browser = new Browser(server);
        await browser.get();
        const response = await browser.post('/session', { user: 'root' }, { 'Content-Type': 'text/plain' });
        assert.equal(response.status, 415);
    });

    test('H45: next leads to own paths only', async () => {
        const cases: [string, string][] = [
            ['/admin', '/admin'],
            ['/admin?a=b#c', '/admin?a=b#c'],
            ['//evil.example/', '/'],
            ['/\\evil.example/', '/'],
            ['/\t/evil.example/', '/'],
            ['https://evil.example/', '/'],
            ['javascript:alert(1)', '/'],
            ['/a\r\nSet-Cookie: a=b', '/'],
            ['', '/'],
        ];
        for (const [next, expected] of cases) {
            const browser = new Browser(server);
            await browser.get();
            const response = await browser.signIn(PASSWORD, 'root', { next });
            assert.equal(response.status, 303, next);
            assert.equal(response.headers.location, expected, next);
            assert.equal(browser.lines.length, 2);
        }
    });

    test('A22: a session signed by an older key is signed anew, and does not last longer for it', async () => {
        const browser = await signedIn(server);
        const value = Buffer.from((browser.cookies.get('starling_session') as string).split('|')[4]?.split(':')[1] ?? '', 'base64');
        const timeS = Math.floor(Date.now() / 1000) - 3600;
        const old = signedCookie(value.toString(), { secret: SESSION_KEYS[1], keyVersion: 1, name: 'starling_session', timeS });
        browser.cookies.set('starling_session', old);
        assert.equal((await browser.get()).user, 'root');
        const renewed = browser.cookies.get('starling_session') as string;
        assert.ok(renewed.startsWith(`2|1:2|10:${timeS}|`), renewed);
        assert.match(browser.lines.join(), /Max-Age=8(2799|2800);/);
    });

    test('a session of another user, password or kind is nobody', async () => {
        const browser = await signedIn(server);
        const fields = (browser.cookies.get('starling_session') as string).split('|');
        const value = Buffer.from(fields[4]?.split(':')[1] ?? '', 'base64').toString();
        assert.match(value, /^admin:[0-9a-f]{16}:root$/);
        const others = [value.replace('root', 'toor'), value.replace(/[0-9a-f]{16}/, '0'.repeat(16)), 'name:root', 'root', ''];
        for (const other of others) {
            const cookie = signedCookie(other, { secret: SESSION_KEYS[2], keyVersion: 2, name: 'starling_session' });
            browser.cookies.set('starling_session', cookie);
            const state = await browser.get();
            assert.deepEqual([state.user, state.admin], ['', false], other);
        }
    });

    test('other paths and methods below are refused', async () => {
        assert.equal((await request(server.port, '/session/other')).status, 404);
        assert.equal((await request(server.port, '/session/end')).status, 405);
        assert.equal((await request(server.port, '/sessions')).status, 404);
    });
});

describe('the server API and the cookie of the administrator', () => {
    const server = serverFor(adminConfig);
    const call = { channel: 'open:a', data: {} };

    test('the cookie with its XSRF token may call', async () => {
        const browser = await signedIn(server);
        const response = await browser.api('publish', call, { 'X-XSRFToken': browser.xsrf });
        assert.equal(response.status, 200, response.body);
        assert.ok('result' in (JSON.parse(response.body) as object));
    });

    test('H43: the cookie without the token, or from a foreign page, may not', async () => {
        const browser = await signedIn(server);
        assert.equal((await browser.api('publish', call)).status, 403);
        assert.equal((await browser.api('publish', call, { 'X-XSRFToken': 'x' })).status, 403);
        const foreign = { 'X-XSRFToken': browser.xsrf, Origin: 'https://evil.example' };
        assert.equal((await browser.api('publish', call, foreign)).status, 403);
    });

    test('without a session a token is worth nothing', async () => {
        const browser = new Browser(server);
        await browser.get();
        assert.equal((await browser.api('publish', call, { 'X-XSRFToken': browser.xsrf })).status, 401);
    });

    test('the key is exempt', async () => {
        const browser = await signedIn(server);
        const headers = { 'X-API-Key': API_KEY, Origin: 'https://other.example' };
        assert.equal((await browser.api('publish', call, headers)).status, 200);
    });

    test('the administrator is no user of a WebSocket', async () => {
        const browser = await signedIn(server);
        const client = await Client.open(server, { headers: browser.headers() });
        client.command('connect', {});
        await client.expectDisconnect(3501);
    });
});

describe('H45: guessing passwords', () => {
    const server = serverFor(adminConfig);

    async function attempt(address: string, user: string, password: string): Promise<HttpResponse> {
        const browser = new Browser(server, address);
        await browser.get();
        return browser.signIn(password, user);
    }

    test('an unknown user and a wrong password get the same answer', async () => {
        const unknown = await attempt('127.0.1.1', 'nobody', PASSWORD);
        const wrong = await attempt('127.0.1.2', 'root', 'wrong password');
        const empty = await attempt('127.0.1.3', 'root', '');
        const near = await attempt('127.0.1.4', 'root', `${PASSWORD} `);
        for (const response of [unknown, wrong, empty, near]) {
            assert.equal(response.status, 401);
            assert.equal(response.body, unknown.body);
            assert.ok(!('set-cookie' in response.headers));
        }
    });

    test('after six failures an address has to wait, and so does the right password', async () => {
        for (let i = 0; i < 6; i++) {
            assert.equal((await attempt('127.0.2.1', `user-${i}`, 'wrong password')).status, 401);
        }
        const response = await attempt('127.0.2.1', 'user-7', 'wrong password');
        assert.equal(response.status, 429);
        assert.equal(response.headers['retry-after'], '1');
        assert.equal((await attempt('127.0.2.1', 'root', PASSWORD)).status, 429);
        assert.equal((await attempt('127.0.2.2', 'root', PASSWORD)).status, 200, 'others do not wait');
    });

    test('after six failures an account has to wait wherever the next try comes from', async () => {
        for (let i = 0; i < 6; i++) {
            assert.equal((await attempt(`127.0.3.${i + 1}`, 'victim', 'wrong password')).status, 401);
        }
        assert.equal((await attempt('127.0.3.99', 'victim', 'wrong password')).status, 429);
    });

    test('others are served while passwords are compared', async () => {
        let answered = 0;
        const attempts = Array.from({ length: 12 }, async (_, i) => {
            const response = await attempt(`127.0.4.${i + 1}`, `user-${i}`, 'wrong password');
            answered++;
            return response;
        });
        await Promise.race(attempts);
        assert.equal((await request(server.port, '/health')).status, 200);
        assert.ok(answered < attempts.length, 'the health check did not wait for the queue');
        for (const response of await Promise.all(attempts)) {
            assert.equal(response.status, 401);
        }
    });
});

describe('sign-in by name, with --dev', () => {
    const server = serverFor({}, { args: ['--dev'] });

    test('a name is enough, and a WebSocket without a token has it', async () => {
        const browser = new Browser(server);
        const state = await browser.get();
        assert.deepEqual(state.sign_in, { name: true, password: false });
        const response = await browser.post('/session', { name: ' Zoë ' });
        assert.equal(response.status, 200, response.body);
        assert.equal((JSON.parse(response.body) as State).user, 'Zoë');
        const client = await Client.connect(server, undefined, { headers: browser.headers() });
        await client.subscribe('chat:lobby');
        const presence = (await client.call('presence', { channel: 'chat:lobby' })).presence as Record<string, { user: string }>;
        assert.equal(presence[client.id]?.user, 'Zoë');
        client.close();
    });

    test('a name is 1 to 64 bytes of printable text', async () => {
        const browser = new Browser(server);
        await browser.get();
        for (const name of ['', ' ', 'a'.repeat(65), 'a\nb', 'a\u007f']) {
            assert.equal((await browser.post('/session', { name })).status, 400, JSON.stringify(name));
        }
        assert.equal((await browser.post('/session', { name: 'a'.repeat(64) })).status, 200);
    });

    test('H43: the token is needed here as well', async () => {
        const browser = new Browser(server);
        await browser.get();
        browser.xsrf = '';
        assert.equal((await browser.post('/session', { name: 'eve' })).status, 403);
    });
});

describe('the administrator and an internal port', () => {
    let internalPort = 0;
    before(async () => {
        internalPort = await freePort();
    });
    const server = serverFor(() => merged(adminConfig(), { http_server: { internal_port: internalPort } }));

    test('sign-in and pages are there, and sign-in is only there', async () => {
        assert.equal((await request(internalPort, '/session')).status, 200);
        assert.equal((await request(internalPort, '/')).status, 200);
        assert.equal((await request(server.port, '/session')).status, 404);
    });
});

describe('without an administrator', () => {
    const server = serverFor();

    test('there is no sign-in', async () => {
        assert.equal((await request(server.port, '/session')).status, 404);
    });
});
