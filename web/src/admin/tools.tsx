/* tools.tsx - publish, disconnect a user, look into a token, health. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../shared/icons.tsx';
import { Result } from './controls.tsx';
import { HealthCard } from './overview.tsx';
import { Publish } from './publish.tsx';
import { strings } from './strings.ts';
import { decodeToken, TOKEN_CHARACTERS_MAX } from './token.ts';
import { useAction } from './use-call.ts';

function Disconnect(): JSX.Element {
    const text = strings.disconnect;
    const [user, setUser] = useState('');
    const [code, setCode] = useState('3503');
    const [reason, setReason] = useState('force disconnect');
    const { outcome, run } = useAction();
    const submit = (event: Event): void => {
        event.preventDefault();
        void run('disconnect', { user, disconnect: { code: Number(code), reason } }, () => strings.done);
    };
    return (
        <section class="card" aria-labelledby="disconnect-title">
            <h2 id="disconnect-title">{text.title}</h2>
            <form class="fields" onSubmit={submit}>
                <label for="disconnect-user">{text.user}</label>
                <input
                    id="disconnect-user"
                    value={user}
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    aria-describedby="disconnect-user-hint"
                    onInput={(event) => setUser(event.currentTarget.value)}
                />
                <p class="hint" id="disconnect-user-hint">
                    {text.userHint}
                </p>
                <label for="disconnect-code">{text.code}</label>
                <input
                    id="disconnect-code"
                    type="number"
                    min={3000}
                    max={4999}
                    required
                    value={code}
                    aria-describedby="disconnect-code-hint"
                    onInput={(event) => setCode(event.currentTarget.value)}
                />
                <p class="hint" id="disconnect-code-hint">
                    {text.codeHint}
                </p>
                <label for="disconnect-reason">{text.reason}</label>
                <input
                    id="disconnect-reason"
                    value={reason}
                    maxLength={123}
                    autocomplete="off"
                    onInput={(event) => setReason(event.currentTarget.value)}
                />
                <button type="submit" class="danger">
                    {text.send}
                </button>
            </form>
            <Result {...outcome} />
        </section>
    );
}

function Part({ title, value }: { title: string; value: object }): JSX.Element {
    return (
        <>
            <h3>{title}</h3>
            <pre class="json-block" tabIndex={0} aria-label={title} dir="auto">
                {JSON.stringify(value, null, 2)}
            </pre>
        </>
    );
}

function Token(): JSX.Element {
    const text = strings.token;
    const [typed, setTyped] = useState('');
    const decoded = typed.trim() === '' ? null : decodeToken(typed, Date.now() / 1000);
    return (
        <section class="card" aria-labelledby="token-title">
            <h2 id="token-title">{text.title}</h2>
            <form class="fields" onSubmit={(event) => event.preventDefault()}>
                <label for="token-field">{text.label}</label>
                <textarea
                    id="token-field"
                    class="mono"
                    rows={4}
                    value={typed}
                    maxLength={TOKEN_CHARACTERS_MAX}
                    spellcheck={false}
                    autocomplete="off"
                    aria-describedby="token-hint"
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
                <p class="hint" id="token-hint">
                    {text.hint}
                </p>
            </form>
            {typed.trim() === '' ? null : decoded === null ? (
                <p class="problem">{text.bad}</p>
            ) : (
                <div class="decoded">
                    <ul class="findings">
                        {decoded.problems.map((problem) => (
                            <li key={problem} class="problem">
                                <Icon name="warn" />
                                {problem}
                            </li>
                        ))}
                        {decoded.problems.length > 0 ? null : (
                            <li class="good">
                                <Icon name="check" />
                                {text.noProblem}
                            </li>
                        )}
                        {decoded.notes.map((note) => (
                            <li key={note}>{note}</li>
                        ))}
                    </ul>
                    <Part title={text.claims} value={decoded.claims} />
                    <Part title={text.header} value={decoded.header} />
                </div>
            )}
        </section>
    );
}

export function Tools(): JSX.Element {
    return (
        <div class="two">
            <div class="column">
                <Publish />
                <HealthCard />
            </div>
            <div class="column">
                <Token />
                <Disconnect />
            </div>
        </div>
    );
}
