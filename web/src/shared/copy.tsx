/* copy.tsx - a line of code with a button that copies it. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { strings } from '../strings.ts';
import { Icon, type IconName } from './icons.tsx';

export async function copyText(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        /* Plain http on another host than localhost has no clipboard; the text can still be selected. */
        return false;
    }
}

export function Snippet({ code, label }: { code: string; label: string }): JSX.Element {
    const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle');
    const copy = async (): Promise<void> => {
        setState((await copyText(code)) ? 'copied' : 'failed');
        setTimeout(() => setState('idle'), 2_000);
    };
    const text = { idle: strings.copy, copied: strings.copied, failed: strings.copyFailed }[state];
    return (
        <div class="snippet">
            <pre>
                <code>{code}</code>
            </pre>
            <button
                type="button"
                class="quiet icon-only small"
                onClick={copy}
                title={text}
                aria-label={`${text}: ${label}`}
            >
                <Icon name={{ idle: 'copy', copied: 'check', failed: 'warn' }[state] as IconName} />
            </button>
        </div>
    );
}
