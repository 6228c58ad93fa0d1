/* banner.tsx - the line that says how the connection is, when there is something to say. */
import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { strings } from '../strings.ts';
import type { Connection, ConnectionStatus, Notice } from './connection.ts';
import { Icon } from './icons.tsx';

/* A connection that is up within this time is not worth a line. */
const QUIET_MS = 600;

/* The time, often enough for a countdown in seconds; stands still while `isRunning` is false. */
function useNow(isRunning: boolean): number {
    const [now, setNow] = useState(Date.now());
    useEffect(() => {
        if (!isRunning) {
            return undefined;
        }
        setNow(Date.now());
        const timer = setInterval(() => setNow(Date.now()), 250);
        return () => clearInterval(timer);
    }, [isRunning]);
    return now;
}

function statusText(status: ConnectionStatus, now: number): string {
    switch (status.phase) {
        case 'connecting':
            return now - status.since < QUIET_MS ? '' : strings.connection.connecting;
        case 'waiting': {
            const seconds = Math.ceil((status.until - now) / 1000);
            return seconds > 0 ? strings.connection.waiting(seconds) : strings.connection.trying;
        }
        case 'cut': {
            const seconds = Math.ceil((status.until - now) / 1000);
            return seconds > 0 ? strings.connection.cut(seconds) : strings.connection.trying;
        }
        case 'closed':
            return status.refused
                ? strings.connection.refused
                : strings.connection.closed(status.reason, status.code);
        case 'connected':
            return '';
    }
}

function noticeText(notice: Notice): string {
    if (notice.gaps.length > 0) {
        return strings.connection.gap(notice.gaps);
    }
    return strings.connection.recovered(notice.recovered);
}

function TokenForm({ connection }: { connection: Connection }): JSX.Element {
    const [token, setToken] = useState('');
    const submit = (event: Event): void => {
        event.preventDefault();
        if (token.trim() !== '') {
            connection.useToken(token.trim());
        }
    };
    return (
        <form class="token" onSubmit={submit}>
            <input
                value={token}
                aria-label={strings.connection.tokenLabel}
                placeholder={strings.connection.tokenLabel}
                autocomplete="off"
                spellcheck={false}
                onInput={(event) => setToken(event.currentTarget.value)}
            />
            <button type="submit">{strings.connection.tokenSend}</button>
        </form>
    );
}

export function Banner({ connection }: { connection: Connection }): JSX.Element {
    const status = connection.status.value;
    const notice = connection.notice.value;
    const now = useNow(status.phase !== 'connected' && status.phase !== 'closed');
    const text = statusText(status, now);
    const isDown = text !== '';
    const shown = isDown ? text : notice !== null && status.phase === 'connected' ? noticeText(notice) : '';
    const kind = isDown ? (status.phase === 'closed' ? 'bad' : 'warn') : notice?.gaps.length ? 'warn' : 'ok';
    /* A countdown read aloud every second would drown everything else: readers hear the phase only. */
    const spoken = isDown && status.phase === 'waiting' ? strings.connection.offline : shown;
    return (
        <div class="banner-place">
            <p class="visually-hidden" role="status">
                {spoken}
            </p>
            {shown === '' ? null : (
                <div class={`banner ${kind}`} data-phase={isDown ? status.phase : 'back'}>
                    <Icon name={kind === 'ok' ? 'check' : 'warn'} />
                    <span class="banner-text" aria-hidden="true">
                        {shown}
                    </span>
                    {status.phase === 'waiting' ? (
                        <button type="button" class="small" onClick={connection.retryNow}>
                            {strings.connection.retry}
                        </button>
                    ) : null}
                    {status.phase === 'closed' && !status.refused ? (
                        <button type="button" class="small" onClick={connection.retryNow}>
                            {strings.connection.reconnect}
                        </button>
                    ) : null}
                    {status.phase === 'closed' && status.refused ? (
                        <TokenForm connection={connection} />
                    ) : null}
                    {isDown ? null : (
                        <button
                            type="button"
                            class="quiet icon-only small"
                            aria-label={strings.close}
                            onClick={connection.dismissNotice}
                        >
                            <Icon name="close" />
                        </button>
                    )}
                </div>
            )}
        </div>
    );
}
