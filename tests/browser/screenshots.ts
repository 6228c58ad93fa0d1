/* screenshots.ts - every page, light and dark, desktop and phone, into build/screenshots/. For people to look at. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { enter, person, repository, say, startBrowser, startLine, startServer } from './harness.ts';

const folder = path.join(repository, 'build/screenshots');
const SIZES = {
    desktop: { width: 1280, height: 800 },
    tablet: { width: 820, height: 1000 },
    phone: { width: 390, height: 844 },
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const server = await startServer();
const browser = await startBrowser();
await mkdir(folder, { recursive: true });
try {
    const ada = await person(browser, 'Ada');
    const grace = await person(browser, 'Grace Hopper');
    await enter(ada, server.origin, 'lobby');
    await enter(grace, server.origin, 'lobby');
    await say(ada, 'Morning! The new build is out: **two times** faster, see https://example.org/notes');
    await say(ada, 'Delivery is at most one system call per connection and turn.');
    await say(grace, 'Nice. How does it look like from a page?');
    await say(
        ada,
        'Like this:\n```\nconst lobby = client.newSubscription("chat:lobby");\nlobby.subscribe();\n```',
    );
    await say(
        grace,
        '> at most one system call\n\nThat is the part I like. Things to try next:\n- cut the line\n- *watch* it recover\n- `?` for the keys',
    );
    await server.publish('chat:lobby', { name: 'deploy-bot', text: 'Deployed `4f2c91a` to production.' });
    for (const room of ['design', 'ops', 'random']) {
        await server.publish(`chat:${room}`, { name: 'bot', text: 'first' });
    }

    for (const [size, viewport] of Object.entries(SIZES)) {
        for (const colorScheme of ['light', 'dark'] as const) {
            const options = {
                viewport,
                colorScheme,
                deviceScaleFactor: size === 'phone' ? 2 : 1,
                hasTouch: size === 'phone',
            };
            const linus = await person(browser, 'Linus', options);
            const shoot = (name: string): Promise<Buffer> =>
                linus.page.screenshot({ path: path.join(folder, `${name}-${size}-${colorScheme}.png`) });
            await linus.page.goto(server.origin);
            await linus.page.locator('.step.ok').nth(3).waitFor();
            await linus.page.screenshot({
                path: path.join(folder, `home-${size}-${colorScheme}.png`),
                fullPage: true,
            });

            for (const room of ['design', 'ops', 'random', 'lobby']) {
                await enter(linus, server.origin, room);
            }
            await server.publish('chat:ops', { name: 'bot', text: 'disk is filling up' });
            await server.publish('chat:ops', { name: 'bot', text: 'disk is fine again' });
            await grace.page.locator('.composer textarea').pressSequentially('I ');
            await linus.page.locator('.badge').first().waitFor({ state: 'attached' });
            await linus.page.locator('.typing .dots').waitFor();
            await shoot('chat');
            await grace.page.locator('.composer textarea').fill('');
            if (size === 'phone') {
                await linus.page.locator('.room-header .for-narrow').click();
                await pause(400);
                await shoot('chat-rooms');
                await linus.page.keyboard.press('Escape');
                await linus.page.locator('.people-button').click();
                await pause(400);
                await shoot('chat-people');
                await linus.page.keyboard.press('Escape');
            }
            await linus.page.keyboard.press('Control+k');
            await linus.page.locator('dialog input').fill('de');
            await shoot('chat-switcher');
            await linus.page.keyboard.press('Escape');
            if (size === 'desktop') {
                await linus.page.locator('dialog').waitFor({ state: 'detached' });
                await linus.page.locator('.log').focus();
                await linus.page.locator('.log:focus').waitFor();
                await linus.page.keyboard.press('?');
                await shoot('chat-help');
                await linus.page.keyboard.press('Escape');
            }
            const line = await startLine(server);
            await enter(linus, line.origin, 'lobby');
            line.cut();
            await linus.page.locator('.banner.warn').waitFor();
            await say(linus, 'is anybody there?');
            await pause(3_000);
            await shoot('chat-offline');
            await say(ada, 'Did you hear that?');
            await say(ada, 'Linus has gone quiet.');
            line.mend();
            await linus.page.locator('.banner.ok').waitFor({ timeout: 20_000 });
            await shoot('chat-back');
            await line.close();

            await linus.page.goto(`${server.origin}/feed`);
            await pause(6_000);
            await linus.page.screenshot({
                path: path.join(folder, `feed-${size}-${colorScheme}.png`),
                fullPage: true,
            });
            await linus.page.locator('.cut').click();
            await pause(1_500);
            await shoot('feed-cut');
            await linus.page.locator('.recoveries li').first().waitFor({ timeout: 20_000 });
            await linus.page.locator('.recovery').scrollIntoViewIfNeeded();
            await shoot('feed-back');
            await linus.leave();

            const operator = await person(browser, 'Operator', options);
            await operator.page.goto(`${server.origin}/admin`);
            await pause(8_000);
            for (const section of ['overview', 'channels', 'channels/chat%3Alobby', 'connections', 'tools']) {
                await operator.page.goto(`${server.origin}/admin#/${section}`);
                await pause(1_000);
                await operator.page.screenshot({
                    path: path.join(folder, `admin-${section.replace(/\W+/g, '-')}-${size}-${colorScheme}.png`),
                    fullPage: true,
                });
            }
            await operator.leave();

            const nobody = await person(browser, '', options);
            await nobody.page.goto(`${server.origin}/chat`);
            await nobody.page.locator('dialog[open]').waitFor();
            await nobody.page.screenshot({ path: path.join(folder, `chat-name-${size}-${colorScheme}.png`) });
            await nobody.leave();
        }
    }
} finally {
    await browser.close();
    await server.stop();
}
