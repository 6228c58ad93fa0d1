import assert from 'node:assert/strict';
import test from 'node:test';
import {
    cleanName,
    cleanText,
    colourOf,
    formatDuration,
    initialOf,
    NAME_CHARACTERS_MAX,
    truncate,
} from '../src/shared/text.ts';

test('H42 a name is one line without control or direction characters', () => {
    assert.equal(cleanName(' Ann\n\tB\u202eob\u0000 \u2066x '), 'Ann B ob x');
    assert.equal(cleanName('\u200b\u202e'), '');
    for (const value of [null, undefined, 5, {}, []]) {
        assert.equal(cleanName(value), '');
    }
});

test('a name has at most its characters', () => {
    for (const length of [NAME_CHARACTERS_MAX - 1, NAME_CHARACTERS_MAX, NAME_CHARACTERS_MAX + 1, 100_000]) {
        assert.equal(cleanName('x'.repeat(length)).length, Math.min(length, NAME_CHARACTERS_MAX));
    }
});

test('no character is cut in half', () => {
    assert.equal(truncate('a😀b', 2), 'a');
    assert.equal(truncate('a😀b', 3), 'a😀');
    assert.equal(truncate('ab', 2), 'ab');
});

test('H42 text loses direction overrides and keeps what right-to-left writers need', () => {
    assert.equal(cleanText('a\u202eb\u202dc\u200fd'), 'abc\u200fd');
});

test('the same name always has the same colour', () => {
    assert.equal(colourOf('Ann', 8), colourOf('Ann', 8));
    const used = new Set(Array.from({ length: 200 }, (_, index) => colourOf(`name ${index}`, 8)));
    assert.deepEqual([...used].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the initial of a name is a whole character', () => {
    assert.equal(initialOf('ann'), 'A');
    assert.equal(initialOf('😀 x'), '😀');
    assert.equal(initialOf(''), '?');
});

test('durations are given in their two largest units', () => {
    assert.equal(formatDuration(0), '0 s');
    assert.equal(formatDuration(59), '59 s');
    assert.equal(formatDuration(60), '1 min');
    assert.equal(formatDuration(3_725), '1 h 2 min');
    assert.equal(formatDuration(200_000), '2 d 7 h');
});
