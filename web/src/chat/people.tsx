/* people.tsx - who is in the room. */
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { colourOf, initialOf } from '../shared/text.ts';
import { chatText } from './strings.ts';
import { current, drawer } from './state.ts';

const AVATAR_COLOURS = 8;
/* More rows than this help nobody. */
const SHOWN_MAX = 200;

export function Avatar({ name }: { name: string }): JSX.Element {
    return (
        <span class={`avatar colour-${colourOf(name, AVATAR_COLOURS)}`} aria-hidden="true">
            {initialOf(name)}
        </span>
    );
}

export function People(): JSX.Element {
    const people = current.value?.people.value ?? null;
    const hidden = people === null ? 0 : Math.max(0, people.length - SHOWN_MAX);
    return (
        <aside class="people" aria-labelledby="people-title">
            <div class="people-head">
                <h2 id="people-title">{chatText.people}</h2>
                <button
                    type="button"
                    class="quiet icon-only for-narrow"
                    aria-label={chatText.closePeople}
                    onClick={() => (drawer.value = 'none')}
                >
                    <Icon name="close" />
                </button>
            </div>
            {people === null ? (
                <p class="hint">{chatText.peopleUnknown}</p>
            ) : (
                <ul>
                    {people.slice(0, SHOWN_MAX).map((person) => (
                        <li key={person.client} class={person.isAway ? 'is-away' : ''}>
                            <Avatar name={person.name} />
                            <span class="person-name" dir="auto">
                                {person.name}
                            </span>
                            {person.isAway ? <span class="tag">{chatText.away}</span> : null}
                            {person.isMe ? <span class="tag">{chatText.you}</span> : null}
                        </li>
                    ))}
                </ul>
            )}
            {hidden > 0 ? <p class="hint">{chatText.peopleMore(hidden)}</p> : null}
        </aside>
    );
}
