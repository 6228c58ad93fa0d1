/* framing.spec.ts - WebSocket frames (RFC 6455 section 5; THREATS W01 to W21). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { eventually, timed } from './support/deadline.ts';
import { Client } from './support/client.ts';
import { RawSocket } from './support/raw_socket.ts';
import { serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';
import { OPCODE, WebSocketClient, closePayload, frameBytes, upgradeText } from './support/websocket.ts';

const { CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG } = OPCODE;
const MIB = 1024 * 1024;

describe('WebSocket frames', () => {
    const server = serverFor({
        debug: { echo_path: '/echo' },
        websocket: { message_size_limit: '16MiB' },
        client: { queue_max_size: '64MiB' },
    });

    const echo = () => WebSocketClient.open(server.port, { path: '/echo' });

    /* Sends what `send` sends and expects the server to close with `code`. */
    async function expectClosed(code: number, send: (ws: WebSocketClient) => void) {
        const ws = await echo();
        send(ws);
        await ws.expectClose(code);
    }

    async function expectEchoed(payload: string | Uint8Array, send: (ws: WebSocketClient) => void, opcode: number = TEXT) {
        const ws = await echo();
        send(ws);
        await ws.expectFrame(opcode, payload);
        ws.close();
    }

    for (const size of [0, 1, 125, 126, 127, 65535, 65536, MIB, 16 * MIB]) {
        test(`a binary message of ${size} bytes comes back as it went`, async () => {
            const ws = await echo();
            const payload = randomBytes(size);
            ws.send(BINARY, payload);
            await ws.expectFrame(BINARY, payload);
            ws.close();
        });
    }

    test('text messages of all three length forms come back as they went', async () => {
        const ws = await echo();
        for (const size of [0, 125, 126, 65535, 65536]) {
            ws.send(TEXT, 'ä'.repeat(size / 2));
            await ws.expectFrame(TEXT, 'ä'.repeat(size / 2));
        }
        ws.close();
    });

    test('many messages in one segment are answered in order', async () => {
        const ws = await echo();
        const texts = Array.from({ length: 300 }, (_, i) => `message ${i} ${'x'.repeat(i)}`);
        ws.raw.write(Buffer.concat(texts.map((text) => frameBytes(TEXT, text))));
        for (const text of texts) {
            await ws.expectFrame(TEXT, text);
        }
        ws.close();
    });

    test('a frame in single bytes is put together', async () => {
        const ws = await echo();
        for (const byte of frameBytes(TEXT, 'é and more '.repeat(20))) {
            ws.raw.write(Buffer.from([byte]));
        }
        await ws.expectFrame(TEXT, 'é and more '.repeat(20));
        ws.close();
    });

    test('a fragmented message comes back whole, up to a MiB in a thousand pieces', async () => {
        const ws = await echo();
        const payload = randomBytes(MIB);
        const piece = Math.ceil(MIB / 1000);
        for (let at = 0; at < MIB; at += piece) {
            const isLast = at + piece >= MIB;
            ws.send(at === 0 ? BINARY : CONTINUATION, payload.subarray(at, at + piece), { fin: isLast });
        }
        await ws.expectFrame(BINARY, payload);
        ws.send(TEXT, 'Hel', { fin: false });
        ws.send(CONTINUATION, '', { fin: false });
        ws.send(CONTINUATION, 'lo', { fin: true });
        await ws.expectFrame(TEXT, 'Hello');
        ws.close();
    });

    test('W01: a frame without a mask is closed 1002', async () => {
        for (const opcode of [TEXT, BINARY, PING, CLOSE]) {
            await expectClosed(1002, (ws) => ws.send(opcode, opcode === CLOSE ? closePayload(1000) : 'x', { mask: null }));
        }
    });

    test('W02: a mask of zeros is a mask', async () => {
        await expectEchoed('zero', (ws) => ws.send(TEXT, 'zero', { mask: Buffer.alloc(4) }));
    });

    test('W03: reserved bits and reserved opcodes are closed 1002', async () => {
        for (const rsv of [1, 2, 4, 7]) {
            await expectClosed(1002, (ws) => ws.send(TEXT, 'x', { rsv }));
        }
        for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
            await expectClosed(1002, (ws) => ws.send(opcode, 'x'));
        }
    });

    test('W04: control frames are whole, at most 125 bytes, in the short form', async () => {
        for (const opcode of [PING, PONG, CLOSE]) {
            await expectClosed(1002, (ws) => ws.send(opcode, opcode === CLOSE ? closePayload(1000) : 'x', { fin: false }));
            await expectClosed(1002, (ws) => ws.send(opcode, Buffer.alloc(126)));
            await expectClosed(1002, (ws) => ws.send(opcode, 'x', { lengthForm: 16 }));
            await expectClosed(1002, (ws) => ws.send(opcode, 'x', { lengthForm: 64 }));
        }
    });

    test('W05: a ping is answered at once with its bytes, up to 125 of them', async () => {
        const ws = await echo();
        for (const size of [0, 1, 124, 125]) {
            const payload = randomBytes(size);
            ws.send(PING, payload);
            await ws.expectFrame(PONG, payload);
        }
        ws.close();
    });

    test('W05: a ping in the middle of a message is answered before the message ends', async () => {
        const ws = await echo();
        ws.send(TEXT, 'one ', { fin: false });
        ws.send(PING, 'now');
        await ws.expectFrame(PONG, 'now');
        ws.send(CONTINUATION, 'two', { fin: true });
        await ws.expectFrame(TEXT, 'one two');
        ws.close();
    });

    test('W06: a pong nobody asked for is ignored', async () => {
        await expectEchoed('still here', (ws) => {
            ws.send(PONG, 'unasked');
            ws.send(TEXT, 'still here');
        });
    });

    test('W07: a continuation of nothing and a new message inside of one are closed 1002', async () => {
        await expectClosed(1002, (ws) => ws.send(CONTINUATION, 'x'));
        await expectClosed(1002, (ws) => ws.send(CONTINUATION, 'x', { fin: false }));
        for (const opcode of [TEXT, BINARY]) {
            await expectClosed(1002, (ws) => {
                ws.send(TEXT, 'x', { fin: false });
                ws.send(opcode, 'y');
            });
        }
    });

    test('W08: a length that is not the shortest, or has its top bit set, is closed 1002', async () => {
        await expectClosed(1002, (ws) => ws.send(TEXT, 'short', { lengthForm: 16 }));
        await expectClosed(1002, (ws) => ws.send(TEXT, 'short', { lengthForm: 64 }));
        await expectClosed(1002, (ws) => ws.send(TEXT, Buffer.alloc(65535, 'x'), { lengthForm: 64 }));
        await expectClosed(1002, (ws) => ws.send(TEXT, 'x', { lengthForm: 64, announced: 1n << 63n }));
    });

    test('W09: an announced length over the limit is closed 1009 without waiting for it', async () => {
        for (const announced of [BigInt(16 * MIB + 1), 1n << 32n, (1n << 63n) - 1n]) {
            await expectClosed(1009, (ws) => ws.send(BINARY, 'x', { lengthForm: 64, announced }));
        }
    });

    test('W10: fragments that pass the limit together are closed 1009 at the one that passes it', async () => {
        await expectClosed(1009, (ws) => {
            ws.send(BINARY, Buffer.alloc(16 * MIB), { fin: false });
            ws.send(CONTINUATION, Buffer.alloc(1), { fin: false });
        });
        const ws = await echo();
        ws.send(BINARY, Buffer.alloc(16 * MIB - 1), { fin: false });
        ws.send(CONTINUATION, Buffer.alloc(1), { fin: true });
        await ws.expectFrame(BINARY, Buffer.alloc(16 * MIB));
        ws.close();
    });

    test('W10: a large message is not kept after it was handled', async () => {
        const ws = await echo();
        ws.send(BINARY, Buffer.alloc(16 * MIB));
        await ws.expectFrame(BINARY, Buffer.alloc(16 * MIB));
        await eventually('memory is given back', () => server.residentBytes() < 100 * MIB * (process.env.STARLING_SPEC_SLOWNESS === '1' ? 1 : 20));
        ws.close();
    });

    const invalidUtf8: [string, string][] = [
        ['a lone continuation byte', '80'],
        ['an overlong slash', 'c0af'],
        ['an overlong NUL', 'c080'],
        ['an overlong three-byte form', 'e09fbf'],
        ['an overlong four-byte form', 'f08fbfbf'],
        ['a surrogate', 'eda080'],
        ['a pair of surrogates', 'eda080edb080'],
        ['above U+10FFFF', 'f4908080'],
        ['a byte that never occurs', 'ff'],
        ['a five-byte form', 'f888808080'],
        ['a character cut short', '41c3'],
        ['a long character cut short', 'f09f98'],
    ];
    for (const [name, hex] of invalidUtf8) {
        test(`W12: ${name} in a text is closed 1007`, async () => {
            const bytes = Buffer.concat([Buffer.from('ok '), Buffer.from(hex, 'hex')]);
            await expectClosed(1007, (ws) => ws.send(TEXT, bytes));
            await expectClosed(1007, (ws) => {
                for (let i = 0; i < bytes.length; i++) {
                    ws.send(i === 0 ? TEXT : CONTINUATION, bytes.subarray(i, i + 1), { fin: false });
                }
                ws.send(CONTINUATION, '', { fin: true });
            });
        });
    }

    test('W12: invalid UTF-8 is closed as soon as it is certain, not when the message ends', async () => {
        await expectClosed(1007, (ws) => ws.send(TEXT, Buffer.from([0x41, 0xff]), { fin: false }));
        await expectClosed(1007, (ws) => ws.raw.write(frameBytes(TEXT, Buffer.from([0x41, 0xff]), { announced: 100n })));
    });

    test('W13: valid UTF-8 may be cut anywhere; non-characters and U+0000 are fine', async () => {
        const text = 'κόσμε 😀 \u0000 \ufffe \uffff \u{10ffff} ퟿ ';
        await expectEchoed(text, (ws) => {
            const bytes = Buffer.from(text);
            for (let i = 0; i < bytes.length; i++) {
                ws.send(i === 0 ? TEXT : CONTINUATION, bytes.subarray(i, i + 1), { fin: i === bytes.length - 1 });
            }
        });
        await expectEchoed(Buffer.from('ff00fe80', 'hex'), (ws) => ws.send(BINARY, Buffer.from('ff00fe80', 'hex')), BINARY);
    });

    test('W14: a close frame of one byte or with a code that must not be sent is closed 1002', async () => {
        await expectClosed(1002, (ws) => ws.send(CLOSE, Buffer.from([3])));
        for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
            await expectClosed(1002, (ws) => ws.send(CLOSE, closePayload(code)));
        }
    });

    test('W14: a reason that is not UTF-8 is closed 1007', async () => {
        await expectClosed(1007, (ws) => ws.send(CLOSE, closePayload(1000, Buffer.from('c328', 'hex'))));
    });

    test('W15: a valid close is answered with its code, and the server closes the connection within a second', async () => {
        for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
            const ws = await echo();
            ws.send(CLOSE, closePayload(code, 'bye'));
            await ws.expectFrame(CLOSE, closePayload(code));
            const ms = await timed(() => ws.raw.expectCleanEnd());
            assert.ok(ms < 1000, `${ms} ms`);
        }
        const ws = await echo();
        ws.send(CLOSE, '');
        await ws.expectFrame(CLOSE, closePayload(1000));
        await ws.raw.expectCleanEnd();
    });

    test('W16: nothing after a close frame is processed', async () => {
        const ws = await echo();
        ws.raw.write(Buffer.concat([frameBytes(CLOSE, closePayload(1000)), frameBytes(TEXT, 'late'), frameBytes(PING, 'late')]));
        await ws.expectFrame(CLOSE, closePayload(1000));
        await ws.raw.expectEnd();
        assert.equal(ws.raw.peek(100), '');
    });

    test('W18: a reset at any byte of a frame leaves nothing behind', async () => {
        const before = await echo();
        const descriptors = server.descriptorCount();
        const bytes = frameBytes(TEXT, 'x'.repeat(200));
        for (let length = 0; length <= bytes.length; length += 9) {
            const ws = await echo();
            ws.raw.write(bytes.subarray(0, length));
            ws.raw.reset();
        }
        await eventually('descriptors come back', () => server.descriptorCount() <= descriptors);
        before.send(TEXT, 'still here');
        await before.expectFrame(TEXT, 'still here');
        before.close();
    });

    test('W19: a frame sent with the handshake is answered', async () => {
        const raw = await RawSocket.open(server.port);
        raw.write(Buffer.concat([Buffer.from(upgradeText({}, '/echo')), frameBytes(TEXT, 'early')]));
        await raw.readThrough('\r\n\r\n');
        assert.deepEqual(await raw.read(7), Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('early')]));
        raw.close();
    });

    test('W20: 40 control frames at once are bearable, a flood is closed 1008', async () => {
        const ws = await echo();
        ws.raw.write(Buffer.concat(Array.from({ length: 40 }, () => frameBytes(PING, 'a'))));
        for (let i = 0; i < 40; i++) {
            await ws.expectFrame(PONG, 'a');
        }
        ws.close();
        const flood = await echo();
        flood.raw.write(Buffer.concat(Array.from({ length: 10000 }, () => frameBytes(PING, 'b'))));
        await flood.expectClose(1008);
    });

    test('a client that does not answer the close frame is dropped', async () => {
        const ws = await echo();
        ws.send(TEXT, 'x', { rsv: 1 });
        const frame = await ws.nextFrame();
        assert.equal(frame.opcode, CLOSE);
        await ws.raw.expectEnd(8000);
    });
});

