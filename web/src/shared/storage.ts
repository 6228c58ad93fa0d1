/* storage.ts - localStorage that may be missing, full, forbidden or hold nonsense. */

const PREFIX = 'starling.';

export function load(key: string): unknown {
    try {
        const text = localStorage.getItem(PREFIX + key);
        return text === null ? null : JSON.parse(text);
    } catch {
        return null;
    }
}

export function save(key: string, value: unknown): void {
    try {
        localStorage.setItem(PREFIX + key, JSON.stringify(value));
    } catch {
        /* The page works without; it only forgets on reload. */
    }
}

export function loadText(key: string): string {
    try {
        return localStorage.getItem(PREFIX + key) ?? '';
    } catch {
        return '';
    }
}

export function saveText(key: string, value: string): void {
    try {
        if (value === '') {
            localStorage.removeItem(PREFIX + key);
        } else {
            localStorage.setItem(PREFIX + key, value);
        }
    } catch {
        /* As above. */
    }
}
