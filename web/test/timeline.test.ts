import assert from 'node:assert/strict';
import test from 'node:test';
import {
    addOutgoing,
    EMPTY,
    forgetSettled,
    type Message,
    messageOf,
    messagesOf,
    removeOutgoing,
    rowsOf,
    settle,
    SETTLED_MAX,
    type Timeline,
    updateOutgoing,
} from '../src/chat/timeline.ts';

const NOW = Date.UTC(2026, 4, 4, 12);

function received(offset: number, more: Partial<Message> = {}): Message {
    return {
        key: `o${offset}`,
        id: '',
        offset,
        author: 'ann',
        text: `m${offset}`,
        original: more.text ?? `m${offset}`,
        isEdited: false,
        isDeleted: false,
        reactions: [],
        time: NOW,
        hasTime: true,
        isMine: false,
        state: 'settled',
        error: '',
        ...more,
    };
}

function typed(id: string, more: Partial<Message> = {}): Message {
    return received(0, { key: `i${id}`, id, text: id, isMine: true, state: 'sending', ...more });
}

const offsets = (timeline: Timeline): number[] => timeline.settled.map((message) => message.offset);

test('a message that arrives twice is shown once', () => {
    const once = settle(EMPTY, [received(1), received(2)]);
    assert.equal(settle(once, [received(2)]), once);
    assert.deepEqual(offsets(settle(once, [received(1), received(2), received(3), received(3)])), [1, 2, 3]);
});

test('history and live messages end up in the order of their offsets, whichever comes first', () => {
    const live = settle(EMPTY, [received(5), received(6)]);
    assert.deepEqual(offsets(settle(live, [received(3), received(4), received(5)])), [3, 4, 5, 6]);
});

test('the publication of an own message takes its place, and keeps the time it was typed', () => {
    const sent = addOutgoing(settle(EMPTY, [received(1)]), typed('x', { time: NOW - 5 }));
    const back = settle(sent, [received(2, { id: 'x', time: NOW })]);
    assert.deepEqual(back.outgoing, []);
    assert.deepEqual(offsets(back), [1, 2]);
    assert.equal(back.settled[1]?.isMine, true);
    assert.equal(back.settled[1]?.time, NOW - 5);
});

test('the reply after the publication changes nothing any more', () => {
    const back = settle(addOutgoing(EMPTY, typed('x')), [received(1, { id: 'x' })]);
    assert.deepEqual(updateOutgoing(back, 'x', { state: 'accepted' }).outgoing, []);
    assert.equal(updateOutgoing(back, 'x', { state: 'failed' }).settled[0]?.state, 'settled');
});

test('a message sent again after its reply was lost is shown once', () => {
    const first = settle(addOutgoing(EMPTY, typed('x')), [received(1, { id: 'x' })]);
    assert.deepEqual(offsets(settle(first, [received(2, { id: 'x' })])), [1]);
});

test('messages without an id are never taken for each other', () => {
    assert.deepEqual(offsets(settle(EMPTY, [received(1), received(2), received(3)])), [1, 2, 3]);
    assert.equal(settle(EMPTY, [received(0, { key: 'a' }), received(0, { key: 'b' })]).settled.length, 2);
});

test('a failed message can be taken away or fail with a reason, others stay', () => {
    const two = addOutgoing(addOutgoing(EMPTY, typed('x')), typed('y'));
    const failed = updateOutgoing(two, 'x', { state: 'failed', error: 'limit exceeded' });
    assert.equal(failed.outgoing[0]?.error, 'limit exceeded');
    assert.equal(failed.outgoing[1]?.state, 'sending');
    assert.deepEqual(
        removeOutgoing(failed, 'x').outgoing.map((message) => message.id),
        ['y'],
    );
});

test('a gap forgets what was received and keeps what was not sent', () => {
    const timeline = forgetSettled(addOutgoing(settle(EMPTY, [received(1)]), typed('x')));
    assert.deepEqual(offsets(timeline), []);
    assert.equal(timeline.outgoing.length, 1);
});

