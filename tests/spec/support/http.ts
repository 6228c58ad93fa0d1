/* http.ts - requests and responses on a RawSocket, exactly as written. */
import { SOON_MS } from './deadline.ts';
import { RawSocket, type RawSocketOptions } from './raw_socket.ts';

export interface HttpResponse {
    status: number;
    /* Names in lower case; repeated headers joined by ", ". */
    headers: Record<string, string>;
    head: string;
    body: string;
}

/* Reads one response; `isBodiless` for the answer to HEAD. */
export async function readResponse(socket: RawSocket, isBodiless = false, ms = SOON_MS): Promise<HttpResponse> {
    const head = await socket.readThrough('\r\n\r\n', 'the head of a response', ms);
    const lines = head.slice(0, -4).split('\r\n');
    const match = /^HTTP\/1\.1 (\d{3}) .+$/.exec(lines[0] ?? '');
    if (match === null) {
        throw new Error(`not a status line: ${JSON.stringify(lines[0])}`);
    }
    const status = Number(match[1]);
    const headers: Record<string, string> = {};
    for (const line of lines.slice(1)) {
        const colon = line.indexOf(':');
        const name = line.slice(0, colon).toLowerCase();
        const value = line.slice(colon + 1).trim();
        headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    let body = '';
    const hasBody = !isBodiless && status !== 101 && status !== 100 && status !== 204 && status !== 304;
    if (hasBody && headers['transfer-encoding'] === 'chunked') {
        for (;;) {
            const size = parseInt(await socket.readThrough('\r\n', 'the size of a chunk', ms), 16);
            const chunk = await socket.read(size + 2, 'a chunk', ms);
            if (size === 0) {
                break;
            }
            body += chunk.toString('utf8', 0, size);
        }
    } else if (hasBody) {
        const bytes = await socket.read(Number(headers['content-length']), 'the body of a response', ms);
        body = bytes.toString('utf8');
    }
    return { status, headers, head, body };
}

export interface RequestOptions extends RawSocketOptions {
    method?: string;
    headers?: Record<string, string>;
    body?: string | Uint8Array;
}

/* A request on a connection of its own. */
export async function request(port: number, path: string, options: RequestOptions = {}): Promise<HttpResponse> {
    const socket = await RawSocket.open(port, options);
    const method = options.method ?? 'GET';
    const body = typeof options.body === 'string' ? Buffer.from(options.body) : options.body;
    const headers: Record<string, string> = { Host: `127.0.0.1:${port}`, Connection: 'close', ...options.headers };
    if (body !== undefined) {
        headers['Content-Length'] = String(body.length);
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    if (body !== undefined) {
        socket.write(body);
    }
    try {
        return await readResponse(socket, method === 'HEAD');
    } finally {
        socket.close();
    }
}
