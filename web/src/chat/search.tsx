/* search.tsx - finds messages among those that are loaded; a found one is gone to by its link. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatDay, formatTime, truncate } from '../shared/text.ts';
import { messageHash } from './rooms.ts';
import type { Room } from './room.ts';
import { isSearching } from './state.ts';
import { chatText } from './strings.ts';
import { findMessages } from './timeline.ts';

const SHOWN_MAX = 50;

export function Search({ room }: { room: Room }): JSX.Element {
    const [typed, setTyped] = useState('');
    const found = findMessages(room.timeline.value, typed);
    const close = (): void => {
        isSearching.value = false;
    };
    return (
        <section
            class="room-search"
            role="search"
            onKeyDown={(event) => {
                if (event.key === 'Escape') {
                    event.stopPropagation();
                    close();
                }
            }}
        >
            <div class="search-line">
                <input
                    autofocus
                    ref={(element) => element?.focus()}
                    type="search"
                    value={typed}
                    aria-label={chatText.searchLabel}
                    placeholder={chatText.searchLabel}
                    maxLength={200}
                    autocomplete="off"
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <button
                    type="button"
                    class="quiet icon-only"
                    aria-label={chatText.closeSearch}
                    title={chatText.closeSearch}
                    onClick={close}
                >
                    <Icon name="close" />
                </button>
            </div>
            <p class="hint" role="status">
                {typed.trim() === ''
                    ? ''
                    : found.length === 0
                      ? chatText.searchNone
                      : chatText.searchFound(found.length)}
            </p>
            <ol class="found">
                {found.slice(0, SHOWN_MAX).map((message) => (
                    <li key={message.key}>
                        <a href={messageHash(room.name, message.offset)} dir="auto">
                            <bdi class="author">{message.author}</bdi>{' '}
                            {message.hasTime ? (
                                <time>
                                    {formatDay(message.time)}, {formatTime(message.time)}
                                </time>
                            ) : null}
                            <span class="found-text">{truncate(message.text, 160)}</span>
                        </a>
                    </li>
                ))}
            </ol>
        </section>
    );
}
