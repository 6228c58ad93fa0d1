/* message-row.tsx - one message. Drawn again only when its own message or its place in a group changed. */
import { useState } from 'preact/hooks';
import { Component, type ComponentChildren, type JSX } from 'preact';
import { copyText } from '../shared/copy.tsx';
import { Icon } from '../shared/icons.tsx';
import { renderMarkdown } from '../shared/markdown.tsx';
import { formatExact, formatTime } from '../shared/text.ts';
import { chatText } from './strings.ts';
import { QUICK } from './emoji.ts';
import { Avatar } from './people.tsx';
import type { Message } from './timeline.ts';

interface Props {
    message: Message;
    isFirstOfGroup: boolean;
    isOwn: boolean;
    onRetry(id: string): void;
    onRemove(id: string): void;
    /* The message calls the reader by name; a link leads to it; it is being changed. */
    isMention: boolean;
    isTarget: boolean;
    isEditing: boolean;
    myName: string;
    linkOf(message: Message): string;
    onReact(message: Message, emoji: string): void;
    onEdit(message: Message): void;
    onDelete(message: Message): void;
}

function Reactions({ message, myName, onReact }: Props): JSX.Element | null {
    if (message.reactions.length === 0) {
        return null;
    }
    return (
        <ul class="reactions">
            {message.reactions.map(({ emoji, names }) => (
                <li key={emoji}>
                    <button
                        type="button"
                        aria-pressed={names.includes(myName)}
                        aria-label={chatText.reaction(emoji, names)}
                        title={names.join(', ')}
                        onClick={() => onReact(message, emoji)}
                    >
                        <span aria-hidden="true">
                            {emoji} {names.length}
                        </span>
                    </button>
                </li>
            ))}
        </ul>
    );
}

/* Shown while the pointer or the focus is in the message. */
function Actions({ message, isOwn, linkOf, onReact, onEdit, onDelete }: Props): JSX.Element {
    const [isCopied, setCopied] = useState(false);
    const [isAsking, setAsking] = useState(false);
    const copy = async (): Promise<void> => {
        setCopied(await copyText(linkOf(message)));
        setTimeout(() => setCopied(false), 2_000);
    };
    const button = (label: string, icon: JSX.Element | string, act: () => void): JSX.Element => (
        <button type="button" class="quiet icon-only small" aria-label={label} title={label} onClick={act}>
            {icon}
        </button>
    );
    return (
        <div class="message-actions">
            {message.id === ''
                ? null
                : QUICK.map((emoji) => button(chatText.reactWith(emoji), emoji, () => onReact(message, emoji)))}
            {message.offset === 0
                ? null
                : button(
                      isCopied ? chatText.linkCopied : chatText.link,
                      <Icon name={isCopied ? 'check' : 'link'} />,
                      () => void copy(),
                  )}
            {isOwn && message.id !== '' ? button(chatText.edit, <Icon name="edit" />, () => onEdit(message)) : null}
            {isOwn && message.id !== '' ? (
                <button
                    type="button"
                    class={`quiet small ${isAsking ? 'sure' : 'icon-only'}`}
                    aria-label={isAsking ? chatText.deleteSure : chatText.remove}
                    title={isAsking ? chatText.deleteSure : chatText.remove}
                    onClick={() => (isAsking ? onDelete(message) : setAsking(true))}
                    onBlur={() => setAsking(false)}
                >
                    {isAsking ? chatText.deleteSure : <Icon name="bin" />}
                </button>
            ) : null}
        </div>
    );
}

function Delivery({ message, onRetry, onRemove }: Props): JSX.Element | null {
    switch (message.state) {
        case 'settled':
        case 'accepted':
            return null;
        case 'sending':
            return <p class="delivery">{chatText.sending}</p>;
        case 'waiting':
            return <p class="delivery">{chatText.waiting}</p>;
        case 'failed':
            return (
                <p class="delivery failed" role="alert">
                    {chatText.failed(message.error)}
                    <button type="button" class="small" onClick={() => onRetry(message.id)}>
                        {chatText.retry}
                    </button>
                    <button type="button" class="small quiet" onClick={() => onRemove(message.id)}>
                        {chatText.remove}
                    </button>
                </p>
            );
    }
}

export class MessageRow extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
        const { message, isFirstOfGroup, isOwn, isTarget, isEditing, isMention } = this.props;
        return (
            next.message !== message ||
            next.isFirstOfGroup !== isFirstOfGroup ||
            next.isOwn !== isOwn ||
            next.isTarget !== isTarget ||
            next.isEditing !== isEditing ||
            next.isMention !== isMention
        );
    }

    override render(): ComponentChildren {
        const { message, isFirstOfGroup, isOwn, isTarget, isEditing, isMention } = this.props;
        const marks = [
            isOwn ? 'own' : '',
            isMention ? 'mention' : '',
            isTarget ? 'target' : '',
            isEditing ? 'editing' : '',
            message.isDeleted ? 'deleted' : '',
        ];
        const time = !message.hasTime ? null : (
            <time dateTime={new Date(message.time).toISOString()} title={formatExact(message.time)}>
                {formatTime(message.time)}
            </time>
        );
        return (
            <li
                class={`message ${isFirstOfGroup ? 'first' : 'more'} ${marks.join(' ')} ${message.state}`}
                data-key={message.key}
            >
                {isFirstOfGroup ? (
                    <Avatar name={message.author} />
                ) : (
                    <span class="margin-time" aria-hidden="true">
                        {time}
                    </span>
                )}
                <div class="message-body">
                    <p class={isFirstOfGroup ? 'meta' : 'visually-hidden'}>
                        <bdi class="author">{message.author}</bdi> {time}
                    </p>
                    <div class="text" dir="auto">
                        {message.isDeleted ? (
                            <p class="hint">{chatText.deleted}</p>
                        ) : (
                            renderMarkdown(message.text)
                        )}
                    </div>
                    {message.isEdited && !message.isDeleted ? <p class="edited">{chatText.edited}</p> : null}
                    {message.isDeleted ? null : Reactions(this.props)}
                    {Delivery(this.props)}
                </div>
                {message.state === 'settled' && !message.isDeleted ? <Actions {...this.props} /> : null}
            </li>
        );
    }
}
