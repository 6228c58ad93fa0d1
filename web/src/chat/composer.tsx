/* composer.tsx - where messages are typed, and the line that says who else is typing. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { chatText } from './strings.ts';
import type { Room } from './room.ts';
import { completionAt, replaceShortcodes } from './emoji.ts';
import { dialog, editing, myName } from './state.ts';
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

    const [caret, setCaret] = useState(0);
    const [chosen, choose] = useState(0);
    /* What was typed before a message was taken up to be changed. */
    const draft = useRef('');
    const completion = completionAt(text, caret);
    const choice = completion === null ? 0 : Math.min(chosen, completion.found.length - 1);

    const edited = room.timeline.value.settled.find(
        (message) => message.id !== '' && message.id === editing.value,
    );
    useEffect(() => {
        if (edited !== undefined) {
            draft.current = text;
            setText(edited.text);
            field.current?.focus();
        }
    }, [edited?.id]);

    const stopEditing = (): void => {
        editing.value = '';
        setText(draft.current);
        draft.current = '';
        field.current?.focus();
    };

    const change = (value: string): void => {
        setText(value);
        setCaret(field.current?.selectionStart ?? value.length);
        choose(0);
        if (edited === undefined) {
            drafts.set(room.name, value);
        }
        room.noteTyping(value.trim() !== '');
    };

    const complete = (index: number): void => {
        const found = completion?.found[index];
        if (completion === null || found === undefined) {
            return;
        }
        const before = `${text.slice(0, completion.start)}${found.emoji} `;
        const value = before + text.slice(caret);
        setText(value);
        setCaret(before.length);
        if (edited === undefined) {
            drafts.set(room.name, value);
        }
        requestAnimationFrame(() => {
            field.current?.focus();
            field.current?.setSelectionRange(before.length, before.length);
        });
    };

    /* The reader's newest message, to be changed with one key. */
    const editLast = (): void => {
        const own = room.timeline.value.settled.filter(
            (message) =>
                message.id !== '' &&
                !message.isDeleted &&
                (message.isMine || message.author === myName.value),
        );
        editing.value = own[own.length - 1]?.id ?? '';
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
        if (edited !== undefined) {
            const changed = replaceShortcodes(text.trimEnd());
            if (changed !== edited.text) {
                room.change('edit', edited, changed);
            }
            stopEditing();
            return;
        }
        room.send(replaceShortcodes(text.trimEnd()));
        setText('');
        drafts.delete(room.name);
        dispatchEvent(new Event('starling:latest'));
        field.current?.focus();
    };

    const onKeyDown = (event: KeyboardEvent): void => {
        if (completion !== null && !event.isComposing) {
            if (event.key === 'Tab' || event.key === 'Enter') {
                event.preventDefault();
                complete(choice);
                return;
            }
            if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
                event.preventDefault();
                const count = completion.found.length;
                choose((choice + (event.key === 'ArrowDown' ? 1 : count - 1)) % count);
                return;
            }
            if (event.key === 'Escape') {
                event.stopPropagation();
                setCaret(0);
                return;
            }
        }
        if (event.key === 'Escape' && edited !== undefined) {
            event.stopPropagation();
            stopEditing();
            return;
        }
        if (event.key === 'ArrowUp' && text === '' && !event.altKey && !event.ctrlKey && !event.metaKey) {
            event.preventDefault();
            editLast();
            return;
        }
        /* While an input method composes a character, Enter belongs to it. */
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
        }
    };

    const typing = chatText.typing(room.typists.value.map((typist) => typist.name));
    const left = MESSAGE_CHARACTERS_MAX - text.length;
    return (
        <footer class="composer-place">
            {edited === undefined ? null : (
                <p class="editing-note">
                    <Icon name="edit" />
                    <span role="status">{chatText.editing}</span>
                    <button
                        type="button"
                        class="quiet icon-only small"
                        aria-label={chatText.cancelEdit}
                        title={chatText.cancelEdit}
                        onClick={stopEditing}
                    >
                        <Icon name="close" />
                    </button>
                </p>
            )}
            <ul
                id="emoji-list"
                class="emoji-list"
                role="listbox"
                aria-label={chatText.emoji}
                hidden={completion === null}
            >
                {(completion?.found ?? []).map(({ code, emoji }, index) => (
                    <li
                        key={code}
                        id={`emoji-${index}`}
                        role="option"
                        aria-selected={index === choice}
                        onPointerDown={(event) => {
                            event.preventDefault();
                            complete(index);
                        }}
                    >
                        <span aria-hidden="true">{emoji}</span> :{code}:
                    </li>
                ))}
            </ul>
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
                    aria-autocomplete="list"
                    aria-haspopup="listbox"
                    aria-controls="emoji-list"
                    aria-activedescendant={completion === null ? undefined : `emoji-${choice}`}
                    onClick={(event) => setCaret(event.currentTarget.selectionStart)}
                    value={text}
                    dir="auto"
                    aria-label={chatText.composer}
                    placeholder={chatText.placeholder(room.name)}
                    enterkeyhint="send"
                    onInput={(event) => change(event.currentTarget.value)}
                    onKeyDown={onKeyDown}
                />
                <button
                    type="submit"
                    class="icon-only send"
                    aria-label={chatText.send}
                    title={chatText.send}
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
                    <p class={left < 0 ? 'problem' : 'hint'}>{chatText.left_characters(left)}</p>
                ) : null}
            </div>
        </footer>
    );
}
