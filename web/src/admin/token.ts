/* token.ts - what stands in a JSON Web Token. Pure, and never sends the token anywhere.
 *
 * The signature is not checked: that needs the server's key. What can be said without it is whether the server
 * would refuse the token whatever its signature is.
 */
import { strings } from './strings.ts';

export interface DecodedToken {
    header: Record<string, unknown>;
    claims: Record<string, unknown>;
    /* Reasons to refuse it; empty: only the signature decides. */
    problems: string[];
    notes: string[];
}

export const TOKEN_CHARACTERS_MAX = 8 * 1024;

function decodePart(part: string): Record<string, unknown> | null {
    try {
        const binary = atob(part.replace(/-/g, '+').replace(/_/g, '/'));
        const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
        const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
        return typeof value === 'object' && value !== null && !Array.isArray(value)
            ? (value as Record<string, unknown>)
            : null;
    } catch {
        return null;
    }
}

const when = (seconds: number): string => new Date(seconds * 1000).toLocaleString();

function checkTimes(claims: Record<string, unknown>, now: number, out: DecodedToken): void {
    const { exp, nbf, iat } = claims;
    for (const [name, value] of Object.entries({ exp, nbf, iat })) {
        if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value) || Math.abs(value) > 1e11)) {
            out.problems.push(strings.token.notATime(name));
        }
    }
    if (typeof exp === 'number' && Math.abs(exp) <= 1e11) {
        if (exp <= now) {
            out.problems.push(strings.token.expired(when(exp)));
        } else {
            out.notes.push(strings.token.expires(when(exp)));
        }
    } else if (exp === undefined) {
        out.notes.push(strings.token.noExpiry);
    }
    if (typeof nbf === 'number' && nbf > now && Math.abs(nbf) <= 1e11) {
        out.problems.push(strings.token.notYet(when(nbf)));
    }
}

/* null: it is not made of three parts, two of them JSON objects. `now` in seconds. */
export function decodeToken(text: string, now: number): DecodedToken | null {
    const parts = text.trim().split('.');
    if (parts.length !== 3 || text.length > TOKEN_CHARACTERS_MAX) {
        return null;
    }
    const [header, claims] = [decodePart(parts[0]!), decodePart(parts[1]!)];
    if (header === null || claims === null) {
        return null;
    }
    const out: DecodedToken = { header, claims, problems: [], notes: [] };
    const { alg } = header;
    if (typeof alg !== 'string' || alg.toLowerCase() === 'none' || parts[2] === '') {
        out.problems.push(strings.token.unsigned);
    }
    checkTimes(claims, now, out);
    if (typeof claims.channel === 'string') {
        out.notes.push(strings.token.forChannel(claims.channel));
    } else {
        out.notes.push(strings.token.forUser(typeof claims.sub === 'string' ? claims.sub : ''));
    }
    return out;
}
