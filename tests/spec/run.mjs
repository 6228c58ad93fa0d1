/* run.mjs - runs the bundles of a folder with node's test runner and ends with one line of counts.
 *
 * run.mjs FOLDER [NAME ...]: only bundles whose name contains one of the names. The reporter differs between Node 18
 * and 20, TAP is the same in both, so the counts are read from that.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

const [folder, ...names] = process.argv.slice(2);
const isWanted = (file) => file.endsWith('.spec.mjs') && (names.length === 0 || names.some((n) => file.includes(n)));
const files = readdirSync(folder).filter(isWanted).sort();
const totals = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
let isBroken = files.length === 0;

/* Longer than any file takes. A failed test may leave a socket open, and node does not end before that is closed. */
const FILE_DEADLINE_MS = 240_000 * Math.min(Number(process.env.STARLING_SPEC_SLOWNESS ?? '1'), 3);

function runFile(file) {
    return new Promise((resolve) => {
        const args = ['--enable-source-maps', '--test', '--test-reporter=tap', path.join(folder, file)];
        /* A process group of its own, so that its end takes the servers along. */
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
        let text = '';
        const deadline = setTimeout(() => {
            text += `\nnot ok - ${file} did not end within ${FILE_DEADLINE_MS / 1000} s\n...\n`;
            process.kill(-child.pid, 'SIGKILL');
        }, FILE_DEADLINE_MS);
        const interrupt = () => {
            process.kill(-child.pid, 'SIGKILL');
            process.exit(130);
        };
        process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
        child.stdout.on('data', (chunk) => (text += chunk));
        child.on('close', (code) => {
            clearTimeout(deadline);
            process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
            resolve({ text, code });
        });
    });
}

/* The names on the way to each failed test, and what its diagnosis says. */
function failures(text) {
    const found = [];
    const lines = text.split('\n');
    lines.forEach((line, i) => {
        const match = /^(\s*)not ok (?:\d+ )?- (.*)$/.exec(line);
        if (match === null) {
            return;
        }
        const block = [];
        for (let j = i + 1; j < lines.length && !/^\s*\.\.\.$/.test(lines[j]); j++) {
            block.push(lines[j]);
        }
        if (!block.some((entry) => entry.includes("'subtestsFailed'"))) {
            found.push([line.trim(), ...block.filter((entry) => !/duration_ms|^\s*---$/.test(entry))].join('\n'));
        }
    });
    return found;
}

for (const file of files) {
    const { text, code } = await runFile(file);
    const counts = {};
    for (const key of Object.keys(totals)) {
        counts[key] = Number(new RegExp(`^# ${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
        totals[key] += counts[key];
    }
    isBroken ||= code !== 0 || counts.tests === 0;
    if (counts.tests === 0) {
        counts.fail = 1;
        totals.fail++;
    }
    const failed = counts.fail + counts.cancelled;
    console.log(`${file.replace('.spec.mjs', '').padEnd(24)} ${counts.pass} passed, ${failed} failed`);
    failures(text).forEach((failure) => console.log(failure));
    if (counts.tests === 0) {
        console.log(text);
    }
}

const failed = totals.fail + totals.cancelled;
console.log(`spec: ${totals.pass} passed, ${failed} failed`);
process.exit(isBroken || failed > 0 ? 1 : 0);
