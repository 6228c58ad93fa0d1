/* build.mjs - one bundle per specification, into the folder that is given; packages stay outside of it. */
import { build } from 'esbuild';
import { readdirSync, rmSync, symlinkSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? 'build/spec');

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
    absWorkingDir: root,
    entryPoints: readdirSync(root).filter((name) => name.endsWith('.spec.ts')),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'warning',
});
/* Where the bundles look for packages. */
symlinkSync(path.join(root, 'node_modules'), path.join(out, 'node_modules'));
