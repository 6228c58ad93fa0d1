/* page-header.tsx - the top line of the pages that are documents: front door, feed and admin. */
import type { ComponentChildren, JSX } from 'preact';
import { strings } from '../strings.ts';
import { Logo } from './icons.tsx';
import { SiteNav } from './site-nav.tsx';
import { ThemeSwitch } from './theme-switch.tsx';

interface Props {
    current: 'home' | 'feed' | 'admin';
    /* Stays in sight with the line: the banner. */
    children?: ComponentChildren;
}

export function PageHeader({ current, children }: Props): JSX.Element {
    return (
        <div class="page-top">
            <header class="page-header">
                <a class="brand" href="/">
                    <Logo />
                    <span class="wordmark">{strings.product}</span>
                </a>
                <SiteNav current={current} />
                <ThemeSwitch />
            </header>
            {children}
        </div>
    );
}
