import assert from 'node:assert/strict';
import test from 'node:test';
import { noteTyping, parseSignal, TYPING_EXPIRES_MS } from '../src/chat/signals.ts';

test('what is not a signal is ignored', () => {
    for (const data of [
        null,
        1,
        'x',
        {},
        { kind: 'typing' },
        { kind: 'shout', name: 'a' },
        { kind: 'typing', name: '' },
    ]) {
        assert.equal(parseSignal(data), null);
    }
    assert.deepEqual(parseSignal({ kind: 'hello', name: ' Ann ', ask: 1 }), {
        kind: 'hello',
        name: 'Ann',
        ask: false,
        away: false,
    });
});

test('typing counts until it expires, is said again or is taken back', () => {
    const typing = { kind: 'typing', name: 'Ann' } as const;
    const one = noteTyping([], 'c1', typing, 1_000);
    assert.deepEqual(one, [{ client: 'c1', name: 'Ann', until: 1_000 + TYPING_EXPIRES_MS }]);
    assert.equal(noteTyping(one, 'c1', typing, 2_000).length, 1);
    assert.equal(noteTyping(one, 'c1', { kind: 'idle', name: 'Ann' }, 2_000).length, 0);
    const later = 1_000 + TYPING_EXPIRES_MS;
    assert.deepEqual(
        noteTyping(one, 'c2', typing, later).map((typist) => typist.client),
        ['c2'],
    );
});
