/* server.ts - the real binary, started on a free port and stopped again.
 *
 * serverFor() is what specifications use: it starts one server before the tests of a describe() block and stops it after
 * them, and a stop is a test too: exit code 0, and nothing on standard error that a sanitizer would have written.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { SLOWNESS, SOON_MS, eventually, within } from './deadline.ts';
import { request, type HttpResponse } from './http.ts';

/* For these tests only: 32 bytes, as the server asks for. */
export const TOKEN_SECRET = 'spec-token-secret-0123456789abcdef';
export const SUB_TOKEN_SECRET = 'spec-subtoken-secret-0123456789abc';
export const API_KEY = 'spec-api-key-0123456789abcdef0123456789';

/* A configuration as the file has it: nested objects, any depth. */
export type Config = { [key: string]: unknown };

/* Namespaces that most specifications share; each is named by what it is for. */
const NAMESPACES = [
    { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
    {
        name: 'chat',
        allow_subscribe_for_client: true,
        allow_publish_for_subscriber: true,
        presence: true,
        join_leave: true,
        history_size: 10,
        history_ttl: '300s',
        force_recovery: true,
        allow_presence_for_subscriber: true,
        allow_history_for_subscriber: true,
    },
    {
        name: 'stream',
        allow_subscribe_for_client: true,
        allow_publish_for_client: true,
        history_size: 5,
        history_ttl: '300s',
        allow_positioning: true,
        allow_recovery: true,
        allow_history_for_client: true,
    },
    {
        name: 'cache',
        allow_subscribe_for_client: true,
        allow_publish_for_client: true,
        history_size: 1,
        history_ttl: '300s',
        force_recovery: true,
        force_recovery_mode: 'cache',
    },
    {
        name: 'auto',
        allow_subscribe_for_client: true,
        allow_publish_for_client: true,
        history_size: 1,
        history_ttl: '300s',
        force_recovery: true,
        force_recovery_mode: 'cache',
        auto_cache_recover: true,
    },
    { name: 'closed' },
];

export function baseConfig(): Config {
    return {
        http_server: { address: ['127.0.0.1'], port: 0, workers: 2 },
        log: { level: 'info', format: 'json' },
        client: {
            token: { hmac_secret_key: TOKEN_SECRET },
            connection_rate_limit: 100000,
        },
        channel: { namespaces: NAMESPACES },
        http_api: { key: API_KEY },
        prometheus: { enabled: true },
        shutdown: { drain: '0s', timeout: '5s' },
        limits: { connection_rate_per_ip: 100000, connection_burst_per_ip: 100000 },
    };
}

/* STARLING_SPEC_REDIS=127.0.0.1:6379 runs every specification with channels in that Redis. */
let engineCount = 0;
function engineConfig(): Config {
    const address = process.env.STARLING_SPEC_REDIS;
    if (address === undefined || address === '') {
        return {};
    }
    const prefix = `spec${process.pid}-${++engineCount}`;
    return { engine: { type: 'redis', redis: { address: [address], prefix } } };
}

function isObject(value: unknown): value is Config {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/* `over` on top of `base`; lists are replaced. */
export function merged(base: Config, over: Config): Config {
    const result: Config = { ...base };
    for (const [key, value] of Object.entries(over)) {
        const old = result[key];
        result[key] = isObject(old) && isObject(value) ? merged(old, value) : value;
    }
    return result;
}

export function binaryPath(): string {
    const candidates = [process.env.STARLING_BINARY, 'build/starling', 'build/release/starling'];
    const found = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
    assert.ok(found, `no server binary: ${candidates.join(', ')}`);
    return path.resolve(found);
}

/* A folder of this process, gone when it ends. */
export const scratch = mkdtempSync(path.join(os.tmpdir(), 'starling-spec-'));
const running = new Set<ChildProcess>();
/* A test that failed before it stopped its server leaves one, and its pipes would keep this process alive for ever. */
after(() => running.forEach((child) => child.kill('SIGKILL')));
process.on('exit', () => {
    running.forEach((child) => child.kill('SIGKILL'));
    rmSync(scratch, { recursive: true, force: true });
});

/* A port that was free a moment ago, for options where 0 has another meaning. */
export function freePort(): Promise<number> {
    return new Promise((resolve, reject) => {
        const probe = net.createServer();
        probe.on('error', reject);
        probe.listen(0, '127.0.0.1', () => {
            const { port } = probe.address() as net.AddressInfo;
            probe.close(() => resolve(port));
        });
    });
}

let fileCount = 0;

/* Writes a file that only its owner may read, as the server wants of files with secrets. */
export function writeScratch(name: string, content: string): string {
    const file = path.join(scratch, `${++fileCount}-${name}`);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
}

export interface StartOptions {
    config?: Config;
    /* A configuration file to use as it is, instead of `config`. */
    file?: string;
    /* No configuration file at all. */
    bare?: boolean;
    /* Put in front of the command line: ["prlimit", "--nofile=40"]. */
    wrapper?: string[];
    args?: string[];
    env?: Record<string, string>;
}

/* The environment of a server: what the caller's shell sets for one is not for these. */
export function cleanEnvironment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('STARLING_'));
    return { ...Object.fromEntries(own), ...more };
}

