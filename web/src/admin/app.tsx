/* app.tsx - the frame of the admin page. */
import type { JSX } from 'preact';
import { PageHeader } from '../shared/page-header.tsx';
import { access, hasKey, signedInAs, signOut } from './api.ts';
import { Channels } from './channels.tsx';
import { Connections } from './connections.tsx';
import { Overview } from './overview.tsx';
import { SignIn } from './sign-in.tsx';
import { addressOf, isDown, isIn, section, SECTIONS } from './state.ts';
import { strings } from './strings.ts';
import { Tools } from './tools.tsx';

const VIEWS = { overview: Overview, channels: Channels, connections: Connections, tools: Tools };

function SignOut(): JSX.Element | null {
    if (!isIn.value || (!hasKey() && signedInAs.value === '')) {
        return null;
    }
    return (
        <button type="button" class="quiet small sign-out" onClick={() => void signOut()}>
            {signedInAs.value === '' ? strings.access.forget : strings.access.signOut(signedInAs.value)}
        </button>
    );
}

export function App(): JSX.Element {
    const View = VIEWS[section.value];
    return (
        <>
            <PageHeader current="admin">
                {isDown.value ? (
                    <p class="banner warn" role="status">
                        {strings.down}
                    </p>
                ) : null}
            </PageHeader>
            {access.value === 'key' || access.value === 'password' ? (
                <SignIn />
            ) : (
                <main class="admin" aria-busy={!isIn.value}>
                    <div class="admin-head">
                        <h1>{strings.title}</h1>
                        <nav class="tabs" aria-label={strings.sectionsLabel}>
                            {SECTIONS.map((name) => (
                                <a
                                    key={name}
                                    href={addressOf(name)}
                                    aria-current={name === section.value ? 'page' : undefined}
                                >
                                    {strings.sections[name]}
                                </a>
                            ))}
                        </nav>
                        <SignOut />
                    </div>
                    {isIn.value ? <View /> : <p class="hint">{strings.loading}</p>}
                </main>
            )}
        </>
    );
}
