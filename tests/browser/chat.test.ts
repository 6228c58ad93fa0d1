/* chat.test.ts - the chat page, as people use it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import {
    count,
    enter,
    person,
    type Person,
    ready,
    say,
    type Server,
    startBrowser,
    startLine,
    startServer,
    texts,
} from './harness.ts';

let server: Server;
let browser: Browser;
let people: Person[] = [];
let roomNumber = 0;

before(async () => {
    server = await startServer();
    browser = await startBrowser();
});

after(async () => {
    await browser.close();
    await server.stop();
});

/* Whatever a test did, the browser had nothing to object to: no violation of the policy, no error, no dialog. */
afterEach(async () => {
    const complaints = people.flatMap((one) => one.complaints);
    await Promise.all(people.map((one) => one.leave()));
    people = [];
    assert.deepEqual(complaints, []);
});

async function someone(name: string, options?: Parameters<typeof person>[2]): Promise<Person> {
    const one = await person(browser, name, options);
    people.push(one);
    return one;
}

const newRoom = (): string => `room-${++roomNumber}`;

async function sees(who: Person, text: string): Promise<void> {
    await who.page.locator('.message .text', { hasText: text }).first().waitFor();
}

async function publishMany(room: string, from: number, to: number): Promise<void> {
    for (let number = from; number <= to; number++) {
        await server.publish(`chat:${room}`, { name: 'bot', text: `line ${number}` });
    }
}

describe('talking', () => {
    test('two people in a room see what the other says, in order and once', async () => {
        const room = newRoom();
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, server.origin, room);
        await enter(bob, server.origin, room);
        await say(ann, 'hello Bob');
        await sees(bob, 'hello Bob');
        await say(bob, 'hello Ann');
        await sees(ann, 'hello Ann');
        assert.deepEqual(await texts(ann), ['hello Bob', 'hello Ann']);
        assert.deepEqual(await texts(bob), ['hello Bob', 'hello Ann']);
        await ann.page.locator('.message.settled').nth(1).waitFor();
        assert.equal(await ann.page.locator('.delivery').count(), 0);
    });

    test('a message in one line of curl appears, and so does any JSON', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        await server.publish(`chat:${room}`, { text: 'from curl' });
        await server.publish(`chat:${room}`, [1, { a: null }]);
        await sees(ann, 'from curl');
        await sees(ann, '"a": null');
    });

    test('Enter sends, Shift+Enter makes a line, and the field has the focus again', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, newRoom());
        const field = ann.page.locator('.composer textarea');
        await field.press('a');
        await field.press('Shift+Enter');
        await field.press('b');
        assert.equal(await field.inputValue(), 'a\nb');
        await field.press('Enter');
        await sees(ann, 'b');
        assert.equal(await field.inputValue(), '');
        assert.equal(await field.evaluate((element) => element === document.activeElement), true);
    });

    test('who types is named to the others, and not after the message came', async () => {
        const room = newRoom();
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, server.origin, room);
        await enter(bob, server.origin, room);
        await bob.page.locator('.composer textarea').pressSequentially('hm');
        await ann.page.getByText('Bob is typing…').waitFor();
        assert.equal(await bob.page.getByText('is typing…').count(), 0);
        await bob.page.locator('.composer textarea').press('Enter');
        await sees(ann, 'hm');
        await ann.page.getByText('Bob is typing…').waitFor({ state: 'detached' });
    });

    test('without a name the page asks for one, and keeps it', async () => {
        const room = newRoom();
        const nobody = await someone('');
        await nobody.page.goto(`${server.origin}/chat#/room/${room}`);
        await nobody.page.locator('dialog input').fill('  Zoë\u202e  ');
        await nobody.page.locator('dialog button[type=submit]').click();
        await nobody.page.locator('dialog').waitFor({ state: 'detached' });
        await say(nobody, 'it is me');
        await nobody.page.locator('.message.settled .author', { hasText: /^Zoë$/ }).waitFor();
        await nobody.page.reload();
        await sees(nobody, 'it is me');
        assert.equal(await nobody.page.locator('dialog').count(), 0);
    });
});

