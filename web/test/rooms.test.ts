import assert from 'node:assert/strict';
import test from 'node:test';
import {
    parseRoomName,
    parseStoredRooms,
    roomOfHash,
    ROOM_NAME_CHARACTERS_MAX,
    ROOMS_MAX,
    unreadCount,
} from '../src/chat/rooms.ts';

test('capitals, spaces and a leading # in a room name are forgiven', () => {
    assert.deepEqual(parseRoomName('  #The  Big Room '), { ok: true, name: 'the-big-room' });
});

test('a room name has at most its characters', () => {
    const name = (length: number): string => 'a'.repeat(length);
    assert.equal(parseRoomName(name(ROOM_NAME_CHARACTERS_MAX - 1)).ok, true);
    assert.equal(parseRoomName(name(ROOM_NAME_CHARACTERS_MAX)).ok, true);
    assert.equal(parseRoomName(name(ROOM_NAME_CHARACTERS_MAX + 1)).ok, false);
    assert.equal(parseRoomName('').ok, false);
});

test('characters that mean something in a channel name are refused with a reason', () => {
    for (const name of [
        'a:b',
        '$a',
        'a#b',
        'a/b',
        'a*',
        'a&b',
        'ä',
        '<b>',
        'a\u202eb',
        '-a',
        'a.',
        '.',
        'a"b',
        "a'b",
    ]) {
        const parsed = parseRoomName(name);
        assert.equal(parsed.ok, false, name);
        assert.notEqual(parsed.ok ? '' : parsed.reason, '');
    }
});

test('a link names a room, names none, or names one that cannot be', () => {
    assert.deepEqual(roomOfHash('#/room/lobby'), { ok: true, name: 'lobby' });
    assert.deepEqual(roomOfHash('#/room/Two%20Words'), { ok: true, name: 'two-words' });
    assert.equal(roomOfHash(''), null);
    assert.equal(roomOfHash('#/other'), null);
    assert.equal(roomOfHash('#/room/a/b'), null);
    assert.equal(roomOfHash('#/room/%zz')?.ok, false);
    assert.equal(roomOfHash('#/room/%3Cscript%3E')?.ok, false);
});

test('unread is what came after the place read, in the same stream', () => {
    assert.equal(unreadCount({ epoch: 'a', offset: 5 }, { epoch: 'a', offset: 8 }), 3);
    assert.equal(unreadCount({ epoch: 'a', offset: 8 }, { epoch: 'a', offset: 8 }), 0);
    assert.equal(unreadCount({ epoch: 'a', offset: 9 }, { epoch: 'a', offset: 8 }), 0);
});

test('in a stream that began anew everything is unread', () => {
    assert.equal(unreadCount({ epoch: 'a', offset: 5 }, { epoch: 'b', offset: 2 }), 2);
});

test('a room seen for the first time has nothing unread', () => {
    assert.equal(unreadCount(null, { epoch: 'a', offset: 100 }), 0);
});

test('a stored list of rooms that is nonsense is an empty list', () => {
    for (const value of [null, 1, 'x', {}, [null], [1], [{ name: 1 }], [{ name: 'a b<' }]]) {
        assert.deepEqual(parseStoredRooms(value), []);
    }
});

test('a stored list keeps good rooms once, and forgets bad positions', () => {
    const read = { epoch: 'e', offset: 3 };
    assert.deepEqual(
        parseStoredRooms([
            { name: 'a', read },
            { name: 'a' },
            { name: 'b', read: { epoch: 1, offset: -1 } },
            { name: '$' },
        ]),
        [
            { name: 'a', read },
            { name: 'b', read: null },
        ],
    );
});

test('a stored list is cut at the largest number of rooms', () => {
    const many = Array.from({ length: ROOMS_MAX + 1 }, (_, index) => ({ name: `r${index}` }));
    assert.equal(parseStoredRooms(many).length, ROOMS_MAX);
});