test('at most so many messages are kept, and then there is more to load', () => {
    const full = settle(
        { ...EMPTY, isComplete: true },
        Array.from({ length: SETTLED_MAX }, (_, i) => received(i + 1)),
    );
    assert.equal(full.settled.length, SETTLED_MAX);
    assert.equal(full.isComplete, true);
    const over = settle(full, [received(SETTLED_MAX + 1)]);
    assert.equal(over.settled.length, SETTLED_MAX);
    assert.equal(over.settled[0]?.offset, 2);
    assert.equal(over.isComplete, false);
});

test('the line "new" stands before the first unread message of somebody else', () => {
    const rows = rowsOf([received(1), received(2, { isMine: true }), received(3), received(4)], 1);
    assert.deepEqual(
        rows.map((row) => row.kind),
        ['day', 'message', 'message', 'new', 'message', 'message'],
    );
    assert.equal(
        rowsOf([received(1)], null).some((row) => row.kind === 'new'),
        false,
    );
    assert.equal(
        rowsOf([received(1)], 1).some((row) => row.kind === 'new'),
        false,
    );
});

test('messages of one author stand together until another writes, time passes or the day changes', () => {
    const minutes = (count: number): number => NOW + count * 60_000;
    const rows = rowsOf(
        [
            received(1),
            received(2, { time: minutes(1) }),
            received(3, { time: minutes(1), author: 'bob' }),
            received(4, { time: minutes(20), author: 'bob' }),
            received(5, { time: NOW + 30 * 3_600_000, author: 'bob' }),
        ],
        null,
    );
    const firsts = rows.flatMap((row) => (row.kind === 'message' ? [row.isFirstOfGroup] : []));
    assert.deepEqual(firsts, [true, false, true, true, true]);
    assert.equal(rows.filter((row) => row.kind === 'day').length, 2);
});

test('any publication makes a message', () => {
    for (const data of [
        null,
        1,
        'x',
        [],
        {},
        { text: 5 },
        { text: 'a', name: {}, id: [], t: 'now' },
        { a: { b: 1 } },
    ]) {
        const message = messageOf({ data, offset: 1 }, NOW, 'Server');
        assert.equal(message.author, 'Server');
        assert.equal(message.time, NOW);
        assert.equal(typeof message.text, 'string');
    }
});

test('a time from the future is not believed', () => {
    assert.equal(messageOf({ data: { text: 'a', t: NOW + 10 * 60_000 } }, NOW, '').time, NOW);
    assert.equal(messageOf({ data: { text: 'a', t: NOW - 1 } }, NOW, '').time, NOW - 1);
});

test('history without times stands where its neighbours do, and claims none', () => {
    const page = [{ text: 'a' }, { text: 'b', t: NOW - 9 }, { text: 'c' }, { text: 'd', t: NOW - 3 }].map(
        (data) => ({ data }),
    );
    const messages = messagesOf(page, NOW, '');
    assert.deepEqual(
        messages.map((message) => message.time),
        [NOW - 9, NOW - 9, NOW - 9, NOW - 3],
    );
    assert.deepEqual(
        messages.map((message) => message.hasTime),
        [false, true, false, true],
    );
    assert.equal(messagesOf([{ data: { text: 'a' } }], NOW, '')[0]?.time, NOW);
});

test('the name the server vouches for goes before the one in the message', () => {
    const data = { text: 'a', name: 'Mallory' };
    const info = { client: 'c', user: '42', connInfo: { name: 'Ann' } };
    assert.equal(messageOf({ data, info }, NOW, '').author, 'Ann');
    assert.equal(messageOf({ data, info: { client: 'c', user: '42' } }, NOW, '').author, '42');
    assert.equal(messageOf({ data, info: { client: 'c', user: '' } }, NOW, '').author, 'Mallory');
});