describe('who is here', () => {
    test('people are counted and named as they come and go', async () => {
        const room = newRoom();
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        const countOf = (one: Person, number: number): Promise<void> =>
            one.page.locator(`.people-count[data-count="${number}"]`).waitFor();
        await enter(ann, server.origin, room);
        await countOf(ann, 1);
        await enter(bob, server.origin, room);
        await countOf(ann, 2);
        await countOf(bob, 2);
        await ann.page.locator('.people li', { hasText: 'Bob' }).waitFor();
        await bob.page.locator('.people li', { hasText: 'Ann' }).waitFor();
        await bob.leave();
        await countOf(ann, 1);
        assert.equal(await ann.page.locator('.people li', { hasText: 'Bob' }).count(), 0);
    });
});

describe('history', () => {
    test('a newcomer sees what was said before', async () => {
        const room = newRoom();
        await publishMany(room, 1, 3);
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        assert.deepEqual(await texts(ann), ['line 1', 'line 2', 'line 3']);
        await ann.page.getByText('as far back as the server remembers').waitFor();
    });

    test('scrolling back loads a page and the line being read stays where it is', async () => {
        const room = newRoom();
        await publishMany(room, 1, 120);
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        assert.equal((await texts(ann))[0], 'line 71');
        const line = ann.page.locator('.message .text', { hasText: /^line 75$/ });
        const log = ann.page.locator('.log');
        const topOf = async (): Promise<number> =>
            (await line.boundingBox())!.y - (await log.boundingBox())!.y;
        await log.evaluate((element) => {
            element.scrollTop = 200;
        });
        const before = await topOf();
        await ann.page.locator('.message .text', { hasText: /^line 21$/ }).waitFor({ state: 'attached' });
        assert.ok(Math.abs((await topOf()) - before) < 2, `${before} then ${await topOf()}`);
        await log.evaluate((element) => {
            element.scrollTop = 0;
        });
        await ann.page.locator('.message .text', { hasText: /^line 1$/ }).waitFor({ state: 'attached' });
        const all = await texts(ann);
        assert.equal(new Set(all).size, all.length);
    });

    test('however much is said, the document stays small, and the latest is one click away', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        await publishMany(room, 1, 400);
        await sees(ann, 'line 400');
        assert.equal(await ann.page.locator('.message').count(), 300);
        await ann.page.locator('.log').evaluate((element) => {
            element.scrollTop = 0;
        });
        await ann.page.locator('.message .text', { hasText: /^line 1$/ }).waitFor({ state: 'attached' });
        assert.ok((await ann.page.locator('.message').count()) <= 300);
        await ann.page.getByRole('button', { name: 'Jump to latest' }).click();
        await ann.page.locator('.message .text', { hasText: /^line 400$/ }).waitFor();
    });
});

describe('a room where much is said', () => {
    test('five thousand messages scroll without a long pause, and the document stays small', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        for (let from = 1; from <= 5_000; from += 500) {
            const commands = Array.from({ length: 500 }, (_, index) => ({
                publish: { channel: `chat:${room}`, data: { name: `bot ${index % 7}`, text: `line **${from + index}**` } },
            }));
            const answer = await fetch(`${server.origin}/api/batch`, { method: 'POST', body: JSON.stringify({ commands }) });
            assert.equal(answer.status, 200);
        }
        await ann.page.locator('.message .text', { hasText: /^line 5000$/ }).waitFor();
        const longest = await ann.page.locator('.log').evaluate(
            (log) =>
                new Promise<number>((resolve) => {
                    let [last, worst, steps] = [performance.now(), 0, 0];
                    const step = (now: number): void => {
                        worst = steps > 1 ? Math.max(worst, now - last) : 0;
                        last = now;
                        log.scrollTop -= 400;
                        steps += 1;
                        if (steps < 120) {
                            requestAnimationFrame(step);
                        } else {
                            resolve(worst);
                        }
                    };
                    requestAnimationFrame(step);
                }),
        );
        assert.ok(longest < 400, `${longest} ms`);
        assert.ok((await ann.page.locator('.message').count()) <= 300);
    });
});

