import assert from 'node:assert/strict';
import test from 'node:test';
import { changeOf, type Change } from '../src/chat/changes.ts';
import { completionAt, EMOJI, replaceShortcodes } from '../src/chat/emoji.ts';
import { mentions } from '../src/chat/mentions.ts';
import { parseOutbox } from '../src/chat/saved.ts';
import { EMPTY, findMessages, messageOf, settle, settleChanges, type Message } from '../src/chat/timeline.ts';
import { offsetOfHash, roomOfHash } from '../src/chat/rooms.ts';

const NOW = Date.UTC(2026, 4, 4, 12);
const message = (offset: number, id: string, name = 'Ann', text = 'hello'): Message =>
    messageOf({ offset, data: { id, name, text, t: NOW } }, NOW, 'Server');
const change = (offset: number, kind: Change['kind'], text = '', author = 'Ann', of = 'a'): Change => ({
    kind,
    of,
    offset,
    id: `c${offset}`,
    author,
    text,
});

test('a changed text replaces the first one, whichever of the two comes first', () => {
    const edit = change(2, 'edit', 'hello again');
    const after = settleChanges(settle(EMPTY, [message(1, 'a')]), [edit]);
    const before = settle(settleChanges(EMPTY, [edit]), [message(1, 'a')]);
    for (const { settled } of [after, before]) {
        assert.equal(settled[0]?.text, 'hello again');
        assert.equal(settled[0]?.isEdited, true);
    }
});

test('of several changes the one with the highest offset holds, in whatever order they come', () => {
    const timeline = settleChanges(settle(EMPTY, [message(1, 'a')]), [change(4, 'edit', 'last')]);
    assert.equal(settleChanges(timeline, [change(3, 'edit', 'middle')]).settled[0]?.text, 'last');
});

test('only who wrote a message changes or deletes it; anybody reacts', () => {
    const timeline = settleChanges(settle(EMPTY, [message(1, 'a')]), [
        change(2, 'edit', 'forged', 'Eve'),
        change(3, 'delete', '', 'Eve'),
        change(4, 'react', '👍', 'Eve'),
    ]);
    assert.equal(timeline.settled[0]?.text, 'hello');
    assert.equal(timeline.settled[0]?.isDeleted, false);
    assert.deepEqual(timeline.settled[0]?.reactions, [{ emoji: '👍', names: ['Eve'] }]);
    assert.equal(settleChanges(timeline, [change(5, 'delete')]).settled[0]?.isDeleted, true);
});

test('a reaction counts once for each name, and can be taken back', () => {
    const base = settle(EMPTY, [message(1, 'a')]);
    const given = settleChanges(base, [change(2, 'react', '👍'), change(3, 'react', '👍'), change(4, 'react', '👍', 'Bob')]);
    assert.deepEqual(given.settled[0]?.reactions, [{ emoji: '👍', names: ['Ann', 'Bob'] }]);
    const taken = settleChanges(given, [change(5, 'unreact', '👍'), change(6, 'unreact', '👍', 'Bob')]);
    assert.deepEqual(taken.settled[0]?.reactions, []);
});

test('a change seen twice acts once, and one of another message not at all', () => {
    const once = settleChanges(settle(EMPTY, [message(1, 'a')]), [change(2, 'react', '👍')]);
    assert.equal(settleChanges(once, [change(2, 'react', '👍')]), once);
    assert.equal(settleChanges(once, [change(3, 'edit', 'x', 'Ann', 'b')]).settled[0], once.settled[0]);
});

test('what only looks like a change is a message, and a reaction that is no emoji is nothing', () => {
    assert.equal(changeOf({ data: { text: 'x' } }, 'Ann'), null);
    assert.equal(changeOf({ data: { kind: 'edit' } }, 'Ann'), null);
    assert.equal(changeOf({ data: { kind: 'shout', of: 'a' } }, 'Ann'), null);
    assert.equal(changeOf({ data: { kind: 'react', of: 'a', text: '<b>' } }, 'Ann')?.of, '');
    assert.equal(changeOf({ data: { kind: 'react', of: 'a', text: '👍'.repeat(20) } }, 'Ann')?.of, '');
    assert.equal(changeOf({ data: { kind: 'edit', of: 'a', text: 'x' } }, 'Ann')?.of, 'a');
});

test('a search finds messages with all the words, the newest first, and none that was deleted', () => {
    const timeline = settle(EMPTY, [message(1, 'a', 'Ann', 'red apple'), message(2, 'b', 'Bob', 'Green APPLE')]);
    const found = (query: string): number[] => findMessages(timeline, query).map(({ offset }) => offset);
    assert.deepEqual(found('apple'), [2, 1]);
    assert.deepEqual(found('apple bob'), [2]);
    assert.deepEqual(found('  '), []);
    assert.deepEqual(findMessages(settleChanges(timeline, [change(3, 'delete')]), 'red'), []);
});

test('a name is called where it stands as a word', () => {
    assert.equal(mentions('hey @Ann!', 'ann'), true);
    assert.equal(mentions('@ann-marie', 'Ann'), true);
    assert.equal(mentions('mail ann@annex.org', 'Ann'), false);
    assert.equal(mentions('@Anna', 'Ann'), false);
    assert.equal(mentions('@Ann', ''), false);
    assert.equal(mentions('to @Grace Hopper', 'Grace Hopper'), true);
});

test('shortcodes are completed while they are typed, and replaced when they are whole', () => {
    assert.equal(new Set(EMOJI.map(({ code }) => code)).size, EMOJI.length);
    assert.ok(EMOJI.every(({ code, emoji }) => /^[a-z0-9_]+$/.test(code) && /^\p{Extended_Pictographic}/u.test(emoji)));
    assert.equal(completionAt('so :roc', 7)?.found[0]?.code, 'rocket');
    assert.equal(completionAt('10:30', 5), null);
    assert.equal(completionAt('so :r', 5), null);
    assert.equal(completionAt('so :zzz', 7), null);
    assert.equal(replaceShortcodes('up :rocket: and :nosuch:'), 'up 🚀 and :nosuch:');
    assert.equal(replaceShortcodes('`:rocket:` :fire:'), '`:rocket:` 🔥');
});

test('what waited before a reload is taken back only as this page writes it', () => {
    const good = { id: '0'.repeat(32), author: 'Ann', text: 'x', time: NOW };
    assert.deepEqual(parseOutbox([good, good, { ...good, id: 'x' }, { ...good, text: '' }, null, 7]), [good]);
    assert.deepEqual(parseOutbox('nonsense'), []);
});

test('a link names a room, and perhaps a message in it', () => {
    assert.equal(offsetOfHash('#/room/lobby/m/17'), 17);
    assert.equal(offsetOfHash('#/room/lobby'), 0);
    assert.deepEqual(roomOfHash('#/room/lobby/m/17'), { ok: true, name: 'lobby' });
    assert.equal(roomOfHash('#/room/lobby/m/x'), null);
});
