/* cookie.ts - signed cookies as a Tornado application makes them, version 2. */
import { createHmac } from 'node:crypto';

export interface CookieOptions {
    secret: string;
    name?: string;
    keyVersion?: number;
    timeS?: number;
}

export function signedCookie(value: string, options: CookieOptions): string {
    const { secret, name = 'user', keyVersion = 0, timeS = Math.floor(Date.now() / 1000) } = options;
    const fields = [String(keyVersion), String(timeS), name, Buffer.from(value).toString('base64')];
    const signed = `2|${fields.map((field) => `${Buffer.byteLength(field)}:${field}|`).join('')}`;
    return signed + createHmac('sha256', secret).update(signed).digest('hex');
}
