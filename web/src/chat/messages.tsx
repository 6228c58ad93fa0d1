/* messages.tsx - the log of a room.
 *
 * Only a window of the messages is in the document, at most WINDOW of them: the newest while the reader is at
 * the end, otherwise the part they scrolled to. Whatever changes, the line being read stays where it is, which
 * the page sees to itself: browsers differ, and none does it at the very top.
 */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { formatDay } from '../shared/text.ts';
import { chatText } from './strings.ts';
import { MessageRow } from './message-row.tsx';
import type { Room } from './room.ts';
import { mentions } from './mentions.ts';
import { messageHash } from './rooms.ts';
import { editing, myName, roomProblem, setAtEnd, target } from './state.ts';
import { rowsOf, type Row } from './timeline.ts';

const WINDOW = 300;
const STEP = 100;
/* Pixels from an edge that count as being there. */
const NEAR_END = 48;
const NEAR_TOP = 240;

interface Anchor {
    key: string;
    top: number;
}

/* The first row on the screen and where it stands. */
function findAnchor(log: HTMLElement): Anchor | null {
    const edge = log.getBoundingClientRect().top;
    for (const row of log.querySelectorAll<HTMLElement>('li.message')) {
        const box = row.getBoundingClientRect();
        if (box.bottom > edge) {
            return { key: row.dataset.key ?? '', top: box.top };
        }
    }
    return null;
}

function restoreAnchor(log: HTMLElement, anchor: Anchor): void {
    const row = log.querySelector<HTMLElement>(`li.message[data-key="${CSS.escape(anchor.key)}"]`);
    if (row !== null) {
        log.scrollTop += row.getBoundingClientRect().top - anchor.top;
    }
}

function isNearEnd(log: HTMLElement): boolean {
    return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
}

function Top({ room, hasHidden }: { room: Room; hasHidden: boolean }): JSX.Element | null {
    const history = room.history.value;
    const timeline = room.timeline.value;
    const isEmpty = timeline.settled.length === 0 && timeline.outgoing.length === 0;
    if (history === 'loading') {
        return <p class="log-note">{isEmpty ? chatText.loading : chatText.loadingOlder}</p>;
    }
    if (typeof history === 'object') {
        return (
            <p class="log-note">
                {chatText.historyFailed(history.error)}{' '}
                <button type="button" class="small" onClick={() => room.retryHistory()}>
                    {chatText.retry}
                </button>
            </p>
        );
    }
    if (history === 'idle' || hasHidden) {
        return null;
    }
    if (isEmpty) {
        return (
            <p class="log-empty">
                <Icon name="chat" />
                {chatText.empty}
            </p>
        );
    }
    if (timeline.isComplete) {
        return <p class="log-note">{history === 'none' ? chatText.noHistory : chatText.beginning}</p>;
    }
    return (
        <p class="log-note">
            <button type="button" class="small" onClick={() => void room.loadOlder()}>
                {chatText.older}
            </button>
        </p>
    );
}

