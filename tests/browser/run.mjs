/* run.mjs [screenshots | NAME…] - bundles the tests, or the screenshot script, and runs them.
 *
 * Without arguments all *.test.ts; with names only those ("chat" is chat.test.ts). The bundles lie below
 * node_modules, where Node finds playwright-core for them.
 */
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const out = path.join(root, 'node_modules/.starling-tests');
const names = process.argv.slice(2);
const isScreenshots = names[0] === 'screenshots';
const tests = (await readdir(root)).filter((name) => name.endsWith('.test.ts'));
const chosen = isScreenshots
    ? ['screenshots.ts']
    : tests.filter((name) => names.length === 0 || names.includes(name.replace('.test.ts', '')));

await build({
    absWorkingDir: root,
    entryPoints: chosen,
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
});
const files = chosen.map((name) => path.join(out, name.replace(/\.ts$/, '.mjs')));
const options = isScreenshots ? [] : ['--test', '--test-concurrency=1'];
const run = spawnSync(process.execPath, [...options, ...files], { stdio: 'inherit' });
process.exit(run.status ?? 1);