describe('a line that breaks', () => {
    test('what was missed comes exactly once, and the banner says how many', async () => {
        const room = newRoom();
        const line = await startLine(server);
        const ann = await someone('Ann');
        await enter(ann, line.origin, room);
        await server.publish(`chat:${room}`, { name: 'bot', text: 'before' });
        await sees(ann, 'before');
        line.cut();
        await ann.page
            .locator('.banner.warn', { hasText: /Offline\. Next try in \d+ s|Trying to connect/ })
            .waitFor();
        await publishMany(room, 1, 3);
        line.mend();
        await ann.page.getByText('Back online: 3 messages recovered.').first().waitFor({ timeout: 20_000 });
        await sees(ann, 'line 3');
        assert.deepEqual(await texts(ann), ['before', 'line 1', 'line 2', 'line 3']);
        await server.publish(`chat:${room}`, { name: 'bot', text: 'after' });
        await sees(ann, 'after');
        await line.close();
    });

    test('a message typed while offline waits, and is sent once when the line is back', async () => {
        const room = newRoom();
        const line = await startLine(server);
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, line.origin, room);
        await enter(bob, server.origin, room);
        line.cut();
        await ann.page.locator('.banner.warn').waitFor();
        await say(ann, 'into the dark');
        await ann.page.getByText('Waiting for the connection…').waitFor();
        line.mend();
        await sees(bob, 'into the dark');
        await ann.page
            .locator('.message.settled .text', { hasText: 'into the dark' })
            .waitFor({ timeout: 20_000 });
        assert.equal(count(await texts(ann), 'into the dark'), 1);
        assert.equal(count(await texts(bob), 'into the dark'), 1);
        await line.close();
    });

    test('a message that finds no connection for long fails, and can be sent again or deleted', async () => {
        const room = newRoom();
        const line = await startLine(server);
        const ann = await someone('Ann');
        await ann.page.clock.install();
        await enter(ann, line.origin, room);
        line.cut();
        await ann.page.locator('.banner.warn').waitFor();
        await say(ann, 'one');
        await say(ann, 'two');
        await ann.page.clock.runFor(31_000);
        await ann.page.locator('.message.failed').nth(1).waitFor();
        await ann.page
            .locator('.message.failed', { hasText: 'one' })
            .getByRole('button', { name: 'Delete' })
            .click();
        line.mend();
        await ann.page.clock.runFor(25_000);
        await ann.page.locator('.banner.warn').waitFor({ state: 'detached' });
        await ann.page.locator('.message.failed').getByRole('button', { name: 'Retry' }).click();
        await ann.page.locator('.message.settled .text', { hasText: 'two' }).waitFor();
        assert.deepEqual(await texts(ann), ['two']);
        await line.close();
    });
});

describe('a server that forgot', () => {
    test('a restart that lost the history is said so, and the room goes on', async () => {
        const room = newRoom();
        const first = await startServer();
        const ann = await someone('Ann');
        await enter(ann, first.origin, room);
        await say(ann, 'before the restart');
        await ann.page.locator('.message.settled').waitFor();
        await first.stop();
        await ann.page.locator('.banner.warn').waitFor();
        await say(ann, 'during the restart');
        const second = await startServer({ port: first.port });
        await ann.page.locator('.banner-text', { hasText: 'history reloaded' }).waitFor({ timeout: 20_000 });
        await ann.page.locator('.message.settled .text', { hasText: 'during the restart' }).waitFor();
        assert.deepEqual(await texts(ann), ['during the restart']);
        await say(ann, 'after the restart');
        await ann.page.locator('.message.settled .text', { hasText: 'after the restart' }).waitFor();
        await second.stop();
    });
});

