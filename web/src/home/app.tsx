/* app.tsx - the front door: is it running, where to go, how to talk to it. */
import type { JSX } from 'preact';
import { socketAddress } from '../shared/connection.ts';
import { Snippet } from '../shared/copy.tsx';
import { Icon } from '../shared/icons.tsx';
import { PageHeader } from '../shared/page-header.tsx';
import { formatDuration, formatNumber } from '../shared/text.ts';
import { strings } from '../strings.ts';
import type { Step } from './self-test.ts';
import { info, isTesting, steps, test } from './state.ts';

const STEP_TITLES = {
    health: strings.home.testHealth,
    socket: strings.home.testSocket,
    roundTrip: strings.home.testRoundTrip,
    api: strings.home.testApi,
};

function Facts(): JSX.Element | null {
    const known = info.value;
    if (known === null) {
        return null;
    }
    const facts: [string, string][] = [
        [strings.home.version, known.version],
        [strings.home.uptime, formatDuration(known.uptimeSeconds)],
        [strings.home.clients, formatNumber(known.clients)],
        [strings.home.channels, formatNumber(known.channels)],
    ];
    return (
        <dl class="facts">
            {facts
                .filter(([, value]) => value !== '')
                .map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
        </dl>
    );
}

function Hero(): JSX.Element {
    const health = steps.value.find((step) => step.name === 'health');
    const state = health?.state === 'ok' ? 'up' : health?.state === 'failed' ? 'down' : 'unknown';
    return (
        <section class="hero">
            <img src="/favicon.svg" alt="" width="72" height="72" />
            <h1>{strings.product}</h1>
            <p class="tagline">{strings.home.tagline}</p>
            <p class={`running ${state}`} role="status">
                <span class="lamp" aria-hidden="true" />
                {state === 'up' ? strings.home.running : state === 'down' ? strings.home.down : '…'}
            </p>
            <Facts />
        </section>
    );
}

function StepRow({ step }: { step: Step }): JSX.Element {
    return (
        <li class={`step ${step.state}`}>
            <span class="step-mark" aria-hidden="true">
                {step.state === 'ok' ? (
                    <Icon name="check" />
                ) : step.state === 'failed' ? (
                    <Icon name="warn" />
                ) : null}
            </span>
            <span class="step-title">{STEP_TITLES[step.name]}</span>
            <span class="step-state">{strings.home.testStates[step.state]}</span>
            <span class="step-text">{step.text}</span>
        </li>
    );
}

function SelfTest(): JSX.Element {
    return (
        <section class="card" aria-labelledby="test-title">
            <h2 id="test-title">{strings.home.testTitle}</h2>
            <p class="hint">{strings.home.testText}</p>
            <ol class="steps">
                {steps.value.map((step) => (
                    <StepRow key={step.name} step={step} />
                ))}
            </ol>
            <button type="button" disabled={isTesting.value} onClick={() => void test()}>
                {strings.home.testAgain}
            </button>
        </section>
    );
}

function Snippets(): JSX.Element {
    const curl =
        `curl -X POST ${location.origin}/api/publish \\\n` +
        `  -d '{"channel":"chat:lobby","data":{"name":"curl","text":"hello"}}'`;
    const script = [
        `import { Centrifuge } from 'centrifuge';`,
        ``,
        `const client = new Centrifuge('${socketAddress()}');`,
        `const lobby = client.newSubscription('chat:lobby');`,
        `lobby.on('publication', ({ data }) => console.log(data));`,
        `lobby.subscribe();`,
        `client.connect();`,
    ].join('\n');
    return (
        <section class="card" aria-labelledby="snippets-title">
            <h2 id="snippets-title">{strings.home.snippetsTitle}</h2>
            <h3>{strings.home.snippetCurl}</h3>
            <Snippet code={curl} label={strings.home.snippetCurl} />
            <h3>{strings.home.snippetScript}</h3>
            <Snippet code={script} label={strings.home.snippetScript} />
            <h3>{strings.home.snippetSocket}</h3>
            <Snippet code={socketAddress()} label={strings.home.snippetSocket} />
        </section>
    );
}

export function App(): JSX.Element {
    return (
        <>
            <PageHeader current="home" />
            <main class="home">
                <Hero />
                <div class="doors">
                    <a class="card door" href="/chat">
                        <Icon name="chat" />
                        <h2>{strings.home.chatTitle}</h2>
                        <p>{strings.home.chatText}</p>
                        <span class="door-link">
                            {strings.home.chatLink} <Icon name="send" />
                        </span>
                    </a>
                    <a class="card door" href="/feed">
                        <Icon name="pulse" />
                        <h2>{strings.home.feedTitle}</h2>
                        <p>{strings.home.feedText}</p>
                        <span class="door-link">
                            {strings.home.feedLink} <Icon name="send" />
                        </span>
                    </a>
                </div>
                <div class="two">
                    <SelfTest />
                    <Snippets />
                </div>
            </main>
        </>
    );
}
