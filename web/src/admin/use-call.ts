/* use-call.ts - the answer of one API call, kept fresh while it is on the screen. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { call, type Outcome } from './api.ts';

export interface Called<T> {
    /* null: not answered yet. The last good answer stays while a later one fails. */
    result: T | null;
    problem: string;
    refresh(): void;
}

/* Calls again whenever `params` change, and every `everyMs` (0: never). An answer that comes late, after the
 * question has changed, is dropped. */
export function useCall<T>(method: string, params: object, everyMs: number): Called<T> {
    const body = JSON.stringify(params);
    const [answer, setAnswer] = useState<{ body: string; outcome: Outcome<T> } | null>(null);
    const good = useRef<{ body: string; result: T } | null>(null);
    const asked = useRef(0);

    const refresh = useCallback(() => {
        const number = ++asked.current;
        void call<T>(method, body).then((outcome) => {
            if (number === asked.current) {
                if (outcome.ok) {
                    good.current = { body, result: outcome.result };
                }
                setAnswer({ body, outcome });
            }
        });
    }, [method, body]);

    useEffect(() => {
        refresh();
        if (everyMs === 0) {
            return undefined;
        }
        const timer = setInterval(() => {
            if (document.visibilityState === 'visible') {
                refresh();
            }
        }, everyMs);
        return () => clearInterval(timer);
    }, [refresh, everyMs]);
    /* Nobody waits any more: an answer under way changes nothing. */
    useEffect(() => () => void (asked.current = -1), []);

    const isOurs = answer?.body === body;
    return {
        result: good.current?.body === body ? good.current.result : null,
        problem: isOurs && !answer.outcome.ok ? answer.outcome.message : '',
        refresh,
    };
}

/* An action and what came of it. */
export function useAction(): {
    outcome: { text: string; isGood: boolean };
    run(method: string, params: object | string, done: (result: never) => string): Promise<boolean>;
    say(text: string, isGood: boolean): void;
} {
    const [outcome, setOutcome] = useState({ text: '', isGood: true });
    return {
        outcome,
        say: (text, isGood) => setOutcome({ text, isGood }),
        run: async (method, params, done) => {
            const answer = await call<never>(method, params);
            setOutcome(
                answer.ok
                    ? { text: done(answer.result), isGood: true }
                    : { text: answer.message, isGood: false },
            );
            return answer.ok;
        },
    };
}