export function Messages({ room }: { room: Room }): JSX.Element {
    const log = useRef<HTMLDivElement>(null);
    const followsEnd = useRef(true);
    const showsMarker = useRef(false);
    const [isAtEnd, setIsAtEnd] = useState(true);
    /* Index after the last settled message in the document; null: the newest, whichever that is. */
    const [windowEnd, setWindowEnd] = useState<number | null>(null);

    const { settled, outgoing } = room.timeline.value;
    const newAfter = room.newAfter.value;
    const end = windowEnd === null ? settled.length : Math.min(windowEnd, settled.length);
    const start = Math.max(0, end - WINDOW);
    const shown = [...settled.slice(start, end), ...(end === settled.length ? outgoing : [])];
    const rows = rowsOf(shown, newAfter);
    const phase = room.phase.value;

    /* Taken before the document changes; the layout effect below runs after. */
    const anchor = log.current === null || followsEnd.current ? null : findAnchor(log.current);
    useLayoutEffect(() => {
        const element = log.current;
        if (element === null) {
            return;
        }
        const marker = element.querySelector<HTMLElement>('.new-line');
        if (followsEnd.current && marker !== null && !showsMarker.current) {
            /* Opened with unread messages: begin reading at the first of them. */
            showsMarker.current = true;
            element.scrollTop = element.scrollHeight;
            const above = marker.getBoundingClientRect().top - element.getBoundingClientRect().top;
            if (above < 0 && document.visibilityState === 'visible') {
                element.scrollTop += above - 16;
            }
            followsEnd.current = isNearEnd(element);
        } else if (followsEnd.current) {
            element.scrollTop = element.scrollHeight;
        } else if (anchor !== null) {
            restoreAnchor(element, anchor);
        }
    });

    const toLatest = (): void => {
        followsEnd.current = true;
        setWindowEnd(null);
        if (log.current !== null) {
            log.current.scrollTop = log.current.scrollHeight;
        }
        setIsAtEnd(true);
        setAtEnd(true);
    };

    const onScroll = (): void => {
        const element = log.current;
        if (element === null) {
            return;
        }
        const nearEnd = isNearEnd(element);
        if (nearEnd && end < settled.length) {
            followsEnd.current = false;
            setWindowEnd(end + STEP >= settled.length ? null : end + STEP);
            return;
        }
        followsEnd.current = nearEnd;
        setIsAtEnd(nearEnd);
        setAtEnd(nearEnd);
        /* Away from the end the window stands still, or new messages would push out what is being read. */
        if (!nearEnd && windowEnd === null && settled.length > WINDOW) {
            setWindowEnd(settled.length);
        }
        if (element.scrollTop < NEAR_TOP) {
            if (start > 0) {
                setWindowEnd(Math.max(WINDOW, end - STEP));
            } else {
                void room.loadOlder();
            }
        }
    };

    /* Messages put in front of the window move its indices. */
    const firstKey = settled[0]?.key;
    const previous = useRef({ firstKey, length: settled.length });
    if (previous.current.firstKey !== firstKey) {
        const added = settled.findIndex((message) => message.key === previous.current.firstKey);
        previous.current = { firstKey, length: settled.length };
        if (windowEnd !== null && added > 0) {
            setWindowEnd(Math.max(WINDOW, windowEnd + added - STEP));
        } else if (windowEnd === null && added > 0 && !followsEnd.current && settled.length > WINDOW) {
            setWindowEnd(Math.max(WINDOW, settled.length - STEP));
        }
    }

    useEffect(() => {
        setAtEnd(true);
        addEventListener('starling:latest', toLatest);
        const keepEnd = new ResizeObserver(() => {
            if (followsEnd.current && log.current !== null) {
                log.current.scrollTop = log.current.scrollHeight;
            }
        });
        keepEnd.observe(log.current!);
        return () => {
            removeEventListener('starling:latest', toLatest);
            keepEnd.disconnect();
        };
    }, []);

    /* A link leads to one message: its page of history is loaded, then it is put in the middle. */
    const wanted = target.value;
    const reached = useRef(0);
    const history = room.history.value;
    const { isComplete } = room.timeline.value;
    const wantedIndex = wanted === 0 ? -1 : settled.findIndex((message) => message.offset === wanted);
    useLayoutEffect(() => {
        if (wanted === 0 || reached.current === wanted || history === 'idle' || history === 'loading') {
            return;
        }
        if (wantedIndex >= 0) {
            if (wantedIndex < start || wantedIndex >= end) {
                followsEnd.current = false;
                setWindowEnd(Math.min(settled.length, Math.max(WINDOW, wantedIndex + STEP)));
                return;
            }
            reached.current = wanted;
            followsEnd.current = false;
            const row = log.current?.querySelector<HTMLElement>('li.message.target');
            row?.scrollIntoView({ block: 'center' });
            const nearEnd = log.current === null || isNearEnd(log.current);
            setIsAtEnd(nearEnd);
            setAtEnd(nearEnd);
        } else if (isComplete || (settled[0]?.offset ?? 0) < wanted) {
            reached.current = wanted;
            roomProblem.value = chatText.notFound;
        } else {
            void room.loadOlder();
        }
    });

    const drawRow = (row: Row): JSX.Element => {
        switch (row.kind) {
            case 'day':
                return (
                    <li key={row.key} class="day-line">
                        <span>{formatDay(row.time)}</span>
                    </li>
                );
            case 'new':
                return (
                    <li key={row.key} class="new-line">
                        <span>{chatText.newMarker}</span>
                    </li>
                );
            case 'message':
                return (
                    <MessageRow
                        key={row.key}
                        message={row.message}
                        isFirstOfGroup={row.isFirstOfGroup}
                        isOwn={row.message.isMine || row.message.author === myName.value}
                        onRetry={(id) => room.retry(id)}
                        onRemove={(id) => room.remove(id)}
                        isMention={mentions(row.message.text, myName.value)}
                        isTarget={row.message.offset > 0 && row.message.offset === wanted}
                        isEditing={row.message.id !== '' && row.message.id === editing.value}
                        myName={myName.value}
                        linkOf={(message) =>
                            `${location.origin}${location.pathname}${messageHash(room.name, message.offset)}`
                        }
                        onReact={(message, emoji) => room.react(message, emoji)}
                        onEdit={(message) => (editing.value = message.id)}
                        onDelete={(message) => room.change('delete', message, '')}
                    />
                );
        }
    };

    return (
        <div class="log-place">
            <div
                class="log"
                ref={log}
                onScroll={onScroll}
                role="log"
                aria-live="polite"
                aria-relevant="additions"
                aria-label={chatText.log(room.name)}
                aria-busy={room.history.value === 'loading'}
                tabIndex={0}
            >
                {phase.name === 'refused' ? (
                    <p class="log-note problem">{chatText.refused(phase.reason)}</p>
                ) : null}
                <Top room={room} hasHidden={start > 0} />
                <ol>{rows.map(drawRow)}</ol>
            </div>
            {isAtEnd ? null : (
                <button type="button" class="to-latest" onClick={toLatest}>
                    <Icon name="down" />
                    {chatText.latest}
                    {room.unread.value > 0 ? (
                        <span class="badge">{chatText.unreadShort(room.unread.value)}</span>
                    ) : null}
                </button>
            )}
        </div>
    );
}
