/* harness.ts - the real server on a free port, Chromium, and people in it.
 *
 * STARLING names the binary (default: build/release/starling, then build/starling), CHROMIUM the browser.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

/* Tests run from the folder of package.json. */
export const repository = path.resolve(process.cwd(), '../..');

export interface Server {
    port: number;
    origin: string;
    publish(channel: string, data: unknown): Promise<void>;
    stop(): Promise<void>;
}

const ready = async (check: () => Promise<boolean>, what: string, ms = 10_000): Promise<void> => {
    const deadline = Date.now() + ms;
    while (!(await check().catch(() => false))) {
        if (Date.now() > deadline) {
            throw new Error(`not within ${ms} ms: ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
};

function freePort(): Promise<number> {
    return new Promise((resolve, reject) => {
        const probe = net.createServer().once('error', reject);
        probe.listen(0, '127.0.0.1', () => {
            const { port } = probe.address() as net.AddressInfo;
            probe.close(() => resolve(port));
        });
    });
}

export function binary(): string {
    const candidates = [process.env.STARLING, 'build/release/starling', 'build/starling'];
    const found = candidates
        .map((name) => (name ? path.resolve(repository, name) : ''))
        .find((name) => name && existsSync(name));
    if (found === undefined) {
        throw new Error('no server to test: run make, or set STARLING');
    }
    return found;
}

export interface ServerOptions {
    /* Of a server that has stopped, to take its place. */
    port?: number;
    /* Instead of the development settings: this file. */
    config?: string;
}

export async function startServer(options: ServerOptions = {}): Promise<Server> {
    const port = options.port ?? (await freePort());
    const mode = options.config === undefined ? ['--dev'] : ['--config', options.config];
    const process_: ChildProcess = spawn(binary(), [...mode, '--port', String(port)], {
        cwd: repository,
        stdio: process.env.VERBOSE ? 'inherit' : 'ignore',
    });
    const origin = `http://127.0.0.1:${port}`;
    const exited = new Promise<void>((resolve) => process_.once('exit', () => resolve()));
    await ready(async () => (await fetch(origin)).ok, 'the server answers').catch((error: unknown) => {
        process_.kill('SIGTERM');
        throw error;
    });
    return {
        port,
        origin,
        publish: async (channel, data) => {
            const answer = await fetch(`${origin}/api/publish`, {
                method: 'POST',
                body: JSON.stringify({ channel, data }),
            });
            const body = (await answer.json()) as { error?: { message: string } };
            if (!answer.ok || body.error !== undefined) {
                throw new Error(`publish: ${answer.status} ${body.error?.message ?? ''}`);
            }
        },
        stop: async () => {
            process_.kill('SIGTERM');
            await exited;
        },
    };
}

export function startBrowser(): Promise<Browser> {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: [
            '--no-sandbox',
            '--disable-gpu',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
            '--no-first-run',
        ],
    });
}

/* A line between browser and server that can be cut. What is sent while it is cut is refused at once. */
export interface Line {
    origin: string;
    cut(): void;
    mend(): void;
    close(): Promise<void>;
}

export async function startLine(server: Server): Promise<Line> {
    const sockets = new Set<net.Socket>();
    let isCut = false;
    const listener = net.createServer((near) => {
        if (isCut) {
            near.destroy();
            return;
        }
        const far = net.connect(server.port, '127.0.0.1');
        for (const socket of [near, far]) {
            sockets.add(socket);
            socket
                .on('error', () => undefined)
                .on('close', () => {
                    sockets.delete(socket);
                    near.destroy();
                    far.destroy();
                });
        }
        near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as net.AddressInfo;
    return {
        origin: `http://127.0.0.1:${port}`,
        cut: () => {
            isCut = true;
            sockets.forEach((socket) => socket.destroy());
        },
        mend: () => {
            isCut = false;
        },
        close: () => {
            sockets.forEach((socket) => socket.destroy());
            return new Promise((resolve) => listener.close(() => resolve()));
        },
    };
}

/* Somebody with a browser window of their own; `complaints` is everything the browser objected to. */
export interface Person {
    page: Page;
    complaints: string[];
    leave(): Promise<void>;
}

/* Chromium says this of a WebSocket that fails, which some tests want it to do. */
const EXPECTED = /WebSocket connection to|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INTERNET_DISCONNECTED/;

export async function person(
    browser: Browser,
    name: string,
    options: BrowserContextOptions = {},
): Promise<Person> {
    const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: 'en-GB',
        ...options,
    });
    const complaints: string[] = [];
    context.on('page', (page) => {
        page.on('console', (message) => {
            if (message.type() === 'error' && !EXPECTED.test(message.text())) {
                complaints.push(message.text());
            }
        });
        page.on('pageerror', (error) => complaints.push(String(error)));
        page.on('dialog', (dialog) => {
            complaints.push(`dialog: ${dialog.message()}`);
            void dialog.dismiss();
        });
    });
    await context.addInitScript((given) => {
        /* about:blank has no storage. */
        if (
            given !== '' &&
            location.protocol !== 'about:' &&
            localStorage.getItem('starling.name') === null
        ) {
            localStorage.setItem('starling.name', given);
        }
    }, name);
    const page = await context.newPage();
    return { page, complaints, leave: () => context.close() };
}

/* Opens a room, and waits until it is joined and its history is there. */
export async function enter(who: Person, origin: string, room: string): Promise<void> {
    await who.page.goto(`${origin}/chat#/room/${room}`);
    await who.page.locator('.log[aria-busy="false"]').waitFor();
    await who.page.locator('.people li').first().waitFor({ state: 'attached' });
}

export async function say(who: Person, text: string): Promise<void> {
    const field = who.page.locator('.composer textarea');
    await field.fill(text);
    await field.press('Enter');
}

/* Texts of the messages on the screen, in order. */
export function texts(who: Person): Promise<string[]> {
    return who.page.locator('.message .text').allInnerTexts();
}

export function count(list: string[], text: string): number {
    return list.filter((entry) => entry === text).length;
}

export { ready };
