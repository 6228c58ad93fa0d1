import assert from 'node:assert/strict';
import test from 'node:test';
import {
    LOG_MAX,
    newBoard,
    rateOf,
    receive,
    ROWS_MAX,
    show,
    TREND_POINTS,
    trendPath,
} from '../src/feed/model.ts';

const NOW = 1_800_000_000_000;

test('a price changes its row in place', () => {
    const board = newBoard();
    receive(board, 'feed:prices', { symbol: 'ACME', price: 10, t: NOW - 7 }, 1, NOW);
    receive(board, 'feed:prices', { symbol: 'ACME', price: 12.5 }, 2, NOW);
    const row = board.prices.get('ACME');
    assert.equal(board.prices.size, 1);
    assert.equal(row?.value, 12.5);
    assert.equal(row?.change, 2.5);
    assert.deepEqual(row?.trend, [10, 12.5]);
    assert.equal(board.channels.get('feed:prices')?.delayMs, 7);
    assert.equal(board.channels.get('feed:prices')?.offset, 2);
});

test('what has no known shape is in the log, as it was published', () => {
    const board = newBoard();
    const strange = [
        null,
        5,
        'x',
        [1],
        { a: 1 },
        { symbol: 'A', price: 'much' },
        { symbol: 1, price: 1 },
        { name: 'a', value: null },
    ];
    strange.forEach((data) => receive(board, 'feed:log', data, undefined, NOW));
    assert.deepEqual(
        board.log.map((line) => line.text),
        strange.map((data) => JSON.stringify(data)),
    );
    assert.equal(board.prices.size + board.counters.size, 0);
});

test('what comes from the history is shown and not counted', () => {
    const board = newBoard();
    show(board, 'feed:log', { text: 'old' }, 0);
    show(board, 'feed:prices', { symbol: 'ACME', price: 1 }, 0);
    assert.equal(board.log[0]?.time, 0);
    assert.equal(board.prices.get('ACME')?.value, 1);
    assert.equal(board.channels.size, 0);
});

test('rows, lines and points are bounded', () => {
    const board = newBoard();
    for (let i = 0; i <= Math.max(ROWS_MAX, LOG_MAX); i++) {
        receive(board, 'feed:x', { symbol: `s${i}`, price: i }, undefined, NOW);
        receive(board, 'feed:x', { text: `t${i}` }, undefined, NOW);
    }
    assert.equal(board.prices.size, ROWS_MAX);
    assert.equal(board.log.length, LOG_MAX);
    assert.equal(board.log[board.log.length - 1]?.text, `t${Math.max(ROWS_MAX, LOG_MAX)}`);
    for (let i = 0; i < TREND_POINTS + 5; i++) {
        receive(board, 'feed:x', { symbol: 's0', price: i }, undefined, NOW);
    }
    assert.equal(board.prices.get('s0')?.trend.length, TREND_POINTS);
});

test('the rate is that of the last five whole seconds, and falls to zero', () => {
    const board = newBoard();
    for (let i = 0; i < 50; i++) {
        receive(board, 'feed:x', { text: 'a' }, undefined, NOW + i * 100);
    }
    const stats = board.channels.get('feed:x')!;
    assert.equal(rateOf(stats, NOW + 5_000), 10);
    assert.equal(rateOf(stats, NOW + 20_000), 0);
});

test('a trend stays inside its box and ends at the right edge', () => {
    assert.equal(trendPath([], 100, 20), '');
    assert.equal(trendPath([5], 100, 20), 'M100.0 10.0');
    const path = trendPath([1, 9, 3], 100, 20);
    for (const [, x, y] of path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)) {
        assert.ok(Number(x) >= 0 && Number(x) <= 100 && Number(y) >= 0 && Number(y) <= 20);
    }
    assert.match(path, /L100\.0 /);
});