describe('rooms', () => {
    test('what was said elsewhere is counted, in the list and in the title, and survives a reload', async () => {
        const [here, there] = [newRoom(), newRoom()];
        const ann = await someone('Ann');
        await enter(ann, server.origin, there);
        await enter(ann, server.origin, here);
        await publishMany(there, 1, 2);
        const badge = ann.page.locator('.rooms li', { hasText: there }).locator('.badge');
        await badge.filter({ hasText: /^2$/ }).waitFor();
        assert.match(await ann.page.title(), /^\(2\) /);
        await ann.page.reload();
        await badge.filter({ hasText: /^2$/ }).waitFor();
        await publishMany(there, 3, 3);
        await badge.filter({ hasText: /^3$/ }).waitFor();

        await ann.page.locator('.rooms a', { hasText: there }).click();
        await ann.page.locator('.new-line').waitFor();
        await sees(ann, 'line 3');
        await badge.waitFor({ state: 'detached' });
        assert.doesNotMatch(await ann.page.title(), /^\(/);
        await ann.page.reload();
        await sees(ann, 'line 3');
        assert.equal(await badge.count(), 0);
        assert.equal(await ann.page.locator('.new-line').count(), 0);
    });

    test('a room can be joined by its name, and a name that cannot be is explained', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, newRoom());
        const field = ann.page.locator('#join-room');
        await field.fill('no/slash');
        await field.press('Enter');
        await ann.page.getByText('A room name has letters').waitFor();
        await field.fill('Tea Room');
        await field.press('Enter');
        await ann.page.locator('h1', { hasText: 'tea-room' }).waitFor();
        assert.match(ann.page.url(), /#\/room\/tea-room$/);
        await ann.page.goto(`${server.origin}/chat#/room/%3Cimg%20src=x%3E`);
        await ann.page.getByText('A room name has letters').first().waitFor();
    });

    test('the keyboard goes everywhere: switcher, neighbours, help, Esc', async () => {
        const [first, second] = [newRoom(), newRoom()];
        const ann = await someone('Ann');
        const isIn = (room: string): Promise<void> => ann.page.locator('h1', { hasText: room }).waitFor();
        await enter(ann, server.origin, first);
        await enter(ann, server.origin, second);
        await ann.page.keyboard.press('Alt+ArrowUp');
        await isIn(first);
        await ann.page.keyboard.press('Alt+ArrowDown');
        await isIn(second);
        await ann.page.keyboard.press('Control+k');
        await ann.page.locator('dialog input').fill(first);
        await ann.page.keyboard.press('Enter');
        await isIn(first);
        await ann.page.locator('.log').focus();
        await ann.page.keyboard.press('?');
        await ann.page.locator('dialog', { hasText: 'new line' }).waitFor();
        await ann.page.keyboard.press('Escape');
        await ann.page.locator('dialog').waitFor({ state: 'detached' });
    });

    test('a room can be left, and does not come back by itself', async () => {
        const [first, second] = [newRoom(), newRoom()];
        const ann = await someone('Ann');
        await enter(ann, server.origin, first);
        await enter(ann, server.origin, second);
        await ann.page.getByRole('button', { name: `Leave ${second}` }).click();
        await ann.page.locator('h1', { hasText: first }).waitFor();
        await ann.page.reload();
        await ann.page.locator('.rooms a', { hasText: first }).waitFor();
        assert.equal(await ann.page.locator('.rooms a', { hasText: second }).count(), 0);
    });
});

