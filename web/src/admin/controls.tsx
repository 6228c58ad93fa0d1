/* controls.tsx - small parts that several sections use. */
import { useEffect, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { strings } from './strings.ts';

const SURE_MS = 5_000;

/* Asks again before it acts; a second thought, or five seconds, takes the question back. */
export function SureButton({
    label,
    question,
    onSure,
}: {
    label: string;
    question: string;
    onSure(): void;
}): JSX.Element {
    const [isAsking, setAsking] = useState(false);
    useEffect(() => {
        if (!isAsking) {
            return undefined;
        }
        const timer = setTimeout(() => setAsking(false), SURE_MS);
        return () => clearTimeout(timer);
    }, [isAsking]);
    const click = (): void => {
        setAsking(!isAsking);
        if (isAsking) {
            onSure();
        }
    };
    return (
        <button
            type="button"
            class={`small danger ${isAsking ? 'sure' : ''}`}
            onClick={click}
            onBlur={() => setAsking(false)}
        >
            {isAsking ? question : label}
        </button>
    );
}

/* What came of the last action. */
export function Result({ text, isGood }: { text: string; isGood: boolean }): JSX.Element {
    return (
        <p class={`result ${isGood ? 'good' : 'problem'}`} role="status">
            {text}
        </p>
    );
}

export function Search({
    id,
    label,
    value,
    onSearch,
}: {
    id: string;
    label: string;
    value: string;
    onSearch(text: string): void;
}): JSX.Element {
    const [typed, setTyped] = useState(value);
    return (
        <form
            class="search"
            role="search"
            onSubmit={(event) => {
                event.preventDefault();
                onSearch(typed.trim());
            }}
        >
            <label for={id}>{label}</label>
            <div class="search-line">
                <input
                    id={id}
                    value={typed}
                    placeholder={strings.search.hint}
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    maxLength={120}
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <button type="submit" class="icon-only" aria-label={strings.search.go} title={strings.search.go}>
                    <Icon name="search" />
                </button>
            </div>
        </form>
    );
}

/* A pattern of the API: what was typed stands anywhere in the name, unless it says where. */
export function patternOf(typed: string): string {
    return typed === '' || /[*?]/.test(typed) ? typed : `*${typed}*`;
}

export function Pager({
    hasNext,
    isFirst,
    onFirst,
    onNext,
    onRefresh,
}: {
    hasNext: boolean;
    isFirst: boolean;
    onFirst(): void;
    onNext(): void;
    onRefresh(): void;
}): JSX.Element {
    return (
        <div class="pager">
            <button type="button" class="small" disabled={isFirst} onClick={onFirst}>
                {strings.page.first}
            </button>
            <button type="button" class="small" disabled={!hasNext} onClick={onNext}>
                {strings.page.next}
            </button>
            <button type="button" class="small quiet" onClick={onRefresh}>
                {strings.page.refresh}
            </button>
        </div>
    );
}

/* JSON of a stranger, as text. */
export function Json({ value }: { value: unknown }): JSX.Element {
    const text = JSON.stringify(value) ?? '';
    return (
        <code class="json" dir="auto" title={text.length > 300 ? undefined : text}>
            {text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text}
        </code>
    );
}

