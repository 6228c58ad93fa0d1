/* dialogs.tsx - the name, the room switcher, the help: native modal dialogs, at most one at a time. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { NAME_CHARACTERS_MAX } from '../shared/text.ts';
import { strings } from '../strings.ts';
import { chatText } from './strings.ts';
import { parseRoomName } from './rooms.ts';
import { dialog, goTo, myName, notifying, rooms, setName, toggleNotifying } from './state.ts';

function Modal({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
    const element = useRef<HTMLDialogElement>(null);
    const close = (): void => {
        dialog.value = 'none';
    };
    useEffect(() => {
        const shown = element.current;
        shown?.showModal();
        return () => shown?.close();
    }, []);
    return (
        <dialog
            ref={element}
            aria-label={title}
            onClose={close}
            onClick={(event) => {
                if (event.target === element.current) {
                    close();
                }
            }}
        >
            <div class="dialog-body">
                <header>
                    <h2>{title}</h2>
                    <button type="button" class="quiet icon-only" aria-label={strings.close} onClick={close}>
                        <Icon name="close" />
                    </button>
                </header>
                {children}
            </div>
        </dialog>
    );
}

function NameDialog(): JSX.Element {
    const [name, change] = useState(myName.value);
    const isFirst = myName.value === '';
    const submit = (event: Event): void => {
        event.preventDefault();
        setName(name);
    };
    return (
        <Modal title={chatText.nameTitle}>
            <form onSubmit={submit}>
                <p class="hint" id="name-hint">
                    {chatText.nameHint}
                </p>
                <label for="name-field" class="visually-hidden">
                    {chatText.nameLabel}
                </label>
                <input
                    id="name-field"
                    autofocus
                    value={name}
                    maxLength={NAME_CHARACTERS_MAX}
                    dir="auto"
                    required
                    placeholder={chatText.nameLabel}
                    autocomplete="nickname"
                    aria-describedby="name-hint"
                    onInput={(event) => change(event.currentTarget.value)}
                />
                <button type="submit" class="primary">
                    {isFirst ? chatText.nameSave : chatText.nameChange}
                </button>
            </form>
        </Modal>
    );
}

function Switcher(): JSX.Element {
    const [typed, change] = useState('');
    const [chosen, choose] = useState(0);
    const parsed = parseRoomName(typed);
    const query = typed.trim().replace(/^#/, '').toLowerCase();
    const found = rooms.value.filter((room) => room.name.includes(query)).map((room) => room.name);
    const canCreate = parsed.ok && !rooms.value.some((room) => room.name === parsed.name);
    const names = canCreate ? [...found, parsed.name] : found;
    const index = Math.min(chosen, Math.max(0, names.length - 1));

    const onKeyDown = (event: KeyboardEvent): void => {
        if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
            event.preventDefault();
            const step = event.key === 'ArrowDown' ? 1 : -1;
            choose((index + step + names.length) % Math.max(1, names.length));
        } else if (event.key === 'Enter' && !event.isComposing) {
            event.preventDefault();
            const name = names[index];
            if (name !== undefined) {
                goTo(name);
            }
        }
    };
    return (
        <Modal title={chatText.switcher}>
            <input
                autofocus
                role="combobox"
                aria-expanded="true"
                aria-controls="switcher-list"
                value={typed}
                aria-activedescendant={names.length > 0 ? `switch-${index}` : undefined}
                aria-label={chatText.switcher}
                placeholder={chatText.switcherHint}
                autocomplete="off"
                autocapitalize="none"
                spellcheck={false}
                onKeyDown={onKeyDown}
                onInput={(event) => {
                    change(event.currentTarget.value);
                    choose(0);
                }}
            />
            <ul id="switcher-list" role="listbox" aria-label={chatText.rooms} class="switcher-list">
                {names.map((name, position) => {
                    const isNew = canCreate && position === names.length - 1;
                    return (
                        <li
                            key={name}
                            id={`switch-${position}`}
                            role="option"
                            aria-selected={position === index}
                            onClick={() => goTo(name)}
                            onPointerMove={() => choose(position)}
                        >
                            {isNew ? (
                                chatText.switcherCreate(name)
                            ) : (
                                <>
                                    <span class="hash">#</span>
                                    {name}
                                </>
                            )}
                        </li>
                    );
                })}
            </ul>
            <p class="problem" role="alert">
                {typed !== '' && !parsed.ok && found.length === 0 ? parsed.reason : ''}
            </p>
        </Modal>
    );
}

function Help(): JSX.Element {
    return (
        <Modal title={chatText.help}>
            <div class="help">
                <section>
                    <h3>{chatText.keysTitle}</h3>
                    <dl>
                        {chatText.keys.map(([keys, what]) => (
                            <div key={keys}>
                                <dt>
                                    <kbd>{keys}</kbd>
                                </dt>
                                <dd>{what}</dd>
                            </div>
                        ))}
                    </dl>
                </section>
                <section>
                    <h3>{chatText.formattingTitle}</h3>
                    <dl>
                        {chatText.formatting.map(([typed, what]) => (
                            <div key={typed}>
                                <dt>
                                    <code>{typed}</code>
                                </dt>
                                <dd>{what}</dd>
                            </div>
                        ))}
                    </dl>
                </section>
            </div>
            {notifying.value === 'unavailable' ? null : notifying.value === 'denied' ? (
                <p class="hint">{chatText.notifyDenied}</p>
            ) : (
                <p>
                    <button
                        type="button"
                        aria-pressed={notifying.value === 'on'}
                        onClick={() => void toggleNotifying()}
                    >
                        {notifying.value === 'on' ? chatText.notifyOn : chatText.notify}
                    </button>
                </p>
            )}
        </Modal>
    );
}

export function Dialogs(): JSX.Element | null {
    switch (dialog.value) {
        case 'name':
            return <NameDialog key="name" />;
        case 'switcher':
            return <Switcher key="switcher" />;
        case 'help':
            return <Help key="help" />;
        case 'none':
            return null;
    }
}
