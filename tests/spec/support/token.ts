/* token.ts - JSON Web Tokens as an application's backend would make them. */
import { createHmac } from 'node:crypto';
import { TOKEN_SECRET } from './server.ts';

export type Claims = { [name: string]: unknown };

function encode(value: unknown): string {
    return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

export function makeToken(claims: Claims | string, secret = TOKEN_SECRET, header: Claims = { alg: 'HS256', typ: 'JWT' }) {
    const signed = `${encode(header)}.${encode(claims)}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/* Seconds from now, as exp has them. */
export function inSeconds(seconds: number): number {
    return Math.floor(Date.now() / 1000) + seconds;
}

export function userToken(user: string, claims: Claims = {}): string {
    return makeToken({ sub: user, ...claims });
}

export function subscriptionToken(user: string, channel: string, claims: Claims = {}): string {
    return makeToken({ sub: user, channel, ...claims });
}
