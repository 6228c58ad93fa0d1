/* raw_socket.ts - a TCP or TLS connection, byte by byte: what arrives is kept until it is asked for. */
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { SOON_MS, within } from './deadline.ts';

export interface RawSocketOptions {
    host?: string;
    tls?: tls.ConnectionOptions;
    localAddress?: string;
}

export class RawSocket {
    private received: Buffer = Buffer.alloc(0);
    /* What came after `received`, joined to it when somebody looks. */
    private chunks: Buffer[] = [];
    private wake: (() => void) | null = null;
    private isEnded = false;
    private hasEndedCleanly = false;
    readonly socket: net.Socket;

    private constructor(socket: net.Socket) {
        this.socket = socket;
        socket.setNoDelay(true);
        socket.on('data', (chunk: Buffer) => {
            this.chunks.push(chunk);
            this.changed();
        });
        socket.on('end', () => {
            this.hasEndedCleanly = true;
            this.isEnded = true;
            this.changed();
        });
        socket.on('close', () => {
            this.isEnded = true;
            this.changed();
        });
        socket.on('error', () => {}); /* a reset is an end like others; close follows */
    }

    static async open(port: number, options: RawSocketOptions = {}): Promise<RawSocket> {
        const host = options.host ?? '127.0.0.1';
        const socket = options.tls
            ? tls.connect({ port, host, rejectUnauthorized: false, ...options.tls })
            : net.connect({ port, host, localAddress: options.localAddress });
        const raw = new RawSocket(socket);
        await within(
            new Promise<void>((resolve, reject) => {
                socket.once(options.tls ? 'secureConnect' : 'connect', () => resolve());
                socket.once('error', reject);
                socket.once('close', () => reject(new Error('closed before it was connected')));
            }),
            'connect',
        );
        return raw;
    }

    private join(): Buffer {
        if (this.chunks.length > 0) {
            this.received = this.received.length === 0 && this.chunks.length === 1
                ? (this.chunks[0] as Buffer)
                : Buffer.concat([this.received, ...this.chunks]);
            this.chunks = [];
        }
        return this.received;
    }

    private changed() {
        const wake = this.wake;
        this.wake = null;
        wake?.();
    }

    write(bytes: string | Uint8Array) {
        this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    }

    /* Waits until the peer's window is full or all is sent: backpressure is for the one who writes. */
    async writeAll(bytes: Uint8Array) {
        if (!this.socket.write(bytes)) {
            await within(new Promise<void>((resolve) => this.socket.once('drain', () => resolve())), 'drain');
        }
    }

    /* Resolves as soon as `take` gives something other than null; rejects when the connection ended before. */
    async take<T>(what: string, take: (received: Buffer) => { value: T; used: number } | null, ms = SOON_MS): Promise<T> {
        const end = Date.now() + ms;
        for (;;) {
            const taken = take(this.join());
            if (taken !== null) {
                this.received = this.received.subarray(taken.used);
                return taken.value;
            }
            if (this.isEnded) {
                throw new Error(`${what}: the connection ended, with ${JSON.stringify(this.peek(200))} unread`);
            }
            await within(new Promise<void>((resolve) => (this.wake = resolve)), what, Math.max(1, end - Date.now()));
        }
    }

    read(count: number, what = `${count} bytes`, ms = SOON_MS): Promise<Buffer> {
        return this.take(
            what,
            (bytes) => (bytes.length < count ? null : { value: Buffer.from(bytes.subarray(0, count)), used: count }),
            ms,
        );
    }

    /* Up to and with `marker`. */
    readThrough(marker: string, what = JSON.stringify(marker), ms = SOON_MS): Promise<string> {
        return this.take(
            what,
            (bytes) => {
                const at = bytes.indexOf(marker, 0, 'latin1');
                const used = at + marker.length;
                return at < 0 ? null : { value: bytes.toString('latin1', 0, used), used };
            },
            ms,
        );
    }

    /* Everything until the peer ends the connection. */
    async readToEnd(ms = SOON_MS): Promise<string> {
        await this.expectEnd(ms);
        const text = this.join().toString('latin1');
        this.received = Buffer.alloc(0);
        return text;
    }

    async expectEnd(ms = SOON_MS) {
        const end = Date.now() + ms;
        while (!this.isEnded) {
            const what = `end of the connection (unread: ${JSON.stringify(this.peek(120))})`;
            await within(new Promise<void>((resolve) => (this.wake = resolve)), what, Math.max(1, end - Date.now()));
        }
    }

    /* The peer closed with a FIN and left nothing unread. */
    async expectCleanEnd(ms = SOON_MS) {
        await this.expectEnd(ms);
        assert.equal(this.join().length, 0, `left unread: ${JSON.stringify(this.peek(200))}`);
        assert.ok(this.hasEndedCleanly, 'the connection was reset');
    }

    peek(count: number): string {
        const received = this.join();
        return received.toString('latin1', 0, Math.min(count, received.length));
    }

    get hasEnded(): boolean {
        return this.isEnded;
    }

    /* Stops taking bytes from the kernel: a reader that does not read. */
    stopReading() {
        this.socket.pause();
    }

    goOnReading() {
        this.socket.resume();
    }

    endWriting() {
        this.socket.end();
    }

    close() {
        this.socket.destroy();
    }

    /* An RST instead of a FIN. */
    reset() {
        this.socket.resetAndDestroy();
    }
}
