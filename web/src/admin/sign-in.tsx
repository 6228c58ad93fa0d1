/* sign-in.tsx - asks for the administrator's password, or for an API key. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { access, signIn, useKey, wasRefused } from './api.ts';
import { strings } from './strings.ts';

function KeyForm({ isOnly }: { isOnly: boolean }): JSX.Element {
    const [key, setKey] = useState('');
    return (
        <form
            class="fields"
            onSubmit={(event) => {
                event.preventDefault();
                if (key.trim() !== '') {
                    void useKey(key);
                }
            }}
        >
            {isOnly ? <p class="hint">{strings.access.keyText}</p> : null}
            <label for="api-key">{strings.access.key}</label>
            <input
                id="api-key"
                type="password"
                value={key}
                autocomplete="off"
                spellcheck={false}
                onInput={(event) => setKey(event.currentTarget.value)}
            />
            <button type="submit" class={isOnly ? 'primary' : ''}>
                {strings.access.useKey}
            </button>
        </form>
    );
}

function PasswordForm(): JSX.Element {
    const [user, setUser] = useState('');
    const [password, setPassword] = useState('');
    return (
        <form
            class="fields"
            onSubmit={(event) => {
                event.preventDefault();
                void signIn(user, password);
            }}
        >
            <p class="hint">{strings.access.passwordText}</p>
            <label for="admin-user">{strings.access.user}</label>
            <input
                id="admin-user"
                value={user}
                autocomplete="username"
                autocapitalize="none"
                required
                onInput={(event) => setUser(event.currentTarget.value)}
            />
            <label for="admin-password">{strings.access.password}</label>
            <input
                id="admin-password"
                type="password"
                value={password}
                autocomplete="current-password"
                required
                onInput={(event) => setPassword(event.currentTarget.value)}
            />
            <button type="submit" class="primary">
                {strings.access.signIn}
            </button>
        </form>
    );
}

export function SignIn(): JSX.Element {
    const hasPassword = access.value === 'password';
    return (
        <main class="sign-in">
            <section class="card" aria-labelledby="sign-in-title">
                <h1 id="sign-in-title">{strings.access.title}</h1>
                {hasPassword ? <PasswordForm /> : <KeyForm isOnly={true} />}
                <p class="problem" role="alert">
                    {wasRefused.value
                        ? hasPassword
                            ? strings.access.wrongPassword
                            : strings.access.wrongKey
                        : ''}
                </p>
                {hasPassword ? (
                    <details>
                        <summary>{strings.access.orKey}</summary>
                        <KeyForm isOnly={false} />
                    </details>
                ) : null}
            </section>
        </main>
    );
}
