/* page-header.tsx - the top line of the pages that are documents: front door and feed. */
import type { JSX } from 'preact';
import { strings } from '../strings.ts';
import { Logo } from './icons.tsx';
import { SiteNav } from './site-nav.tsx';
import { ThemeSwitch } from './theme-switch.tsx';

export function PageHeader({ current }: { current: 'home' | 'feed' }): JSX.Element {
    return (
        <header class="page-header">
            <a class="brand" href="/">
                <Logo />
                <span class="wordmark">{strings.product}</span>
            </a>
            <SiteNav current={current} />
            <ThemeSwitch />
        </header>
    );
}
