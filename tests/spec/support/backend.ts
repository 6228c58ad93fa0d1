/* backend.ts - the application's backend, as the event proxy meets it: good, slow, broken, gone.
 *
 * What it answers is a function per path; every request is kept for the test to look at.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { after, before } from 'node:test';
import type { Json } from './client.ts';
import { eventually } from './deadline.ts';

export interface BackendRequest {
    path: string;
    headers: http.IncomingHttpHeaders;
    body: Json;
    text: string;
}

/* An object is sent as JSON with status 200; with `raw` the handler writes the response itself. */
export type Answer = Json | { raw: (response: http.ServerResponse) => void };
export type Handler = (request: BackendRequest) => Answer | Promise<Answer>;

export class Backend {
    readonly requests: BackendRequest[] = [];
    readonly handlers = new Map<string, Handler>();
    /* Sockets accepted since the start. */
    connectionCount = 0;
    port = 0;
    private readonly server: http.Server;

    constructor() {
        this.server = http.createServer((request, response) => {
            const chunks: Buffer[] = [];
            request.on('data', (chunk: Buffer) => chunks.push(chunk));
            request.on('end', () => void this.answer(request, response, Buffer.concat(chunks).toString('utf8')));
        });
        this.server.keepAliveTimeout = 60000;
        this.server.on('connection', () => this.connectionCount++);
    }

    private async answer(request: http.IncomingMessage, response: http.ServerResponse, text: string) {
        const path = request.url ?? '';
        const entry = { path, headers: request.headers, body: JSON.parse(text) as Json, text };
        this.requests.push(entry);
        assert.equal(request.method, 'POST');
        const handler = this.handlers.get(path);
        const answer = handler === undefined ? { error: { code: 999, message: `no handler for ${path}` } } : await handler(entry);
        if ('raw' in answer) {
            (answer.raw as (response: http.ServerResponse) => void)(response);
        } else {
            response.writeHead(200, { 'Content-Type': 'application/json' });
            response.end(JSON.stringify(answer));
        }
    }

    listen(): Promise<void> {
        return new Promise((resolve) => {
            this.server.listen(this.port, '127.0.0.1', () => {
                this.port = (this.server.address() as net.AddressInfo).port;
                resolve();
            });
        });
    }

    close(): Promise<void> {
        return new Promise((resolve) => {
            this.server.close(() => resolve());
            this.server.closeAllConnections?.();
        });
    }

    on(path: string, handler: Handler) {
        this.handlers.set(path, handler);
    }

    url(path: string): string {
        return `http://127.0.0.1:${this.port}${path}`;
    }

    requestsTo(path: string): BackendRequest[] {
        return this.requests.filter((request) => request.path === path);
    }

    /* The last request to that path. */
    last(path: string): BackendRequest {
        const request = this.requestsTo(path).pop();
        assert.ok(request, `nothing came to ${path}`);
        return request;
    }

    async expectRequests(path: string, count: number) {
        await eventually(`${count} requests to ${path}`, () => this.requestsTo(path).length >= count);
    }
}

/* A promise that the test settles. */
export function gate(): { opened: Promise<void>; open: () => void } {
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    return { opened, open };
}

/* A backend for the tests of the enclosing describe(); ask for it before serverFor(), so that it listens first. */
export function backendFor(): Backend {
    const backend = new Backend();
    before(() => backend.listen());
    after(() => backend.close());
    return backend;
}
