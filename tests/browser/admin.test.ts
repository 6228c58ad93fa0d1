/* admin.test.ts - the operator's page: on a development server, with a key, and signed in. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { binary, enter, person, type Person, say, type Server, startBrowser, startServer } from './harness.ts';

let server: Server;
let browser: Browser;
let people: Person[] = [];

before(async () => {
    server = await startServer();
    browser = await startBrowser();
});

after(async () => {
    await browser.close();
    await server.stop();
});

afterEach(async () => {
    const complaints = people.flatMap((one) => one.complaints);
    await Promise.all(people.map((one) => one.leave()));
    people = [];
    /* Asking without a key first is how the page finds out; the browser remarks on every refusal. */
    assert.deepEqual(
        complaints.filter((text) => !/status of 40[134]/.test(text)),
        [],
    );
});

async function someone(name = 'Ann', options?: Parameters<typeof person>[2]): Promise<Person> {
    const one = await person(browser, name, options);
    people.push(one);
    return one;
}

async function admin(section = ''): Promise<Page> {
    const { page } = await someone('Operator');
    await page.goto(`${server.origin}/admin${section === '' ? '' : `#/${section}`}`);
    await page.locator('main.admin[aria-busy="false"]').waitFor();
    return page;
}

async function api(method: string, params: object): Promise<Record<string, unknown>> {
    const answer = await fetch(`${server.origin}/api/${method}`, { method: 'POST', body: JSON.stringify(params) });
    return ((await answer.json()) as { result: Record<string, unknown> }).result;
}

async function clientOf(who: Person): Promise<string> {
    const { presence } = await api('presence', { channel: `chat:${who.page.url().split('/').pop()}` });
    return Object.keys(presence as object)[0]!;
}

describe('the overview', () => {
    test('lists the node and draws what happens, second by second', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, 'busy');
        const page = await admin();
        await page.locator('.grid tbody tr', { hasText: '0.' }).first().waitFor();
        await page.locator('[data-series="clients"]', { hasText: /^\d+$/ }).waitFor();
        const busy = setInterval(() => void server.publish('chat:busy', { text: 'x' }), 50);
        try {
            await page.locator('[data-series="messagesIn"]', { hasText: /^[1-9]/ }).waitFor({ timeout: 10_000 });
        } finally {
            clearInterval(busy);
        }
        await page.locator('[data-series="bytesOut"]', { hasText: /\d/ }).waitFor();
        await page.locator('[data-series="lag"]', { hasText: /ms/ }).waitFor();
        assert.equal(await page.locator('.chart canvas').count(), 5);
        await page.locator('.verdict', { hasText: 'Ready' }).waitFor();
    });

    test('says so when the server has gone, and goes on when it is back', async () => {
        const first = await startServer();
        const { page } = await someone();
        await page.goto(`${first.origin}/admin`);
        await page.locator('main.admin[aria-busy="false"]').waitFor();
        await first.stop();
        await page.getByText('The server does not answer').waitFor();
        const second = await startServer({ port: first.port });
        await page.getByText('The server does not answer').waitFor({ state: 'detached' });
        await second.stop();
    });
});

describe('channels', () => {
    test('are found by name, and one shows who is in it, what it keeps, and what comes', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, 'watched');
        await say(ann, 'kept');
        const page = await admin('channels');
        await page.locator('#find-channels').fill('watch');
        await page.locator('#find-channels').press('Enter');
        await page.locator('.grid a', { hasText: 'chat:watched' }).click();
        await page.locator('.stream li', { hasText: 'kept' }).waitFor();
        await page.locator('#presence-title', { hasText: '(1)' }).waitFor();
        await page.getByRole('button', { name: 'Watch live' }).click();
        await page.getByText('Watching. 0 publications so far.').waitFor();
        await say(ann, 'live now');
        await page.getByText('Watching. 1 publication so far.').waitFor();
        await page.locator('#publish-data').fill('{"name":"operator", "text" : "from above"}');
        await page.getByRole('button', { name: 'Publish', exact: true }).click();
        await page.getByText(/Published at offset \d+/).waitFor();
        await ann.page.locator('.message .text', { hasText: 'from above' }).waitFor();
        await page.getByRole('button', { name: 'Stop watching' }).click();
        await page.getByRole('button', { name: 'Remove history' }).click();
        await page.getByRole('button', { name: 'Really remove it?' }).click();
        await page.getByText('Nothing is kept.').waitFor();
    });

    test('that cannot be watched say why', async () => {
        const page = await admin(`channels/${encodeURIComponent('nosuch:x')}`);
        await page.getByRole('button', { name: 'Watch live' }).click();
        await page.getByText(/Refused: .*\(102\)/).waitFor();
    });
});

