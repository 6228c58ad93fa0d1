/* test.mjs - bundles test/*.test.ts and runs them with Node's own test runner. */
import { build } from 'esbuild';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const out = await mkdtemp(path.join(os.tmpdir(), 'web-test-'));
const tests = (await readdir(path.join(root, 'test'))).filter((name) => name.endsWith('.test.ts'));
await build({
    absWorkingDir: root,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
});
const files = tests.map((name) => path.join(out, name.replace(/\.ts$/, '.mjs')));
const run = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' });
await rm(out, { recursive: true, force: true });
process.exit(run.status ?? 1);
