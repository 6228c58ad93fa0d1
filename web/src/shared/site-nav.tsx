/* site-nav.tsx - the links between the pages. */
import type { JSX } from 'preact';
import { strings } from '../strings.ts';

const PAGES = ['home', 'chat', 'feed', 'admin'] as const;
const PATHS = { home: '/', chat: '/chat', feed: '/feed', admin: '/admin' };

export function SiteNav({ current }: { current: (typeof PAGES)[number] }): JSX.Element {
    return (
        <nav class="site-nav" aria-label={strings.nav.label}>
            {PAGES.map((page) => (
                <a key={page} href={PATHS[page]} aria-current={page === current ? 'page' : undefined}>
                    {strings.nav[page]}
                </a>
            ))}
        </nav>
    );
}