describe('after a message was said', () => {
    test('its author changes it with ↑, and deletes it; others see both, also later', async () => {
        const room = newRoom();
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, server.origin, room);
        await enter(bob, server.origin, room);
        await say(ann, 'teh first');
        await ann.page.locator('.message.settled').waitFor();
        const field = ann.page.locator('.composer textarea');
        await field.press('ArrowUp');
        await ann.page.locator('.message.editing').waitFor();
        assert.equal(await field.inputValue(), 'teh first');
        await field.fill('the first');
        await field.press('Enter');
        await sees(bob, 'the first');
        await bob.page.locator('.edited').waitFor();
        assert.deepEqual(await texts(bob), ['the first']);
        await field.press('ArrowUp');
        await field.press('Escape');
        assert.equal(await field.inputValue(), '');
        await ann.page.locator('.message').hover();
        await ann.page.getByRole('button', { name: 'Delete' }).click();
        await ann.page.getByRole('button', { name: 'Really delete?' }).click();
        await sees(bob, 'This message was deleted.');
        const carl = await someone('Carl');
        await enter(carl, server.origin, room);
        assert.deepEqual(await texts(carl), ['This message was deleted.']);
    });

    test('others react, once each, and take it back; none of it counts as unread', async () => {
        const [room, elsewhere] = [newRoom(), newRoom()];
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, server.origin, room);
        await enter(bob, server.origin, room);
        await say(ann, 'good news');
        await sees(bob, 'good news');
        await ann.page.goto(`${server.origin}/chat#/room/${elsewhere}`);
        await ann.page.locator('h1', { hasText: elsewhere }).waitFor();
        await bob.page.locator('.message').hover();
        await bob.page.getByRole('button', { name: 'React with 👍' }).click();
        const mine = bob.page.locator('.reactions button[aria-pressed="true"]');
        await mine.filter({ hasText: '1' }).waitFor();
        assert.equal(await ann.page.locator('.badge').count(), 0);
        await ann.page.goto(`${server.origin}/chat#/room/${room}`);
        await ann.page.getByRole('button', { name: '👍 1 from Bob' }).click();
        await bob.page.getByRole('button', { name: '👍 2 from Bob, Ann' }).waitFor();
        await mine.click();
        await ann.page.getByRole('button', { name: '👍 1 from Ann' }).waitFor();
    });

    test('a link leads to it, however far back it is', async () => {
        const room = newRoom();
        await publishMany(room, 1, 200);
        const ann = await someone('Ann');
        await ann.page.goto(`${server.origin}/chat#/room/${room}/m/20`);
        const wanted = ann.page.locator('.message.target', { hasText: 'line 20' });
        await wanted.waitFor();
        await ready(() => wanted.evaluate((row) => {
            const box = row.getBoundingClientRect();
            return box.top > 0 && box.bottom < innerHeight;
        }), 'the message is on the screen');
        await ann.page.goto(`${server.origin}/chat#/room/${room}/m/999`);
        await ann.page.getByText('not in the history of this room any more').waitFor();
    });

    test('a search finds it among those loaded, and goes there', async () => {
        const room = newRoom();
        await publishMany(room, 1, 45);
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        await ann.page.getByRole('button', { name: 'Search in this room' }).click();
        await ann.page.locator('.room-search input').fill('LINE 31');
        await ann.page.getByText('1 message found').waitFor();
        await ann.page.locator('.found a').click();
        await ann.page.locator('.message.target', { hasText: 'line 31' }).waitFor();
        await ann.page.locator('.room-search input').press('Escape');
        await ann.page.locator('.room-search').waitFor({ state: 'detached' });
    });

    test('whoever is called by name sees it marked', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        await server.publish(`chat:${room}`, { name: 'bot', text: 'hey @ann, and @annabel' });
        await server.publish(`chat:${room}`, { name: 'bot', text: 'only @annabel' });
        await sees(ann, 'only @annabel');
        assert.equal(await ann.page.locator('.message.mention').count(), 1);
    });

    test('whoever looks away is marked so, and not when back', async () => {
        const room = newRoom();
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await bob.page.clock.install();
        await enter(ann, server.origin, room);
        await enter(bob, server.origin, room);
        await ann.page.locator('.people li', { hasText: 'Bob' }).waitFor();
        await bob.page.clock.fastForward(5 * 60_000 + 1_000);
        await ann.page.locator('.people li.is-away', { hasText: 'Bob' }).waitFor();
        await bob.page.mouse.move(5, 5);
        await ann.page.locator('.people li.is-away').waitFor({ state: 'detached' });
    });

    test('an emoji is completed by the keyboard', async () => {
        const ann = await someone('Ann');
        await enter(ann, server.origin, newRoom());
        const field = ann.page.locator('.composer textarea');
        await field.pressSequentially('go :roc');
        await ann.page.locator('.emoji-list li[aria-selected="true"]', { hasText: 'rocket' }).waitFor();
        await field.press('Tab');
        assert.equal(await field.inputValue(), 'go 🚀 ');
        await field.pressSequentially(':fire:');
        await field.press('Enter');
        await sees(ann, 'go 🚀 🔥');
    });

    test('what waits for the connection survives a reload, and arrives once', async () => {
        const room = newRoom();
        const line = await startLine(server);
        const [ann, bob] = [await someone('Ann'), await someone('Bob')];
        await enter(ann, line.origin, room);
        await enter(bob, server.origin, room);
        line.cut();
        await ann.page.locator('.banner.warn').waitFor();
        await say(ann, 'kept over a reload');
        await ann.page.getByText('Waiting for the connection…').waitFor();
        line.mend();
        await ann.page.reload();
        await sees(bob, 'kept over a reload');
        await ann.page.locator('.message.settled .text', { hasText: 'kept over a reload' }).waitFor();
        await ann.page.reload();
        await ann.page.locator('.message.settled .text', { hasText: 'kept over a reload' }).waitFor();
        assert.equal(count(await texts(ann), 'kept over a reload'), 1);
        assert.equal(count(await texts(bob), 'kept over a reload'), 1);
        await line.close();
    });
});

