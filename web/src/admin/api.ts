/* api.ts - calls of the server API (server/API.md), and what lets this browser make them.
 *
 * A development server asks for nothing. Others take the cookie of somebody signed in as administrator, with the
 * XSRF token in a header, or an API key. The key is kept in sessionStorage only: it is gone with the tab.
 */
import { signal } from '@preact/signals';

export type Outcome<T> = { ok: true; result: T } | { ok: false; status: number; message: string };
/* 'key': neither cookie nor key has let us in yet. 'password': the same, and the server has a sign-in. */
export type Access = 'unknown' | 'granted' | 'key' | 'password';

export const access = signal<Access>('unknown');
/* The last key or password that was tried was wrong. */
export const wasRefused = signal(false);
/* Who is signed in by cookie; empty: nobody, or a key is in use. */
export const signedInAs = signal('');

const KEY_NAME = 'starling.admin.key';
const ANSWER_MS = 10_000;
let xsrf = '';

function storedKey(): string {
    try {
        return sessionStorage.getItem(KEY_NAME) ?? '';
    } catch {
        return '';
    }
}

function storeKey(key: string): void {
    try {
        if (key === '') {
            sessionStorage.removeItem(KEY_NAME);
        } else {
            sessionStorage.setItem(KEY_NAME, key);
        }
    } catch {
        memoryKey = key;
    }
}
/* Where the browser allows no storage at all. */
let memoryKey = '';

function credentials(): Record<string, string> {
    const key = storedKey() || memoryKey;
    if (key !== '') {
        return { 'X-API-Key': key };
    }
    return xsrf === '' ? {} : { 'X-XSRFToken': xsrf };
}

interface Session {
    user?: unknown;
    admin?: unknown;
    sign_in?: { password?: unknown };
    xsrf?: unknown;
}

/* Who the cookie says we are; null: this server has no sign-in. */
async function readSession(): Promise<Session | null> {
    try {
        const answer = await fetch('/session', { headers: { Accept: 'application/json' }, cache: 'no-store' });
        const session = answer.ok ? ((await answer.json()) as Session) : null;
        xsrf = typeof session?.xsrf === 'string' ? session.xsrf : '';
        signedInAs.value = session?.admin === true ? String(session.user ?? '') : '';
        return session;
    } catch {
        return null;
    }
}

async function post(method: string, body: string): Promise<Response> {
    return fetch(`/api/${method}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...credentials() },
        body,
        cache: 'no-store',
        signal: AbortSignal.timeout(ANSWER_MS),
    });
}

/* A cookie's XSRF token may have changed in another tab: asked for once more. */
async function postWithCookie(method: string, body: string): Promise<Response> {
    const first = await post(method, body);
    if ((first.status !== 401 && first.status !== 403) || storedKey() !== '' || memoryKey !== '') {
        return first;
    }
    const session = await readSession();
    if (session?.admin === true) {
        return post(method, body);
    }
    access.value = session?.sign_in?.password === true ? 'password' : 'key';
    return first;
}

/* `params` is an object, or JSON that goes out byte for byte. */
export async function call<T>(method: string, params: object | string): Promise<Outcome<T>> {
    const body = typeof params === 'string' ? params : JSON.stringify(params);
    try {
        const answer = await postWithCookie(method, body);
        if (answer.status === 401 || answer.status === 403) {
            wasRefused.value = storedKey() !== '' || memoryKey !== '';
            storeKey('');
            memoryKey = '';
            access.value = access.value === 'password' ? 'password' : 'key';
            return { ok: false, status: answer.status, message: answer.statusText };
        }
        const text = await answer.text();
        if (!answer.ok) {
            return { ok: false, status: answer.status, message: text.slice(0, 200) || String(answer.status) };
        }
        access.value = 'granted';
        const json = JSON.parse(text) as { result?: T; error?: { code: number; message: string } };
        if (json.error !== undefined) {
            return { ok: false, status: 200, message: `${json.error.message} (${json.error.code})` };
        }
        return { ok: true, result: (json.result ?? json) as T };
    } catch (error) {
        return { ok: false, status: 0, message: (error as Error).message };
    }
}

export async function useKey(key: string): Promise<boolean> {
    wasRefused.value = false;
    storeKey(key.trim());
    return (await call('info', {})).ok;
}

export async function signIn(user: string, password: string): Promise<boolean> {
    wasRefused.value = false;
    if (xsrf === '') {
        await readSession();
    }
    try {
        const answer = await fetch('/session', {
            method: 'POST',
            headers: { 'X-XSRFToken': xsrf, Accept: 'application/json' },
            body: new URLSearchParams({ user, password }),
        });
        wasRefused.value = !answer.ok;
    } catch {
        wasRefused.value = true;
    }
    return !wasRefused.value && (await call('info', {})).ok;
}

/* Forgets the key, or ends the session of the cookie. */
export async function signOut(): Promise<void> {
    storeKey('');
    memoryKey = '';
    if (signedInAs.value !== '') {
        await fetch('/session/end', {
            method: 'POST',
            headers: { 'X-XSRFToken': xsrf },
            body: new URLSearchParams(),
        }).catch(() => undefined);
    }
    signedInAs.value = '';
    access.value = 'unknown';
    await call('info', {});
}

export const hasKey = (): boolean => storedKey() !== '' || memoryKey !== '';
