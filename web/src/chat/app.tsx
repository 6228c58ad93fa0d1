/* app.tsx - the frame of the chat page: rooms, the room, people; and the keys that work everywhere in it. */
import { useEffect } from 'preact/hooks';
import type { JSX } from 'preact';
import { Banner } from '../shared/banner.tsx';
import { Icon } from '../shared/icons.tsx';
import { strings } from '../strings.ts';
import { chatText } from './strings.ts';
import { Composer } from './composer.tsx';
import { Dialogs } from './dialogs.tsx';
import { Messages } from './messages.tsx';
import { People } from './people.tsx';
import { Sidebar } from './sidebar.tsx';
import { Search } from './search.tsx';
import {
    announcement,
    connection,
    current,
    dialog,
    drawer,
    goToNeighbour,
    isSearching,
    roomProblem,
} from './state.ts';

function isTyping(target: EventTarget | null): boolean {
    return (
        target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable]') !== null
    );
}

function onKeyDown(event: KeyboardEvent): void {
    const hasControl = event.ctrlKey || event.metaKey;
    if (hasControl && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        dialog.value = dialog.value === 'switcher' ? 'none' : 'switcher';
    } else if (dialog.value !== 'none') {
        return;
    } else if (event.altKey && !hasControl && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
        event.preventDefault();
        goToNeighbour(event.key === 'ArrowUp' ? -1 : 1);
    } else if (event.key === 'Escape') {
        if (drawer.value !== 'none') {
            drawer.value = 'none';
        } else {
            dispatchEvent(new Event('starling:latest'));
        }
    } else if (event.key === '?' && !hasControl && !isTyping(event.target)) {
        event.preventDefault();
        dialog.value = 'help';
    }
}

function RoomHeader(): JSX.Element {
    const room = current.value;
    const people = room?.people.value ?? null;
    return (
        <header class="room-header">
            <button
                type="button"
                class="quiet icon-only for-narrow"
                aria-label={chatText.openRooms}
                aria-expanded={drawer.value === 'rooms'}
                onClick={() => (drawer.value = 'rooms')}
            >
                <Icon name="menu" />
            </button>
            <h1 dir="auto">
                <span class="hash" aria-hidden="true">
                    #
                </span>
                {room?.name ?? ''}
            </h1>
            <button
                type="button"
                class="quiet people-button"
                aria-expanded={drawer.value === 'people'}
                title={chatText.people}
                onClick={() => (drawer.value = drawer.value === 'people' ? 'none' : 'people')}
            >
                <Icon name="people" />
                <span class="people-count" data-count={people?.length ?? ''}>
                    {people === null ? '–' : people.length}
                </span>
                <span class="visually-hidden">
                    {people === null ? chatText.people : chatText.peopleCount(people.length)}
                </span>
            </button>
            <button
                type="button"
                class="quiet icon-only"
                aria-label={chatText.search}
                title={chatText.search}
                aria-expanded={isSearching.value}
                onClick={() => (isSearching.value = !isSearching.value)}
            >
                <Icon name="search" />
            </button>
            <button
                type="button"
                class="quiet icon-only for-wide"
                aria-label={chatText.switcher}
                title={`${chatText.switcher} (Ctrl+K)`}
                onClick={() => (dialog.value = 'switcher')}
            >
                <Icon name="menu" />
            </button>
            <button
                type="button"
                class="quiet icon-only for-wide"
                aria-label={chatText.help}
                title={`${chatText.help} (?)`}
                onClick={() => (dialog.value = 'help')}
            >
                <Icon name="help" />
            </button>
        </header>
    );
}

export function App(): JSX.Element {
    useEffect(() => {
        addEventListener('keydown', onKeyDown);
        return () => removeEventListener('keydown', onKeyDown);
    }, []);
    const room = current.value;
    return (
        <div class={`chat drawer-${drawer.value}`}>
            <Sidebar />
            <main class="room">
                <RoomHeader />
                <Banner connection={connection} />
                {room !== null && isSearching.value ? <Search key={`search-${room.name}`} room={room} /> : null}
                {roomProblem.value === '' ? null : (
                    <p class="problem" role="alert">
                        {roomProblem.value}
                    </p>
                )}
                {room === null ? null : <Messages key={`log-${room.name}`} room={room} />}
                {room === null ? null : <Composer key={`composer-${room.name}`} room={room} />}
            </main>
            <People />
            {drawer.value === 'none' ? null : (
                <button
                    type="button"
                    class="backdrop"
                    tabIndex={-1}
                    aria-label={strings.close}
                    onClick={() => (drawer.value = 'none')}
                />
            )}
            <p class="visually-hidden" role="status">
                {announcement.value}
            </p>
            <Dialogs />
        </div>
    );
}
