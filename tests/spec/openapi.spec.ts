/* openapi.spec.ts - the description of the API is true: every example is sent, and every answer fits its schema. */
import assert from 'node:assert/strict';
import Ajv from 'ajv/dist/2020.js';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import type { Json } from './support/client.ts';
import { request } from './support/http.ts';
import { API_KEY, serverFor } from './support/server.ts';

async function description(port: number): Promise<Json> {
    const response = await request(port, '/openapi.yaml');
    assert.equal(response.status, 200);
    assert.match(response.headers['content-type'] ?? '', /^application\/yaml/);
    return parse(response.body) as Json;
}

/* Follows a $ref; there are none of refs. */
function resolved(document: Json, node: Json): Json {
    const path = node.$ref as string | undefined;
    return path === undefined ? node : path.slice(2).split('/').reduce((at, name) => at[name] as Json, document);
}

/* Every operation: path, method and what it says. */
function operations(document: Json): { path: string; method: string; operation: Json }[] {
    return Object.entries(document.paths as Json).flatMap(([path, methods]) =>
        Object.entries(methods as Json).map(([method, operation]) => ({ path, method, operation: operation as Json })),
    );
}

describe('the description at /openapi.yaml', () => {
    const server = serverFor({
        channel: {
            without_namespace: { presence: true, history_size: 10, history_ttl: '60s' },
            namespaces: [{ name: 'chat', presence: true, history_size: 10, history_ttl: '60s' }],
        },
    });

    test('is OpenAPI 3.1 with unique operations, and every reference leads somewhere', async () => {
        const document = await description(server.port);
        assert.match(document.openapi as string, /^3\.1\./);
        const ids = operations(document).map(({ operation }) => operation.operationId as string);
        assert.ok(ids.every((id) => id !== undefined));
        assert.equal(new Set(ids).size, ids.length);
        const check = (node: unknown) => {
            if (typeof node === 'object' && node !== null) {
                if ('$ref' in node) {
                    assert.ok(resolved(document, node as Json) !== undefined, JSON.stringify(node));
                }
                Object.values(node).forEach(check);
            }
        };
        check(document);
    });

    test('names calls that exist: every example is answered, in the form that is described', async () => {
        const document = await description(server.port);
        const ajv = new Ajv({ strict: false, validateFormats: false });
        ajv.addSchema({ $id: 'document', ...document });
        for (const { path, method, operation } of operations(document)) {
            const content = operation.requestBody?.content as Json | undefined;
            for (const [type, media] of Object.entries(content ?? {})) {
                assert.ok((media as Json).examples !== undefined, `${method} ${path} shows no example`);
                for (const [name, example] of Object.entries((media as Json).examples ?? {})) {
                    const value = resolved(document, example as Json).value;
                    const body = typeof value === 'string' ? value : JSON.stringify(value);
                    const response = await request(server.port, path, {
                        method: method.toUpperCase(),
                        body,
                        headers: { 'X-API-Key': API_KEY, 'Content-Type': type },
                    });
                    const what = `${method} ${path} '${name}': ${response.body.slice(0, 300)}`;
                    assert.equal(response.status, 200, what);
                    const place =
                        (operation.responses['200'].$ref as string | undefined)?.slice(1) ??
                        `/paths/${path.replaceAll('/', '~1')}/${method}/responses/200`;
                    const described = (resolved(document, operation.responses['200']).content ?? {}) as Json;
                    if (described['application/json'] !== undefined && typeof value !== 'string') {
                        const schema = `document#${place}/content/application~1json/schema`;
                        assert.ok(ajv.validate({ $ref: schema }, JSON.parse(response.body)), `${what}\n${ajv.errorsText()}`);
                    }
                }
            }
        }
    });

    test('leaves no method of the API out', async () => {
        const described = new Set(operations(await description(server.port)).map(({ path }) => path));
        for (const method of [
            'publish', 'broadcast', 'subscribe', 'unsubscribe', 'disconnect', 'refresh', 'presence', 'presence_stats',
            'history', 'history_remove', 'channels', 'info', 'rpc', 'batch', 'connections',
        ]) {
            const response = await request(server.port, `/api/${method}`, {
                method: 'POST',
                body: '{}',
                headers: { 'X-API-Key': API_KEY },
            });
            assert.notEqual(response.status, 404, method);
            assert.ok(described.has(`/api/${method}`), method);
        }
    });
});