describe('connections', () => {
    test('are found, looked into, taken out of a channel, and closed', async () => {
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, server.origin, 'one');
        await enter(bob, server.origin, 'two');
        const client = await clientOf(ann);
        const page = await admin('connections');
        await page.locator('#find-connections').fill(client.slice(0, 13));
        await page.locator('#find-connections').press('Enter');
        await page.getByText('1 client', { exact: true }).waitFor();
        await page.locator('.grid tbody a').click();
        await page.locator('.chips li', { hasText: 'chat:one' }).waitFor();
        await page.getByRole('button', { name: 'Unsubscribe from chat:one' }).click();
        await page.locator('.chips li', { hasText: 'chat:one' }).waitFor({ state: 'detached' });
        await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
        await page.getByRole('button', { name: 'Really disconnect?' }).click();
        await page.getByText('This client has left.').waitFor();
        await ann.page.locator('.banner.bad', { hasText: 'force disconnect' }).waitFor();
        assert.equal(await bob.page.locator('.banner').count(), 0);
    });

    test('one click does not disconnect, and a second thought takes the question back', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, 'stays');
        const page = await admin('connections');
        await page.getByRole('button', { name: 'Disconnect' }).first().click();
        await page.getByRole('button', { name: 'Really disconnect?' }).waitFor();
        await page.locator('#find-connections').focus();
        await page.getByRole('button', { name: 'Really disconnect?' }).waitFor({ state: 'detached' });
        assert.equal(await ann.page.locator('.banner').count(), 0);
    });

    test('come in pages, ordered by what waits for them', async () => {
        const page = await admin('connections');
        await page.route('**/api/connections', async (route) => {
            const asked = JSON.parse(route.request().postData() ?? '{}') as { cursor?: string; sort?: string };
            const rows = [0, 1].map((index) => ({
                client: `${asked.cursor === undefined ? 'first' : 'second'}-${index}`,
                user: '<img src=x onerror=alert(1)>',
                transport: 'websocket',
                address: '192.0.2.1',
                connected_at_ms: 0,
                queue_bytes: asked.sort === 'queue' ? 123_456 : 0,
                num_channels: 1,
                worker: 0,
            }));
            const result = { connections: rows, total: 100_000, ...(asked.cursor === undefined ? { cursor: 'c' } : {}) };
            await route.fulfill({ json: { result } });
        });
        await page.getByLabel('Order').selectOption('queue');
        await page.locator('.grid td.queued', { hasText: '123 kB' }).first().waitFor();
        await page.getByText('100000 clients').waitFor();
        await page.getByRole('button', { name: 'Next page' }).click();
        await page.locator('.grid th', { hasText: 'second-' }).first().waitFor();
        assert.equal(await page.getByRole('button', { name: 'Next page' }).isDisabled(), true);
        await page.getByRole('button', { name: 'First page' }).click();
        await page.locator('.grid th', { hasText: 'first-' }).first().waitFor();
        assert.equal(await page.locator('.grid img').count(), 0);
        await page.unrouteAll({ behavior: 'ignoreErrors' });
    });
});

describe('tools', () => {
    test('publish only JSON, byte for byte, and say where it went', async () => {
        const page = await admin('tools');
        await page.locator('#publish-channel').fill('chat:tools');
        await page.locator('#publish-data').fill('{broken');
        await page.getByRole('button', { name: 'Publish', exact: true }).click();
        await page.getByText('This is no JSON').waitFor();
        await page.locator('#publish-data').fill('{"n":12345678901234567890}');
        await page.getByRole('button', { name: 'Publish', exact: true }).click();
        await page.getByText('Published at offset 1.').waitFor();
        const answer = await fetch(`${server.origin}/api/history`, {
            method: 'POST',
            body: '{"channel":"chat:tools","limit":1}',
        });
        assert.match(await answer.text(), /12345678901234567890/);
        await page.locator('#publish-channel').fill('nosuch:x');
        await page.getByRole('button', { name: 'Publish', exact: true }).click();
        await page.getByText('unknown channel (102)').waitFor();
    });

    test('a token is read in the page: what it says, and what speaks against it', async () => {
        const page = await admin('tools');
        const requests: string[] = [];
        const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
        const token = (header: object, claims: object): string => `${part(header)}.${part(claims)}.c2ln`;
        page.on('request', (request) => requests.push(request.postData() ?? request.url()));
        const field = page.locator('#token-field');
        await field.fill(token({ alg: 'HS256' }, { sub: 'ann-ü', exp: 4_000_000_000 }));
        await page.getByText('Connection token of the user “ann-ü”.').waitFor();
        await page.getByText('Nothing speaks against it').waitFor();
        await field.fill(token({ alg: 'none' }, { sub: '<img src=x onerror=alert(1)>', exp: 1 }));
        await page.getByText('It is not signed.').waitFor();
        await page.getByText('It expired at').waitFor();
        assert.equal(await page.locator('.decoded img').count(), 0);
        await field.fill('not a token');
        await page.getByText('This is no JSON Web Token').waitFor();
        assert.deepEqual(
            requests.filter((text) => text.includes('eyJ')),
            [],
        );
    });
});

