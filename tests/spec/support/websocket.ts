/* websocket.ts - RFC 6455 as a client writes it, and as a client must not write it.
 *
 * A frame is what the test says: mask, reserved bits, length form and all. Nothing is answered by itself.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { SOON_MS } from './deadline.ts';
import { readResponse, type HttpResponse } from './http.ts';
import { RawSocket, type RawSocketOptions } from './raw_socket.ts';

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

export interface Frame {
    opcode: number;
    fin: boolean;
    rsv: number;
    payload: Buffer;
}

export interface FrameOptions {
    fin?: boolean;
    rsv?: number;
    /* null: no mask at all. */
    mask?: Buffer | null;
    /* Bytes of the length on the wire; the shortest without it. */
    lengthForm?: 7 | 16 | 64;
    /* A length other than that of the payload. */
    announced?: bigint;
}

function lengthBytes(length: bigint, form: 7 | 16 | 64): { first: number; rest: Buffer } {
    if (form === 7) {
        return { first: Number(length), rest: Buffer.alloc(0) };
    }
    const rest = Buffer.alloc(form / 8);
    if (form === 16) {
        rest.writeUInt16BE(Number(length));
    } else {
        rest.writeBigUInt64BE(length);
    }
    return { first: form === 16 ? 126 : 127, rest };
}

export function frameBytes(opcode: number, payload: string | Uint8Array, options: FrameOptions = {}): Buffer {
    const data = Buffer.from(typeof payload === 'string' ? Buffer.from(payload) : payload);
    const length = options.announced ?? BigInt(data.length);
    const shortest = length < 126n ? 7 : length < 65536n ? 16 : 64;
    const { first, rest } = lengthBytes(length, options.lengthForm ?? shortest);
    const mask = options.mask === undefined ? randomBytes(4) : options.mask;
    if (mask !== null) {
        for (let i = 0; i < data.length; i++) {
            data[i] = (data[i] as number) ^ (mask[i % 4] as number);
        }
    }
    const head = Buffer.from([
        ((options.fin ?? true) ? 0x80 : 0) | ((options.rsv ?? 0) << 4) | opcode,
        (mask === null ? 0 : 0x80) | first,
    ]);
    return Buffer.concat([head, rest, mask ?? Buffer.alloc(0), data]);
}

export function closePayload(code: number, reason: string | Uint8Array = ''): Buffer {
    const head = Buffer.alloc(2);
    head.writeUInt16BE(code);
    return Buffer.concat([head, typeof reason === 'string' ? Buffer.from(reason) : reason]);
}

function takeFrame(bytes: Buffer): { value: Frame; used: number } | null {
    if (bytes.length < 2) {
        return null;
    }
    const [b0, b1] = [bytes[0] as number, bytes[1] as number];
    assert.equal(b1 & 0x80, 0, 'the server masked a frame');
    let length = b1 & 0x7f;
    let at = 2;
    if (length === 126) {
        if (bytes.length < 4) {
            return null;
        }
        length = bytes.readUInt16BE(2);
        assert.ok(length > 125, 'the server wrote a length that is not the shortest');
        at = 4;
    } else if (length === 127) {
        if (bytes.length < 10) {
            return null;
        }
        length = Number(bytes.readBigUInt64BE(2));
        assert.ok(length > 65535, 'the server wrote a length that is not the shortest');
        at = 10;
    }
    if (bytes.length < at + length) {
        return null;
    }
    const payload = Buffer.from(bytes.subarray(at, at + length));
    return { value: { opcode: b0 & 15, fin: (b0 & 0x80) !== 0, rsv: (b0 >> 4) & 7, payload }, used: at + length };
}

export interface UpgradeOptions extends RawSocketOptions {
    path?: string;
    headers?: Record<string, string>;
}

export const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const DEFAULT_PATH = '/connection/websocket';

/* The text of an opening handshake; `lines` replaces or, with null, leaves out default headers. */
export function upgradeText(lines: Record<string, string | null> = {}, path = DEFAULT_PATH, method = 'GET', version = '1.1') {
    const headers: Record<string, string | null> = {
        Host: 'localhost',
        Upgrade: 'websocket',
        Connection: 'Upgrade',
        'Sec-WebSocket-Key': SAMPLE_KEY,
        'Sec-WebSocket-Version': '13',
        ...lines,
    };
    const written = Object.entries(headers).filter(([, value]) => value !== null);
    return `${method} ${path} HTTP/${version}\r\n${written.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`;
}

export class WebSocketClient {
    readonly raw: RawSocket;
    readonly handshake: HttpResponse;

    private constructor(raw: RawSocket, handshake: HttpResponse) {
        this.raw = raw;
        this.handshake = handshake;
    }

    static async open(port: number, options: UpgradeOptions = {}): Promise<WebSocketClient> {
        const raw = await RawSocket.open(port, options);
        const key = randomBytes(16).toString('base64');
        raw.write(upgradeText({ Host: `127.0.0.1:${port}`, 'Sec-WebSocket-Key': key, ...options.headers }, options.path));
        const handshake = await readResponse(raw);
        if (handshake.status !== 101) {
            raw.close();
        }
        assert.equal(handshake.status, 101, `${handshake.head}${handshake.body}`);
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        assert.equal(handshake.headers['sec-websocket-accept'], accept);
        return new WebSocketClient(raw, handshake);
    }

    send(opcode: number, payload: string | Uint8Array, options: FrameOptions = {}) {
        this.raw.write(frameBytes(opcode, payload, options));
    }

    sendText(text: string) {
        this.send(OPCODE.TEXT, text);
    }

    nextFrame(what = 'a frame', ms = SOON_MS): Promise<Frame> {
        return this.raw.take(what, takeFrame, ms);
    }

    async expectFrame(opcode: number, payload: string | Uint8Array, ms = SOON_MS) {
        const frame = await this.nextFrame(`a frame with opcode ${opcode}`, ms);
        assert.equal(frame.opcode, opcode, `payload: ${frame.payload.toString('utf8', 0, 200)}`);
        assert.ok(frame.fin);
        assert.equal(frame.rsv, 0);
        const wanted = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload);
        assert.ok(frame.payload.equals(wanted), `${frame.payload.length} other bytes than the ${wanted.length} expected`);
    }

    /* Skips other frames until the close frame; answers it and expects the server to end the connection. */
    async expectClose(code: number | null, ms = SOON_MS): Promise<string> {
        let frame = await this.nextFrame(`close ${code}`, ms);
        while (frame.opcode !== OPCODE.CLOSE) {
            frame = await this.nextFrame(`close ${code}`, ms);
        }
        const got = frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : null;
        const reason = frame.payload.toString('utf8', 2);
        assert.equal(got, code, `reason: ${reason}`);
        this.send(OPCODE.CLOSE, frame.payload.subarray(0, 2));
        await this.raw.expectEnd(ms);
        return reason;
    }

    close() {
        this.raw.close();
    }
}
