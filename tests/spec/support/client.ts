/* client.ts - one client of the protocol: commands out, replies and pushes in, in the order they came. */
import assert from 'node:assert/strict';
import { SOON_MS } from './deadline.ts';
import { OPCODE, WebSocketClient, type UpgradeOptions } from './websocket.ts';

export type Json = { [key: string]: any };

/* One object from the server and the very text it came as. */
export interface Message {
    json: Json;
    text: string;
}

export interface ClientOptions extends UpgradeOptions {
    /* Pings are answered unless this is false. */
    answersPings?: boolean;
}

export class Client {
    /* What came and was not asked for yet. */
    readonly inbox: Message[] = [];
    pingCount = 0;
    /* Set by connect(). */
    id = '';
    private commandId = 0;
    private readonly answersPings: boolean;
    readonly ws: WebSocketClient;

    private constructor(ws: WebSocketClient, answersPings: boolean) {
        this.ws = ws;
        this.answersPings = answersPings;
    }

    static async open(server: { port: number }, options: ClientOptions = {}): Promise<Client> {
        return new Client(await WebSocketClient.open(server.port, options), options.answersPings ?? true);
    }

    /* Opens and connects, with a token where one is given. */
    static async connect(server: { port: number }, token?: string, options: ClientOptions = {}): Promise<Client> {
        const client = await Client.open(server, options);
        await client.connect(token === undefined ? {} : { token });
        return client;
    }

    async connect(request: Json = {}): Promise<Json> {
        const result = await this.call('connect', request);
        this.id = result.client as string;
        return result;
    }

    /* ---- out ---- */

    nextId(): number {
        return ++this.commandId;
    }

    /* Sends one command and returns its id. */
    command(method: string, body: unknown): number {
        const id = this.nextId();
        this.ws.sendText(JSON.stringify({ id, [method]: body }));
        return id;
    }

    /* Sends the objects as one message. */
    batch(commands: unknown[]) {
        this.ws.sendText(commands.map((command) => JSON.stringify(command)).join('\n'));
    }

    sendText(text: string) {
        this.ws.sendText(text);
    }

    /* ---- in ---- */

    /* Reads one WebSocket message into the inbox. */
    private async receive(what: string, ms: number) {
        const frame = await this.ws.nextFrame(what, ms);
        if (frame.opcode === OPCODE.CLOSE) {
            const code = frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : null;
            throw new Error(`${what}: closed with ${code} ${frame.payload.toString('utf8', 2)}`);
        }
        assert.equal(frame.opcode, OPCODE.TEXT);
        assert.ok(frame.fin);
        for (const text of frame.payload.toString('utf8').split('\n')) {
            assert.notEqual(text, '', 'the server sent an empty line');
            if (text === '{}') {
                this.pingCount++;
                if (this.answersPings) {
                    this.ws.sendText('{}');
                }
            } else {
                this.inbox.push({ json: JSON.parse(text) as Json, text });
            }
        }
    }

    /* Takes the first message that `matches`, reading more as needed. */
    private async takeFirst(what: string, matches: (json: Json) => boolean, ms = SOON_MS): Promise<Message> {
        const end = Date.now() + ms;
        for (;;) {
            const at = this.inbox.findIndex((message) => matches(message.json));
            if (at >= 0) {
                return this.inbox.splice(at, 1)[0] as Message;
            }
            const unread = this.inbox.map((message) => message.text).join(' ');
            await this.receive(`${what} (unread: ${unread.slice(0, 300)})`, Math.max(1, end - Date.now()));
        }
    }

    /* The next message of any kind. */
    nextMessage(ms = SOON_MS): Promise<Message> {
        return this.takeFirst('a message', () => true, ms);
    }

    expectReply(id: number, ms = SOON_MS): Promise<Message> {
        return this.takeFirst(`reply ${id}`, (json) => json.id === id, ms);
    }

    /* The next push of that kind, of that channel if one is given. The body of the push. */
    async expectPush(kind: string, channel?: string, ms = SOON_MS): Promise<Json> {
        const message = await this.expectPushMessage(kind, channel, ms);
        return message.json.push[kind] as Json;
    }

    expectPushMessage(kind: string, channel?: string, ms = SOON_MS): Promise<Message> {
        const matches = (json: Json) =>
            json.push !== undefined && kind in json.push && (channel === undefined || json.push.channel === channel);
        return this.takeFirst(`${kind} push of ${channel}`, matches, ms);
    }

    async expectPing(ms = SOON_MS) {
        const count = this.pingCount;
        const end = Date.now() + ms;
        while (this.pingCount === count) {
            await this.receive('a ping', Math.max(1, end - Date.now()));
        }
    }

    /* Nothing but replies has come up to here: the server answered a command that was sent after. */
    async expectNothing(kind?: string) {
        await this.call('unsubscribe', { channel: 'open:never-subscribed' });
        const pushes = this.inbox.filter((m) => m.json.push !== undefined && (kind === undefined || kind in m.json.push));
        assert.deepEqual(pushes.map((m) => m.text), []);
    }

    async expectDisconnect(code: number, ms = SOON_MS): Promise<string> {
        return this.ws.expectClose(code, ms);
    }

    /* ---- commands and their replies ---- */

    /* The result of the command; an error reply fails. */
    async call(method: string, body: unknown): Promise<Json> {
        return (await this.callRaw(method, body)).json[method] as Json;
    }

    async callRaw(method: string, body: unknown): Promise<Message> {
        const message = await this.expectReply(this.command(method, body));
        assert.equal(message.json.error, undefined, `${method} ${JSON.stringify(body)}: ${message.text}`);
        assert.ok(method in message.json, message.text);
        return message;
    }

    async expectError(method: string, body: unknown, code: number): Promise<Json> {
        const message = await this.expectReply(this.command(method, body));
        assert.equal(message.json.error?.code, code, `${method} ${JSON.stringify(body)}: ${message.text}`);
        return message.json.error as Json;
    }

    subscribe(channel: string, more: Json = {}): Promise<Json> {
        return this.call('subscribe', { channel, ...more });
    }

    publish(channel: string, data: unknown): Promise<Json> {
        return this.call('publish', { channel, data });
    }

    /* The next publication of the channel. */
    expectPublication(channel: string, ms = SOON_MS): Promise<Json> {
        return this.expectPush('pub', channel, ms);
    }

    close() {
        this.ws.close();
    }
}

/* Connects `count` clients: with SO_REUSEPORT they spread over the workers, all on one only by rare chance. */
export async function connectMany(server: { port: number }, count: number, token?: string): Promise<Client[]> {
    return Promise.all(Array.from({ length: count }, () => Client.connect(server, token)));
}
