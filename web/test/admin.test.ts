import assert from 'node:assert/strict';
import test from 'node:test';
import { addSample, formatShort, parseMetrics, sampleOf, SAMPLES_MAX, type Sample } from '../src/admin/metrics.ts';
import { decodeToken } from '../src/admin/token.ts';

const counters = (values: Record<string, number>): ReadonlyMap<string, number> => new Map(Object.entries(values));
const reading = (time: number, values: Record<string, number>) => ({
    time,
    counters: counters(values),
    clients: 3,
    answerMs: 2,
});

test('samples of one name are summed over their labels, and what is no sample is left out', () => {
    const text = '# HELP x y\nstarling_a{l="1"} 2\nstarling_a{l="2"} 3\nstarling_b 1.5e3\nother 1\nstarling_c x\n';
    assert.deepEqual([...parseMetrics(text)], [
        ['a', 5],
        ['b', 1500],
    ]);
});

test('counters become rates, and the loop lag a mean', () => {
    const before = reading(1_000, { deliveries_total: 10, loop_lag_microseconds_total: 0, loop_lag_samples_total: 0 });
    const now = reading(3_000, { deliveries_total: 30, loop_lag_microseconds_total: 4_000, loop_lag_samples_total: 2 });
    const sample = sampleOf(before, now);
    assert.equal(sample.messagesOut, 10);
    assert.equal(sample.lag, 2);
    assert.equal(sample.clients, 3);
    assert.equal(sample.bytesIn, null);
});

test('a counter that fell belongs to a new process, and the first reading has no rate', () => {
    const high = reading(1_000, { deliveries_total: 10 });
    assert.equal(sampleOf(high, reading(2_000, { deliveries_total: 1 })).messagesOut, null);
    assert.equal(sampleOf(null, high).messagesOut, null);
});

test('no more samples are kept than are shown', () => {
    let samples: Sample[] = [];
    for (let i = 0; i < SAMPLES_MAX + 5; i++) {
        samples = addSample(samples, sampleOf(null, reading(i * 1_000, {})));
    }
    assert.equal(samples.length, SAMPLES_MAX);
    assert.equal(samples[0]!.time, 5);
});

test('numbers fit beside a chart', () => {
    assert.deepEqual(
        [null, 0, 7, 999, 1_234, 123_456, 5e9].map((value) => formatShort(value, 'B')),
        ['–', '0 B', '7 B', '999 B', '1.23 kB', '123 kB', '5 GB'],
    );
    assert.equal(formatShort(12), '12');
});

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (header: unknown, claims: unknown): string => `${part(header)}.${part(claims)}.c2ln`;

test('a token is taken apart, and its times are judged', () => {
    const good = decodeToken(token({ alg: 'HS256' }, { sub: 'é', exp: 200 }), 100);
    assert.deepEqual(good?.problems, []);
    assert.equal(good?.claims.sub, 'é');
    assert.equal(decodeToken(token({ alg: 'HS256' }, { exp: 100 }), 100)?.problems.length, 1);
    assert.equal(decodeToken(token({ alg: 'HS256' }, { nbf: 101 }), 100)?.problems.length, 1);
    assert.equal(decodeToken(token({ alg: 'HS256' }, { exp: 'soon' }), 100)?.problems.length, 1);
    assert.equal(decodeToken(token({ alg: 'HS256' }, { exp: 1e300 }), 100)?.problems.length, 1);
    assert.equal(decodeToken(token({ alg: 'None' }, {}), 100)?.problems.length, 1);
    assert.equal(decodeToken(`${part({ alg: 'HS256' })}.${part({})}.`, 100)?.problems.length, 1);
});

test('what is no token is said to be none', () => {
    for (const text of ['', 'a', 'a.b.c', `${part({})}.${part([])}.x`, `${part({})}.${part({})}`, '.'.repeat(9_000)]) {
        assert.equal(decodeToken(text, 0), null, text.slice(0, 20));
    }
});
