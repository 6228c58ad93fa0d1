/* sidebar.tsx - the visited rooms, the way to others, and the reader's own name. */
import { useEffect, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { Icon, Logo } from '../shared/icons.tsx';
import { SiteNav } from '../shared/site-nav.tsx';
import { ThemeSwitch } from '../shared/theme-switch.tsx';
import { strings } from '../strings.ts';
import { chatText } from './strings.ts';
import { Avatar } from './people.tsx';
import type { Room } from './room.ts';
import { parseRoomName, roomHash } from './rooms.ts';
import { current, dialog, drawer, goTo, leaveRoom, myName, rooms } from './state.ts';

/* On a narrow screen the sidebar is a drawer, and out of reach of the keyboard while it is shut. */
const narrow = matchMedia('(max-width: 47.99rem)');
export const isNarrow = signal(narrow.matches);
narrow.addEventListener('change', () => (isNarrow.value = narrow.matches));

function RoomLink({ room }: { room: Room }): JSX.Element {
    const isCurrent = room === current.value;
    const unread = room.unread.value;
    return (
        <li class={unread > 0 ? 'has-unread' : ''}>
            <a
                href={roomHash(room.name)}
                aria-current={isCurrent ? 'page' : undefined}
                onClick={() => (drawer.value = 'none')}
            >
                <span class="hash" aria-hidden="true">
                    #
                </span>
                <span class="room-name" dir="auto">
                    {room.name}
                </span>
                {unread > 0 ? (
                    <>
                        <span class="badge" aria-hidden="true">
                            {chatText.unreadShort(unread)}
                        </span>
                        <span class="visually-hidden">, {chatText.unread(unread)}</span>
                    </>
                ) : null}
            </a>
            <button
                type="button"
                class="quiet icon-only leave"
                aria-label={chatText.leave(room.name)}
                title={chatText.leave(room.name)}
                onClick={() => leaveRoom(room)}
            >
                <Icon name="close" />
            </button>
        </li>
    );
}

function JoinForm(): JSX.Element {
    const [typed, setTyped] = useState('');
    const [problem, setProblem] = useState('');
    const submit = (event: Event): void => {
        event.preventDefault();
        const parsed = parseRoomName(typed);
        if (!parsed.ok) {
            setProblem(parsed.reason);
            return;
        }
        setTyped('');
        setProblem('');
        goTo(parsed.name);
    };
    return (
        <form class="join" onSubmit={submit}>
            <label for="join-room" class="visually-hidden">
                {chatText.joinLabel}
            </label>
            <div class="join-line">
                <input
                    id="join-room"
                    value={typed}
                    placeholder={chatText.joinPlaceholder}
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    aria-invalid={problem === '' ? undefined : true}
                    aria-describedby="join-problem"
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <button
                    type="submit"
                    class="icon-only"
                    aria-label={chatText.joinLabel}
                    title={chatText.joinLabel}
                >
                    <Icon name="plus" />
                </button>
            </div>
            <p id="join-problem" class="problem" role="alert">
                {problem}
            </p>
        </form>
    );
}

export function Sidebar(): JSX.Element {
    const isShut = isNarrow.value && drawer.value !== 'rooms';
    useEffect(() => {
        if (isNarrow.value && drawer.value === 'rooms') {
            document.querySelector<HTMLElement>('.sidebar a[aria-current]')?.focus();
        }
    }, [drawer.value]);
    return (
        <header class="sidebar" inert={isShut}>
            <div class="brand">
                <Logo />
                <span class="wordmark">{strings.product}</span>
                <ThemeSwitch />
                <button
                    type="button"
                    class="quiet icon-only for-narrow"
                    aria-label={chatText.closeRooms}
                    onClick={() => (drawer.value = 'none')}
                >
                    <Icon name="close" />
                </button>
            </div>
            <SiteNav current="chat" />
            <nav class="rooms" aria-labelledby="rooms-title">
                <h2 id="rooms-title">{chatText.rooms}</h2>
                <ul>
                    {rooms.value.map((room) => (
                        <RoomLink key={room.name} room={room} />
                    ))}
                </ul>
                <JoinForm />
            </nav>
            <button type="button" class="quiet me" onClick={() => (dialog.value = 'name')}>
                <Avatar name={myName.value || '?'} />
                <span class="me-name" dir="auto">
                    {myName.value || chatText.nameLabel}
                </span>
                <span class="visually-hidden">: {chatText.changeName}</span>
            </button>
        </header>
    );
}
