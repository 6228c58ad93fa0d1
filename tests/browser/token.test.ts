/* token.test.ts - the pages on a server that is not a development server: it asks for a token. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { binary, person, say, type Server, startBrowser, startServer } from './harness.ts';

const run = promisify(execFile);
const permissions = {
    allow_subscribe_for_client: true,
    allow_publish_for_subscriber: true,
    allow_history_for_subscriber: true,
    allow_presence_for_subscriber: true,
};
const CONFIG = {
    client: {
        token: { hmac_secret_key: 'a-secret-of-these-tests-and-of-nothing-else' },
        allowed_origins: ['*'],
    },
    http_api: { key: 'a-key-of-these-tests-and-of-nothing-else' },
    channel: {
        namespaces: [
            {
                name: 'chat',
                presence: true,
                join_leave: true,
                history_size: 10,
                history_ttl: '60s',
                ...permissions,
            },
        ],
    },
};

let folder: string;
let config: string;
let server: Server;
let browser: Browser;

before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'starling-'));
    config = path.join(folder, 'starling.json');
    /* The server refuses a file of secrets that others may read. */
    await writeFile(config, JSON.stringify(CONFIG), { mode: 0o600 });
    server = await startServer({ config });
    browser = await startBrowser();
});

after(async () => {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true });
});

test('the chat asks for a token, takes it, and then shows the user the server vouches for', async () => {
    const ann = await person(browser, 'Call me Ann');
    await ann.page.goto(`${server.origin}/chat#/room/lobby`);
    await ann.page.locator('.banner-text', { hasText: 'asks for a connection token' }).waitFor();
    const { stdout } = await run(binary(), ['gentoken', '-c', config, '-u', 'ann-42', '-q']);
    await ann.page.getByLabel('Connection token').fill(stdout.trim());
    await ann.page.getByRole('button', { name: 'Connect', exact: true }).click();
    await ann.page.locator('.banner').waitFor({ state: 'detached' });
    await say(ann, 'let in');
    await ann.page.locator('.message.settled .author', { hasText: /^ann-42$/ }).waitFor();
    assert.deepEqual(ann.complaints, []);
    await ann.leave();
});

test('a room the server has no namespace for says why it cannot be joined', async () => {
    const ann = await person(browser, 'Ann');
    const { stdout } = await run(binary(), ['gentoken', '-c', config, '-u', 'ann-42', '-q']);
    await ann.page.goto(`${server.origin}/feed`);
    await ann.page.getByLabel('Connection token').fill(stdout.trim());
    await ann.page.getByRole('button', { name: 'Connect', exact: true }).click();
    await ann.page.locator('.channel .problem', { hasText: 'unknown channel' }).first().waitFor();
    await ann.leave();
});

test('the self-test says the WebSocket wants a token, and that the API has a key', async () => {
    const ann = await person(browser, 'Ann');
    await ann.page.goto(server.origin);
    await ann.page.locator('.step.failed', { hasText: 'It probably asks for a token' }).waitFor();
    await ann.page.locator('.step.ok', { hasText: 'Asks for an API key' }).waitFor();
    await ann.page.locator('.step', { hasText: 'Health' }).waitFor();
    await ann.leave();
});
