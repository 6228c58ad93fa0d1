/* pages.test.ts - front door and feed; and what holds for every page: size, reach, policy. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { enter, person, type Person, type Server, startBrowser, startServer } from './harness.ts';

const run = promisify(execFile);

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
    assert.deepEqual(complaints, []);
});

async function someone(options?: Parameters<typeof person>[2]): Promise<Person> {
    const one = await person(browser, 'Ann', options);
    people.push(one);
    return one;
}

describe('the front door', () => {
    test('says the server runs, and its self-test works on a development server', async () => {
        const { page } = await someone();
        await page.goto(server.origin);
        await page.getByText('This server is running.').waitFor();
        await page.locator('.step.ok').nth(3).waitFor();
        assert.equal(await page.locator('.step.ok').count(), 4);
    });

    test('has lines to copy that work as they stand', async () => {
        const reader = await someone();
        const { page } = await someone();
        await enter(reader, server.origin, 'lobby');
        await page.goto(server.origin);
        const line = await page.locator('.snippet code').first().innerText();
        const { stdout } = await run('sh', ['-c', `${line} -sS`]);
        assert.equal('error' in (JSON.parse(stdout) as object), false);
        await reader.page.locator('.message .text', { hasText: /^hello$/ }).waitFor();
    });

    test('says which step fails when the WebSocket does', async () => {
        const { page } = await someone();
        await page.routeWebSocket(/connection\/websocket/, (socket) => {
            void socket.close({ code: 1006 as never }).catch(() => undefined);
        });
        await page.goto(server.origin);
        await page.locator('.step.failed', { hasText: 'WebSocket' }).waitFor({ timeout: 15_000 });
        await page.locator('.step.skipped', { hasText: 'Publish and receive' }).waitFor();
    });
});

describe('the live feed', () => {
    test('moves by itself', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        const value = page.locator('.board tbody tr').first().locator('.value');
        await value.waitFor({ timeout: 15_000 });
        const first = await value.innerText();
        await page.waitForFunction(
            (old) => document.querySelector('.board tbody tr .value')?.textContent !== old,
            first,
            { timeout: 15_000 },
        );
        await page.locator('.trend path[d*="L"]').first().waitFor({ state: 'attached' });
    });

    test('shows at once what the curl line on it publishes', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('[data-offset="feed:log"]').waitFor();
        const line = (await page.locator('.snippet code').innerText()).replace(
            'hello from curl',
            'this very line',
        );
        await run('sh', ['-c', `${line} -sS`]);
        await page.locator('.line-text', { hasText: 'this very line' }).waitFor();
    });

    test('shows any JSON in the log, as text', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('[data-offset="feed:log"]').waitFor();
        await server.publish('feed:log', { html: '<img src=x onerror=alert(1)>' });
        await server.publish('feed:prices', { symbol: '<b>x</b>', price: 1 });
        await page.locator('.line-text', { hasText: '{"html":"<img src=x onerror=alert(1)>"}' }).waitFor();
        await page.locator('.board th', { hasText: '<b>x</b>' }).waitFor();
    });

    test('stands still while paused, and says how much has come meanwhile', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('[data-offset="feed:log"]').waitFor();
        await page.getByRole('button', { name: 'Pause' }).click();
        await server.publish('feed:log', { text: 'while paused' });
        await page.getByText(/Paused: \d+ updates? since/).waitFor();
        await page.waitForFunction(() => !document.body.textContent?.includes('Paused: 0 '));
        assert.equal(await page.getByText('while paused').count(), 0);
        await page.getByRole('button', { name: 'Resume' }).click();
        await page.getByText('while paused').waitFor();
    });

    test('gets back what was published while it was cut off, from offset to offset', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('[data-offset="feed:log"]').waitFor();
        await page.waitForFunction(() => document.querySelector('.banner') === null);
        await page.getByRole('button', { name: 'Cut me off' }).click();
        await page
            .getByText(/Cut off on purpose\. Back in \d+ s/)
            .first()
            .waitFor();
        await server.publish('feed:log', { text: 'while away' });
        const entry = page.locator('.recoveries li', { hasText: 'feed:log' });
        await entry.waitFor({ timeout: 20_000 });
        const [, count, from, to] =
            /(\d+) publications? recovered, offset (\d+) → (\d+)/.exec(await entry.innerText()) ?? [];
        assert.ok(Number(count) >= 1);
        assert.equal(Number(to) - Number(from), Number(count));
        assert.equal(await page.getByText('while away').count(), 1);
    });

    test('stays calm under a thousand updates a second, and misses none', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('[data-offset="feed:log"]').waitFor();
        await page.getByRole('button', { name: 'Publish 1,000/s' }).click();
        await page.getByRole('button', { name: 'Publishing…' }).waitFor();
        await page.getByRole('button', { name: 'Publish 1,000/s' }).waitFor({ timeout: 20_000 });
        const value = (name: string): Promise<string> => page.locator(`[data-burst="${name}"]`).innerText();
        assert.equal(await value('published'), '5,000');
        assert.equal(await value('received'), '5,000');
        assert.ok(Number.parseFloat(await value('page busy')) < 50, await value('page busy'));
    });

    test('watches another channel, and says why where that is refused', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/feed`);
        await page.locator('#watch-channel').fill('feed:mine');
        await page.locator('#watch-channel').press('Enter');
        await page.locator('[data-offset="feed:mine"]').waitFor();
        await server.publish('feed:mine', { any: 'thing' });
        await page.locator('.line-text', { hasText: '{"any":"thing"}' }).waitFor();
        await page.locator('#watch-channel').fill('nosuchnamespace:x');
        await page.locator('#watch-channel').press('Enter');
        await page.locator('.channel .problem', { hasText: 'cannot be subscribed' }).waitFor();
    });
});

describe('every page', () => {
    const PATHS = ['/', '/chat', '/feed', '/admin', '/admin#/channels', '/admin#/connections', '/admin#/tools'];
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

    async function settled(page: Page, path: string): Promise<void> {
        await page.goto(server.origin + path);
        await page
            .locator(
                {
                    '/': '.step.ok >> nth=3',
                    '/chat': '.log[aria-busy="false"]',
                    '/feed': '.board td',
                    '/admin': '[data-series="messagesOut"]:not(:text("–"))',
                    '/admin#/channels': '#channels-title ~ .pager',
                    '/admin#/connections': '#connections-title ~ .pager',
                    '/admin#/tools': '#token-field',
                }[path]!,
            )
            .first()
            .waitFor({ timeout: 15_000 });
    }

    async function objections(page: Page): Promise<string[]> {
        await page.evaluate(await readFile(axe, 'utf8'));
        return page.evaluate(async () => {
            const { axe: tool } = globalThis as unknown as {
                axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
            };
            return (await tool.run()).violations.map(
                (v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`,
            );
        });
    }

    for (const path of PATHS) {
        test(`${path} does not scroll sideways on a screen of 320 pixels`, async () => {
            const { page } = await someone({ viewport: { width: 320, height: 568 } });
            await settled(page, path);
            const [content, width] = await page.evaluate(() => [
                document.documentElement.scrollWidth,
                innerWidth,
            ]);
            assert.equal(content, width);
        });

        test(`${path} has targets of 44 pixels for fingers`, async () => {
            const { page } = await someone({
                viewport: { width: 390, height: 800 },
                hasTouch: true,
                isMobile: true,
            });
            await settled(page, path);
            const small = await page.locator('button:visible, nav a:visible, select:visible').evaluateAll((all) =>
                all
                    .map((element) => ({
                        box: element.getBoundingClientRect(),
                        text: element.textContent || element.ariaLabel,
                    }))
                    .filter(({ box }) => box.height < 43.5 || box.width < 43.5)
                    .map(({ box, text }) => `${text}: ${box.width} x ${box.height}`),
            );
            assert.deepEqual(small, []);
        });

        for (const colorScheme of ['light', 'dark'] as const) {
            test(`${path} has nothing axe objects to, ${colorScheme}`, async () => {
                const { page } = await someone({ colorScheme, reducedMotion: 'reduce' });
                await settled(page, path);
                assert.deepEqual(await objections(page), []);
            });
        }

        test(`${path} comes with the strict policy and is checked again on each visit`, async () => {
            const answer = await fetch(server.origin + path);
            const policy = answer.headers.get('content-security-policy') ?? '';
            assert.match(policy, /default-src 'none'/);
            assert.match(policy, /frame-ancestors 'none'/);
            assert.doesNotMatch(policy, /unsafe/);
            assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
            assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
            assert.match(answer.headers.get('cache-control') ?? '', /no-cache/);
            const tag = answer.headers.get('etag') ?? '';
            const again = await fetch(server.origin + path, { headers: { 'if-none-match': tag } });
            assert.equal(again.status, 304);
        });
    }

    for (const colorScheme of ['light', 'dark'] as const) {
        test(`no state of the chat has anything axe objects to, at 320 pixels, ${colorScheme}`, async () => {
            const { page } = await someone({
                colorScheme,
                reducedMotion: 'reduce',
                viewport: { width: 320, height: 640 },
            });
            const room = `axe-${colorScheme}`;
            await server.publish(`chat:${room}`, { id: 'one', name: 'bot', text: 'hey @Ann' });
            await server.publish(`chat:${room}`, { id: 'two', name: 'bot', text: 'gone' });
            await server.publish(`chat:${room}`, { kind: 'edit', of: 'one', name: 'bot', text: 'hey @Ann, changed' });
            await server.publish(`chat:${room}`, { kind: 'react', of: 'one', name: 'Ann', text: '🎉' });
            await server.publish(`chat:${room}`, { kind: 'delete', of: 'two', name: 'bot' });
            await page.goto(`${server.origin}/chat#/room/${room}/m/1`);
            await page.locator('.message.target.mention .edited').waitFor();
            assert.deepEqual(await objections(page), [], 'messages');
            const field = page.locator('.composer textarea');
            await field.fill('mine');
            await field.press('Enter');
            await page.locator('.message.own.settled').waitFor();
            await field.press('ArrowUp');
            await page.locator('.message.editing').waitFor();
            assert.deepEqual(await objections(page), [], 'changing');
            await field.press('Escape');
            await field.pressSequentially(':ro');
            await page.locator('.emoji-list li').first().waitFor();
            assert.deepEqual(await objections(page), [], 'emoji');
            await field.fill('');
            await page.getByRole('button', { name: 'Search in this room' }).click();
            await page.locator('.room-search input').fill('hey');
            await page.locator('.found li').first().waitFor();
            assert.deepEqual(await objections(page), [], 'search');
            await page.getByRole('button', { name: 'Close the search' }).click();
            await page.keyboard.press('Control+k');
            await page.locator('dialog[open]').waitFor();
            assert.deepEqual(await objections(page), [], 'switcher');
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
        });

        test(`no state of the admin page has anything axe objects to, at 320 pixels, ${colorScheme}`, async () => {
            const { page } = await someone({
                colorScheme,
                reducedMotion: 'reduce',
                viewport: { width: 320, height: 640 },
            });
            await server.publish('chat:axe-admin', { text: 'x' });
            await page.goto(`${server.origin}/admin#/channels/chat%3Aaxe-admin`);
            await page.locator('.stream li').first().waitFor();
            await page.getByRole('button', { name: 'Watch live' }).click();
            await page.getByText('Watching.').waitFor();
            await server.publish('chat:axe-admin', { text: 'y' });
            await page.getByText('1 publication so far').waitFor();
            assert.deepEqual(await objections(page), [], 'channel');
            await page.goto(`${server.origin}/admin#/connections`);
            await page.locator('.grid tbody a').first().click();
            await page.locator('.facts-list').waitFor();
            await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
            assert.deepEqual(await objections(page), [], 'connection');
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
            await page.goto(`${server.origin}/admin#/tools`);
            const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
            await page.locator('#token-field').fill(`${part({ alg: 'none' })}.${part({ exp: 1 })}.x`);
            await page.locator('.findings .problem').first().waitFor();
            assert.deepEqual(await objections(page), [], 'tools');
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
        });
    }

    test('the admin page is walked through by the keyboard alone', async () => {
        const { page } = await someone();
        await page.goto(`${server.origin}/admin`);
        await page.locator('main.admin[aria-busy="false"]').waitFor();
        const tabTo = async (name: string): Promise<void> => {
            for (let presses = 0; presses < 60; presses++) {
                await page.keyboard.press('Tab');
                const here = await page.evaluate(() => {
                    const element = document.activeElement;
                    return element?.getAttribute('aria-label') ?? (element as HTMLElement | null)?.innerText ?? '';
                });
                if (here.trim() === name) {
                    return;
                }
            }
            assert.fail(`the Tab key never came to “${name}”`);
        };
        await tabTo('Channels');
        await page.keyboard.press('Enter');
        await page.locator('#find-channels').waitFor();
        await tabTo('Connections');
        await page.keyboard.press('Enter');
        await page.locator('#find-connections').waitFor();
        await tabTo('Tools');
        await page.keyboard.press('Enter');
        await tabTo('Publish');
        await page.keyboard.press('Enter');
        await page.getByText('Name a channel.').waitFor();
    });

    test('a chosen theme is kept, whatever the system says', async () => {
        const { page } = await someone({ colorScheme: 'light' });
        await page.goto(`${server.origin}/feed`);
        const background = (): Promise<string> =>
            page.evaluate(() => getComputedStyle(document.body.parentElement!).backgroundColor);
        const light = await background();
        await page.getByRole('button', { name: /^Theme/ }).click();
        await page.getByRole('button', { name: /^Theme/ }).click();
        const dark = await background();
        assert.notEqual(dark, light);
        await page.goto(`${server.origin}/chat`);
        assert.equal(await background(), dark);
    });
});
