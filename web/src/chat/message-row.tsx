/* message-row.tsx - one message. Drawn again only when its own message or its place in a group changed. */
import { Component, type ComponentChildren, type JSX } from 'preact';
import { renderMarkdown } from '../shared/markdown.tsx';
import { formatExact, formatTime } from '../shared/text.ts';
import { strings } from '../strings.ts';
import { Avatar } from './people.tsx';
import type { Message } from './timeline.ts';

interface Props {
    message: Message;
    isFirstOfGroup: boolean;
    isOwn: boolean;
    onRetry(id: string): void;
    onRemove(id: string): void;
}

function Delivery({ message, onRetry, onRemove }: Props): JSX.Element | null {
    switch (message.state) {
        case 'settled':
        case 'accepted':
            return null;
        case 'sending':
            return <p class="delivery">{strings.chat.sending}</p>;
        case 'waiting':
            return <p class="delivery">{strings.chat.waiting}</p>;
        case 'failed':
            return (
                <p class="delivery failed" role="alert">
                    {strings.chat.failed(message.error)}
                    <button type="button" class="small" onClick={() => onRetry(message.id)}>
                        {strings.chat.retry}
                    </button>
                    <button type="button" class="small quiet" onClick={() => onRemove(message.id)}>
                        {strings.chat.remove}
                    </button>
                </p>
            );
    }
}

export class MessageRow extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
        const { message, isFirstOfGroup, isOwn } = this.props;
        return next.message !== message || next.isFirstOfGroup !== isFirstOfGroup || next.isOwn !== isOwn;
    }

    override render(): ComponentChildren {
        const { message, isFirstOfGroup, isOwn } = this.props;
        const time = !message.hasTime ? null : (
            <time dateTime={new Date(message.time).toISOString()} title={formatExact(message.time)}>
                {formatTime(message.time)}
            </time>
        );
        return (
            <li
                class={`message ${isFirstOfGroup ? 'first' : 'more'} ${isOwn ? 'own' : ''} ${message.state}`}
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
                        {renderMarkdown(message.text)}
                    </div>
                    {Delivery(this.props)}
                </div>
            </li>
        );
    }
}
