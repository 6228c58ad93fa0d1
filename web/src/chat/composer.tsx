/* composer.tsx - where messages are typed, and the line that says who else is typing. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { strings } from '../strings.ts';
import type { Room } from './room.ts';
import { dialog, myName } from './state.ts';
import { MESSAGE_CHARACTERS_MAX } from './timeline.ts';

/* From here on the page says how much room is left. */
const COUNTER_FROM = MESSAGE_CHARACTERS_MAX - 200;

/* What was typed and not sent, by room; going to another room and back keeps it. */
const drafts = new Map<string, string>();

export function Composer({ room }: { room: Room }): JSX.Element {
    const field = useRef<HTMLTextAreaElement>(null);
    const [text, setText] = useState(drafts.get(room.name) ?? '');

    useLayoutEffect(() => {
        const element = field.current;
        if (element !== null) {
            element.style.height = 'auto';
            element.style.height = `${element.scrollHeight + 2}px`;
        }
    }, [text]);

    /* A touch keyboard that comes up by itself hides half of the room. */
    useEffect(() => {
        if (dialog.value === 'none' && matchMedia('(pointer: fine)').matches) {
            field.current?.focus();
        }
    }, [dialog.value]);

    const change = (value: string): void => {
        setText(value);
        drafts.set(room.name, value);
        room.noteTyping(value.trim() !== '');
    };

    const send = (): void => {
        if (text.trim() === '' || text.length > MESSAGE_CHARACTERS_MAX) {
            field.current?.focus();
            return;
        }
        if (myName.value === '') {
            dialog.value = 'name';
            return;
        }
        room.send(text.trimEnd());
        setText('');
        drafts.delete(room.name);
        dispatchEvent(new Event('starling:latest'));
        field.current?.focus();
    };

    const onKeyDown = (event: KeyboardEvent): void => {
        /* While an input method composes a character, Enter belongs to it. */
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
        }
    };

    const typing = strings.chat.typing(room.typists.value.map((typist) => typist.name));
    const left = MESSAGE_CHARACTERS_MAX - text.length;
    return (
        <footer class="composer-place">
            <form
                class="composer"
                onSubmit={(event) => {
                    event.preventDefault();
                    send();
                }}
            >
                <textarea
                    ref={field}
                    rows={1}
                    value={text}
                    dir="auto"
                    aria-label={strings.chat.composer}
                    placeholder={strings.chat.placeholder(room.name)}
                    enterkeyhint="send"
                    onInput={(event) => change(event.currentTarget.value)}
                    onKeyDown={onKeyDown}
                />
                <button
                    type="submit"
                    class="icon-only send"
                    aria-label={strings.chat.send}
                    title={strings.chat.send}
                    disabled={text.trim() === '' || left < 0}
                >
                    <Icon name="send" />
                </button>
            </form>
            <div class="composer-note">
                <p class="typing" role="status" dir="auto">
                    {typing === '' ? null : (
                        <span class="dots" aria-hidden="true">
                            <i />
                            <i />
                            <i />
                        </span>
                    )}
                    {typing}
                </p>
                {text.length > COUNTER_FROM ? (
                    <p class={left < 0 ? 'problem' : 'hint'}>{strings.chat.left_characters(left)}</p>
                ) : null}
            </div>
        </footer>
    );
}
