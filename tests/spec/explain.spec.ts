/* explain.spec.ts - what the server says of its refusals: to developers in words, in production in the standard text. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from './support/client.ts';
import { serverFor } from './support/server.ts';
import { userToken } from './support/token.ts';

const NAMESPACES = [
    { name: 'open', allow_subscribe_for_client: true, allow_publish_for_client: true },
    { name: 'object', allow_publish_for_client: true, publication_data_format: 'json_object' },
    { name: 'closed' },
];

describe('refusals in dev mode', () => {
    const server = serverFor({ channel: { namespaces: NAMESPACES } }, { args: ['--dev'] });

    async function refusal(method: string, body: unknown, code: number) {
        const client = await Client.connect(server);
        const error = await client.expectError(method, body, code);
        client.close();
        return error.message as string;
    }

    test('history that is not configured names the option that turns it on', async () => {
        assert.equal(await refusal('history', { channel: 'open:a' }, 108), "not available: namespace 'open' has history_size 0");
    });

    test('presence that is not configured names the option that turns it on', async () => {
        assert.equal(await refusal('presence', { channel: 'open:a' }, 108), "not available: namespace 'open' has presence off");
        assert.equal(await refusal('presence_stats', { channel: 'a' }, 108), 'not available: channels without a namespace have presence off');
    });

    test('a private channel says that it wants a token, an unknown namespace that it is none', async () => {
        assert.equal(await refusal('subscribe', { channel: '$open:a' }, 103), 'permission denied: a private channel needs a subscription token');
        assert.equal(await refusal('publish', { channel: 'nowhere:a', data: {} }, 102), "unknown channel: the channel's namespace does not exist (channel.namespaces)");
    });

    test('data of the wrong form says which option asks for another', async () => {
        assert.equal(await refusal('publish', { channel: 'object:a', data: [] }, 107), 'bad request: the data is not what publication_data_format asks for');
    });

    test('a subscription token that is refused says why', async () => {
        assert.equal(await refusal('subscribe', { channel: '$open:a', token: 'no.token.here' }, 103), 'permission denied: the header is not base64url, or longer than 1024 bytes');
    });
});

describe('refusals in production', () => {
    const server = serverFor({ channel: { namespaces: NAMESPACES } });

    test('the client gets the standard text, the log the rule and the option', async () => {
        const client = await Client.connect(server, userToken('42'));
        assert.equal((await client.expectError('publish', { channel: 'closed:a', data: {} }, 103)).message, 'permission denied');
        assert.equal((await client.expectError('history', { channel: 'closed:a' }, 108)).message, 'not available');
        assert.equal((await client.expectError('subscribe', { channel: 'nowhere:a' }, 102)).message, 'unknown channel');
        const published = await server.expectLog('publish_refused');
        assert.equal(published.rule, 'clients may not publish');
        assert.equal(published.option, 'allow_publish_for_client');
        assert.equal(published.channel, 'closed:a');
        assert.equal((await server.expectLog('history_refused')).option, 'history_size');
        assert.equal((await server.expectLog('subscribe_refused')).option, 'channel.namespaces');
        client.close();
    });
});