describe('what strangers write', () => {
    const CORPUS = [
        '<script>document.title="hacked"</script>',
        '<img src=x onerror=alert(1)>',
        '<svg/onload=alert(1)>',
        '<iframe src="javascript:alert(1)"></iframe>',
        '<a href="javascript:alert(1)">x</a>',
        '[x](javascript:alert(1))',
        '![x](javascript:alert(1))',
        '[x](data:text/html,<script>alert(1)</script>)',
        '<style>*{display:none}</style>',
        '<math><mi xlink:href="javascript:alert(1)">x</mi></math>',
        '<details open ontoggle=alert(1)>x</details>',
        '</ol></div><h1>broken out</h1>',
        '&lt;b&gt;',
        '\u202egpj.exe',
        '<form action="//evil.example"><input autofocus onfocus=alert(1)>',
    ];

    test('H42 markup shows as text, in messages and in names', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        for (const [index, text] of CORPUS.entries()) {
            await server.publish(`chat:${room}`, { id: `x${index}`, name: text, text });
        }
        await server.publish(`chat:${room}`, { name: 'end', text: 'the end' });
        await sees(ann, 'the end');
        const inside = await ann.page.locator('.log').evaluate((log) => ({
            foreign: log.querySelectorAll(
                'script, img, iframe, style, math, form, input, details, h1, object, embed',
            ).length,
            handlers: [...log.querySelectorAll('*')]
                .flatMap((e) => [...e.attributes])
                .filter((a) => /^on|^style$/.test(a.name)).length,
            links: [...log.querySelectorAll('a')].map((a) => a.href),
            text: log.textContent,
        }));
        assert.equal(inside.foreign, 0);
        assert.equal(inside.handlers, 0);
        assert.deepEqual(inside.links, []);
        assert.ok(inside.text?.includes('<img src=x onerror=alert(1)>'));
        assert.ok(inside.text?.includes('<script>document.title="hacked"</script>'));
        assert.doesNotMatch(await ann.page.title(), /hacked/);
    });

    test('H42 a hundred thousand characters without a space do not widen the page', async () => {
        const room = newRoom();
        const ann = await someone('Ann', { viewport: { width: 320, height: 640 } });
        await enter(ann, server.origin, room);
        await server.publish(`chat:${room}`, { name: 'W'.repeat(5_000), text: 'W'.repeat(50_000) });
        await sees(ann, 'WWW');
        const widths = await ann.page.evaluate(() => [
            document.documentElement.scrollWidth,
            innerWidth,
            document.querySelector('.log')!.scrollWidth,
            document.querySelector('.log')!.clientWidth,
        ]);
        assert.equal(widths[0], widths[1]);
        assert.equal(widths[2], widths[3]);
    });

    test('a link goes only where it says, and takes nothing along', async () => {
        const room = newRoom();
        const ann = await someone('Ann');
        await enter(ann, server.origin, room);
        await say(ann, 'see [this](https://example.org/a) or https://example.org/b');
        await sees(ann, 'see this');
        for (const link of await ann.page.locator('.text a').all()) {
            assert.equal(await link.getAttribute('rel'), 'noopener noreferrer nofollow');
            assert.match((await link.getAttribute('href')) ?? '', /^https:\/\/example\.org\//);
        }
        assert.equal(await ann.page.locator('.text a').count(), 2);
    });
});

test('on a phone the rooms are in a drawer that opens, closes and is out of the way', async () => {
    const room = newRoom();
    const ann = await someone('Ann', { viewport: { width: 360, height: 640 }, hasTouch: true });
    await enter(ann, server.origin, room);
    const sidebar = ann.page.locator('.sidebar');
    assert.equal(await sidebar.isVisible(), false);
    await ann.page.getByRole('button', { name: 'Rooms', exact: true }).click();
    await ready(() => sidebar.isVisible(), 'the drawer is open');
    await ann.page.keyboard.press('Escape');
    await ready(async () => !(await sidebar.isVisible()), 'the drawer is shut');
});