describe('frames of the client protocol', () => {
    const server = serverFor({ websocket: { message_size_limit: '64KiB' } });

    test('W09: a message of 65536 bytes is read, one byte more is closed 1009', async () => {
        const client = await Client.connect(server, userToken('1'));
        const command = (size: number) => {
            const text = '{"id":9,"publish":{"channel":"open:a","data":""}}';
            return text.replace('""', `"${'x'.repeat(size - text.length)}"`);
        };
        for (const size of [65535, 65536]) {
            client.sendText(command(size));
            assert.deepEqual((await client.expectReply(9)).json.publish, {});
        }
        client.sendText(command(65537));
        await client.expectDisconnect(1009);
    });

    /* A command in `count` fragments with payload and `empties` without. */
    function sendInFragments(client: Client, count: number, empties = 0) {
        const text = '{"id":9,"publish":{"channel":"open:a","data":1}}'.padEnd(count);
        const frames = Array.from({ length: count }, (_, i) => {
            const isLast = i === count - 1;
            return frameBytes(i === 0 ? TEXT : CONTINUATION, isLast ? text.slice(i) : text.slice(i, i + 1), { fin: isLast });
        });
        frames.splice(1, 0, ...Array.from({ length: empties }, () => frameBytes(CONTINUATION, '', { fin: false })));
        client.ws.raw.write(Buffer.concat(frames));
    }

    test('W11: 1024 fragments are a message, 1025 are closed 1008', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (const count of [1023, 1024]) {
            sendInFragments(client, count);
            assert.deepEqual((await client.expectReply(9)).json.publish, {});
        }
        sendInFragments(client, 1025);
        await client.expectDisconnect(1008);
    });

    test('W11: 64 empty fragments are bearable, 65 are closed 1008', async () => {
        const client = await Client.connect(server, userToken('1'));
        for (const empties of [63, 64]) {
            sendInFragments(client, 20, empties);
            assert.deepEqual((await client.expectReply(9)).json.publish, {});
        }
        sendInFragments(client, 20, 65);
        await client.expectDisconnect(1008);
    });

    test('W21: binary where JSON text is spoken is closed 3501', async () => {
        const client = await Client.open(server);
        client.ws.send(BINARY, JSON.stringify({ id: 1, connect: {} }));
        await client.expectDisconnect(3501);
    });

    test('commands in fragments are commands', async () => {
        const client = await Client.open(server);
        const text = JSON.stringify({ id: 1, connect: { token: userToken('1') } });
        for (let i = 0; i < text.length; i += 5) {
            client.ws.send(i === 0 ? TEXT : CONTINUATION, text.slice(i, i + 5), { fin: i + 5 >= text.length });
        }
        assert.ok((await client.expectReply(1)).json.connect.client);
        client.close();
    });
});
