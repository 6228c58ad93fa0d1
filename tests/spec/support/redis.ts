/* redis.ts - a real redis-server on a free port, in a folder of its own, and commands to it. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { SOON_MS, eventually } from './deadline.ts';
import { scratch } from './server.ts';

export type Reply = string | number | null | Reply[] | Error;

/* A port that was free a moment ago. */
async function freePort(): Promise<number> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
}

/* Reads one reply at `at`; null: it is not whole yet. */
function parse(buffer: Buffer, at: number): { reply: Reply; end: number } | null {
    const lineEnd = buffer.indexOf('\r\n', at);
    if (lineEnd < 0) {
        return null;
    }
    const line = buffer.toString('latin1', at + 1, lineEnd);
    const next = lineEnd + 2;
    switch (String.fromCharCode(buffer[at] as number)) {
        case '+':
            return { reply: line, end: next };
        case '-':
            return { reply: new Error(line), end: next };
        case ':':
            return { reply: Number(line), end: next };
        case '$': {
            const length = Number(line);
            if (length < 0) {
                return { reply: null, end: next };
            }
            return buffer.length < next + length + 2
                ? null
                : { reply: buffer.toString('utf8', next, next + length), end: next + length + 2 };
        }
        default: {
            const items: Reply[] = [];
            let end = next;
            for (let i = 0; i < Number(line); i++) {
                const item = parse(buffer, end);
                if (item === null) {
                    return null;
                }
                items.push(item.reply);
                end = item.end;
            }
            return { reply: items, end };
        }
    }
}

export class Redis {
    port = 0;
    private child: ChildProcess | null = null;
    private readonly folder = mkdtempSync(path.join(scratch, 'redis-'));
    private readonly args: string[];

    private constructor(args: string[]) {
        this.args = args;
        process.on('exit', () => this.child?.kill('SIGKILL'));
    }

    static async start(...args: string[]): Promise<Redis> {
        const redis = new Redis(args);
        redis.port = await freePort();
        await redis.run();
        return redis;
    }

    /* Starts the process, on the same port and in the same folder as before. */
    async run() {
        const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
        assert.equal(this.child, null);
        this.child = spawn('redis-server', [...fixed, ...this.args], { stdio: 'ignore' });
        await eventually('Redis answers', async () => (await this.command('PING').catch(() => null)) === 'PONG');
    }

    get address(): string {
        return `127.0.0.1:${this.port}`;
    }

    signal(name: NodeJS.Signals) {
        this.child?.kill(name);
    }

    async kill() {
        const child = this.child;
        assert.ok(child);
        const ended = new Promise((resolve) => child.on('close', resolve));
        child.kill('SIGKILL');
        await ended;
        this.child = null;
    }

    /* Runs again where it was killed, and goes on where it was stopped. */
    async ensureRunning() {
        if (this.child === null) {
            await this.run();
        } else {
            this.signal('SIGCONT');
        }
    }

    async stop() {
        if (this.child !== null) {
            this.signal('SIGCONT');
            await this.kill();
        }
    }

    /* One command on a connection of its own. */
    command(...words: string[]): Promise<Reply> {
        return new Promise((resolve, reject) => {
            const socket = net.connect(this.port, '127.0.0.1');
            let received = Buffer.alloc(0);
            const timer = setTimeout(() => socket.destroy(new Error('Redis does not answer')), SOON_MS);
            socket.on('error', (error) => {
                clearTimeout(timer);
                reject(error);
            });
            socket.on('data', (chunk) => {
                received = Buffer.concat([received, chunk]);
                const answer = parse(received, 0);
                if (answer !== null) {
                    clearTimeout(timer);
                    socket.destroy();
                    resolve(answer.reply);
                }
            });
            const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
            socket.write(`*${words.length}\r\n${parts.join('')}`);
        });
    }
}