describe('what strangers write', () => {
    const MARKUP = '<img src=x onerror=alert(1)><script>document.title="hacked"</script>';

    test('H42 markup in publications, presence and names of channels shows as text', async () => {
        const channel = `chat:${encodeURIComponent('<b>').toLowerCase()}"'<img>`;
        await server.publish(channel, { name: MARKUP, text: MARKUP, [MARKUP]: MARKUP });
        const page = await admin(`channels/${encodeURIComponent(channel)}`);
        await page.locator('.stream li', { hasText: 'onerror' }).waitFor();
        await page.getByRole('button', { name: 'Watch live' }).click();
        await page.getByText('Watching. 0 publications so far.').waitFor();
        await server.publish(channel, MARKUP);
        await page.getByText('Watching. 1 publication so far.').waitFor();
        const foreign = await page.locator('main').evaluate((main) => main.querySelectorAll('img, script, b').length);
        assert.equal(foreign, 0);
        assert.doesNotMatch(await page.title(), /^hacked/);
        for (const field of ['#publish-data']) {
            await page.locator(field).fill(MARKUP);
            await page.getByRole('button', { name: 'Publish', exact: true }).click();
            await page.getByText('This is no JSON').waitFor();
        }
        await page.goto(`${server.origin}/admin#/connections/${encodeURIComponent(MARKUP)}`);
        await page.getByText('This client has left.').waitFor();
        await page.goto(`${server.origin}/admin#/channels`);
        await page.locator('#find-channels').fill(MARKUP);
        await page.locator('#find-channels').press('Enter');
        await page.getByText('No channel with a subscriber has such a name.').waitFor();
        assert.equal(await page.locator('main img, main script').count(), 0);
    });
});

describe('a server that is not a development server', () => {
    const PASSWORD = 'correct horse battery';
    const KEY = 'a-key-of-these-tests-and-of-nothing-else';
    let folder: string;
    let guarded: Server;

    before(async () => {
        folder = await mkdtemp(path.join(os.tmpdir(), 'starling-'));
        const hash = execFileSync(binary(), ['hashpassword'], { input: `${PASSWORD}\n`, encoding: 'utf8' }).trim();
        const config = {
            client: { token: { hmac_secret_key: 'a-secret-of-these-tests-and-of-nothing-else' } },
            http_api: { key: KEY },
            admin: { enabled: true, user: 'root', password_hash: hash },
            session: { keys: { 1: 'a-session-key-of-these-tests-and-of-nothing' }, key_version: 1 },
        };
        const file = path.join(folder, 'starling.json');
        await writeFile(file, JSON.stringify(config), { mode: 0o600 });
        guarded = await startServer({ config: file });
    });

    after(async () => {
        await guarded.stop();
        await rm(folder, { recursive: true });
    });

    test('asks for the password, keeps the session over a reload, and ends it', async () => {
        const { page } = await someone('Operator');
        await page.goto(`${guarded.origin}/admin`);
        await page.getByLabel('Name').fill('root');
        await page.getByLabel('Password').fill('wrong');
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.getByText('Name or password is wrong').waitFor();
        await page.getByLabel('Password').fill(PASSWORD);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.locator('#nodes-title').waitFor();
        await page.reload();
        await page.locator('#nodes-title').waitFor();
        await page.getByRole('button', { name: 'Sign out root' }).click();
        await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
        await page.reload();
        await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    });

    test('takes an API key instead, which stays in this tab only', async () => {
        const one = await someone('Operator');
        const { page } = one;
        await page.goto(`${guarded.origin}/admin`);
        await page.getByText('or with an API key').click();
        await page.getByLabel('API key').fill('wrong');
        await page.getByRole('button', { name: 'Use this key' }).click();
        await page.getByText('is wrong').waitFor();
        await page.getByLabel('API key').fill(KEY);
        await page.getByRole('button', { name: 'Use this key' }).click();
        await page.locator('#nodes-title').waitFor();
        await page.reload();
        await page.locator('#nodes-title').waitFor();
        assert.equal(await page.evaluate((key) => JSON.stringify({ ...localStorage }).includes(key), KEY), false);
        const other = await page.context().newPage();
        await other.goto(`${guarded.origin}/admin`);
        await other.getByRole('heading', { name: 'Who are you?' }).waitFor();
        await page.getByRole('button', { name: 'Forget the key' }).click();
        await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
        await page.reload();
        await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    });
});