const SANITIZER_REPORT = /Sanitizer|runtime error:|must\(/;

export class Server {
    port = 0;
    stderr = '';
    /* Log lines in order, parsed. */
    readonly log: Config[] = [];
    private stdoutRest = '';
    private exitCode: number | null = null;
    private exitSignal: string | null = null;
    private readonly exited: Promise<void>;
    readonly child: ChildProcess;

    private constructor(child: ChildProcess) {
        this.child = child;
        running.add(child);
        child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString('utf8')));
        child.stdout?.on('data', (chunk: Buffer) => this.onStdout(chunk.toString('utf8')));
        this.exited = new Promise((resolve) => {
            child.on('close', (code, signal) => {
                running.delete(child);
                this.exitCode = code;
                this.exitSignal = signal;
                resolve();
            });
            child.on('error', (error) => {
                this.stderr += String(error);
                resolve();
            });
        });
    }

    private onStdout(text: string) {
        const lines = (this.stdoutRest + text).split('\n');
        this.stdoutRest = lines.pop() ?? '';
        for (const line of lines) {
            if (line.startsWith('{')) {
                this.log.push(JSON.parse(line) as Config);
            }
        }
    }

    static async start(options: StartOptions = {}): Promise<Server> {
        const config = JSON.stringify(merged(merged(baseConfig(), engineConfig()), options.config ?? {}));
        const file = options.bare ? [] : ['-c', options.file ?? writeScratch('starling.json', config)];
        const command = [...(options.wrapper ?? []), binaryPath(), 'serve', ...file, ...(options.args ?? [])];
        const child = spawn(command[0] as string, command.slice(1), {
            stdio: ['ignore', 'pipe', 'pipe'],
            cwd: scratch,
            env: cleanEnvironment(options.env),
        });
        const server = new Server(child);
        await eventually('ready', () => server.find('ready') !== undefined || server.hasExited, SOON_MS * 2);
        const ready = server.find('ready');
        assert.ok(ready, `the server did not start: ${server.stderr}`);
        server.port = Number(ready.port);
        return server;
    }

    /* The first log line of that event. */
    find(event: string): Config | undefined {
        return this.log.find((line) => line.event === event);
    }

    count(event: string): number {
        return this.log.filter((line) => line.event === event).length;
    }

    async expectLog(event: string): Promise<Config> {
        await eventually(`log line ${event}`, () => this.find(event) !== undefined);
        return this.find(event) as Config;
    }

    get hasExited(): boolean {
        return this.exitCode !== null || this.exitSignal !== null;
    }

    signal(name: NodeJS.Signals) {
        this.child.kill(name);
    }

    /* Waits for the end of the process: exit code 0 and a clean standard error. */
    async expectExit(ms = SOON_MS * 2) {
        try {
            await within(this.exited, 'exit of the server', ms);
        } catch (error) {
            this.child.kill('SIGKILL');
            throw error;
        }
        assert.ok(!SANITIZER_REPORT.test(this.stderr), this.stderr);
        assert.equal(this.exitSignal, null, this.stderr);
        assert.equal(this.exitCode, 0, this.stderr);
    }

    async stop() {
        this.signal('SIGTERM');
        await this.expectExit();
    }

    kill() {
        this.child.kill('SIGKILL');
        return this.exited;
    }

    /* POST /api/<method>; the parsed answer. */
    async api(method: string, body: unknown): Promise<Config> {
        const response = await this.apiRaw(method, JSON.stringify(body));
        assert.equal(response.status, 200, `${method}: ${response.body}`);
        return JSON.parse(response.body) as Config;
    }

    /* As api(), and the answer must be a result. */
    async apiResult(method: string, body: unknown): Promise<Config> {
        const answer = await this.api(method, body);
        assert.ok(isObject(answer.result), `${method}: ${JSON.stringify(answer)}`);
        return answer.result;
    }

    apiRaw(method: string, body: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
        return request(this.port, `/api/${method}`, {
            method: 'POST',
            body,
            headers: { 'X-API-Key': API_KEY, ...headers },
        });
    }

    /* A metric's value, summed over its labels; 0 when it is not there. */
    async metric(name: string, labels = ''): Promise<number> {
        const response = await request(this.port, '/metrics');
        assert.equal(response.status, 200);
        const lines = response.body.split('\n').filter((line) => {
            return (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels);
        });
        return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    }

    residentBytes(): number {
        const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'));
        return Number(match?.[1]) * 1024;
    }

    descriptorCount(): number {
        return readdirSync(`/proc/${this.child.pid}/fd`).length;
    }

    /* Processor time used so far, in ms. */
    cpuMs(): number {
        const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return (Number(fields[11]) + Number(fields[12])) * 10;
    }
}

/* A server for the tests of the enclosing describe(), never of a whole file: hooks of files run when it is too late to stop
 * anything. Its members may be used inside of tests and hooks only. */
export function serverFor(config: Config | (() => Config) = {}, options: StartOptions = {}): Server {
    const holder: { server: Server | null } = { server: null };
    before(async () => {
        const resolved = typeof config === 'function' ? config() : config;
        holder.server = await Server.start({ ...options, config: resolved });
    });
    after(async () => {
        const server = holder.server;
        if (server !== null) {
            await server.stop();
        }
    });
    return new Proxy({} as Server, {
        get(_target, key) {
            const server = holder.server;
            assert.ok(server, 'the server has not started');
            const value: unknown = Reflect.get(server, key, server);
            return typeof value === 'function' ? (value.bind(server) as unknown) : value;
        },
    });
}

/* The same specifications with one worker, where all is one call chain, and with two, where channels have homes. */
export function forEachWorkerCount(name: string, body: (workers: number) => void) {
    for (const workers of [1, 2]) {
        describe(`${name}, workers: ${workers}`, () => body(workers));
    }
}

export const isSlowBuild = SLOWNESS > 1;
