/* theme-switch.tsx - light, dark, or as the system says; theme.ts applies the choice on the next load. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { strings } from '../strings.ts';
import { Icon, type IconName } from './icons.tsx';
import { loadText, saveText } from './storage.ts';

type Theme = 'system' | 'light' | 'dark';
const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const ICONS: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' };

const stored = loadText('theme');
const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system');

function choose(next: Theme): void {
    theme.value = next;
    saveText('theme', next === 'system' ? '' : next);
    if (next === 'system') {
        delete document.documentElement.dataset.theme;
    } else {
        document.documentElement.dataset.theme = next;
    }
}

export function ThemeSwitch(): JSX.Element {
    const label = strings.theme.label(strings.theme[theme.value]);
    return (
        <button
            type="button"
            class="quiet icon-only"
            aria-label={label}
            title={label}
            onClick={() => choose(NEXT[theme.value])}
        >
            <Icon name={ICONS[theme.value]} />
        </button>
    );
}
