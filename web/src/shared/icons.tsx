/* icons.tsx - line drawings on a grid of 24; always beside a text or inside a labelled button. */
import type { JSX } from 'preact';

const PATHS = {
    menu: 'M4 6h16M4 12h16M4 18h16',
    people: 'M16 20v-1.500a4 4 0 0 0-4-4H7a4 4 0 0 0-4 4V20M9.500 10.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M21 20v-1.500a4 4 0 0 0-3-3.800M15.500 3.700a3.500 3.500 0 0 1 0 6.600',
    search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M20 20l-4-4',
    send: 'M5 12h14M13 6l6 6-6 6',
    plus: 'M12 5v14M5 12h14',
    close: 'M6 6l12 12M18 6L6 18',
    sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1 1M17.400 17.400l1 1M5.600 18.400l1-1M17.400 6.600l1-1',
    moon: 'M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z',
    system: 'M4 5h16v11H4zM9 20h6M12 16v4',
    copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
    check: 'M5 12.500l4.500 4.500L19 7.500',
    down: 'M12 5v14M6 13l6 6 6-6',
    pause: 'M9 5v14M15 5v14',
    play: 'M8 5l11 7-11 7z',
    cut: 'M6 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6M6 21a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8.500 8l11.500 9M8.500 16L20 7',
    help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M9.500 9.500a2.500 2.500 0 1 1 3.600 2.200c-.7.400-1.100.900-1.100 1.800M12 16.800v.2',
    chat: 'M4 5h16v11H9l-5 4z',
    pulse: 'M3 12h4l3-7 4 14 3-7h4',
    edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
    bin: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
    link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
    smile: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8.500 14.500a4.500 4.500 0 0 0 7 0M9 9.500v.2M15 9.500v.2',
    warn: 'M12 4l9 16H3zM12 10v4M12 17v.2',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
    return (
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d={PATHS[name]} />
        </svg>
    );
}

export function Logo(): JSX.Element {
    return <img class="logo" src="/favicon.svg" alt="" width="28" height="28" />;
}
