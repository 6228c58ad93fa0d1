/* publish.tsx - publishes by the API, and says how to do the same in a terminal. */
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Snippet } from '../shared/copy.tsx';
import { Result } from './controls.tsx';
import { strings } from './strings.ts';
import { useAction } from './use-call.ts';

const text = strings.publish;

/* The data go out byte for byte as they were typed: numbers and spaces stay as they are. */
function bodyOf(channel: string, data: string, skipsHistory: boolean): string {
    return `{"channel":${JSON.stringify(channel)},"data":${data.trim()}${skipsHistory ? ',"skip_history":true' : ''}}`;
}

function curlOf(body: string): string {
    return `curl -X POST ${location.origin}/api/publish \\\n  -H "X-API-Key: $KEY" \\\n  -d '${body.replace(/'/g, `'\\''`)}'`;
}

/* `channel`: publish into that one only. */
export function Publish({ channel: fixed }: { channel?: string }): JSX.Element {
    const [channel, setChannel] = useState(fixed ?? '');
    const [data, setData] = useState('{"text": "hello"}');
    const [skipsHistory, setSkipsHistory] = useState(false);
    const { outcome, run, say } = useAction();
    const submit = (event: Event): void => {
        event.preventDefault();
        if (channel.trim() === '') {
            say(text.noChannel, false);
            return;
        }
        try {
            JSON.parse(data);
        } catch (error) {
            say(text.notJson((error as Error).message), false);
            return;
        }
        void run('publish', bodyOf(channel.trim(), data, skipsHistory), (result: { offset?: number }) =>
            text.sent(result.offset),
        );
    };
    return (
        <section class="card" aria-labelledby="publish-title">
            <h2 id="publish-title">{text.title}</h2>
            <form class="fields" onSubmit={submit}>
                {fixed !== undefined ? null : (
                    <>
                        <label for="publish-channel">{text.channel}</label>
                        <input
                            id="publish-channel"
                            value={channel}
                            placeholder="chat:lobby"
                            autocomplete="off"
                            autocapitalize="none"
                            spellcheck={false}
                            onInput={(event) => setChannel(event.currentTarget.value)}
                        />
                    </>
                )}
                <label for="publish-data">{text.data}</label>
                <textarea
                    id="publish-data"
                    class="mono"
                    rows={4}
                    value={data}
                    spellcheck={false}
                    onInput={(event) => setData(event.currentTarget.value)}
                />
                <label class="check">
                    <input
                        type="checkbox"
                        checked={skipsHistory}
                        onChange={(event) => setSkipsHistory(event.currentTarget.checked)}
                    />
                    {text.skipHistory}
                </label>
                <button type="submit" class="primary">
                    {text.send}
                </button>
            </form>
            <Result {...outcome} />
            <details>
                <summary>{text.asCurl}</summary>
                <Snippet code={curlOf(bodyOf(channel.trim(), data, skipsHistory))} label={text.asCurl} />
            </details>
        </section>
    );
}
