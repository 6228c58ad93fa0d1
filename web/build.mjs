/* build.mjs - web/src and web/pages into web/dist.
 *
 * Scripts and style sheets get content-hashed names under assets/, so a browser may keep them for ever; the
 * pages refer to them and are checked on each visit. Nothing is inline, because the server's
 * Content-Security-Policy allows no inline script or style. The build fails when a page outgrows its budget.
 */
import { build } from 'esbuild';
import { mkdir, readdir, readFile, rm, writeFile, copyFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, 'dist');

/* page: the largest gzip size of its scripts and style sheets together, in bytes. */
const PAGES = { index: 80_000, chat: 80_000, feed: 80_000, admin: 80_000 };
const TOTAL_BYTES_MAX = 600_000;

const common = {
    absWorkingDir: root,
    outdir: path.join(dist, 'assets'),
    bundle: true,
    minify: true,
    metafile: true,
    legalComments: 'none',
    target: ['es2020', 'chrome109', 'firefox115', 'safari15.4'],
    entryNames: '[name]-[hash]',
    chunkNames: 'shared-[hash]',
    logLevel: 'warning',
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const modules = await build({
    ...common,
    entryPoints: Object.fromEntries(Object.keys(PAGES).map((page) => [page, `src/${page}.tsx`])),
    format: 'esm',
    splitting: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define: { 'process.env.NODE_ENV': '"production"' },
});
/* The chosen theme has to be known before the first paint: a small classic script, in the head. */
const theme = await build({ ...common, entryPoints: ['src/theme.ts'], format: 'iife' });
const styles = await build({
    ...common,
    entryPoints: ['base', ...Object.keys(PAGES)].map((s) => `src/styles/${s}.css`),
});

/* Output file of an entry point, and every output it imports, as paths below dist/. */
function outputsOf(result, entry) {
    const outputs = result.metafile.outputs;
    const first = Object.keys(outputs).find((name) => outputs[name].entryPoint === entry);
    if (first === undefined) {
        throw new Error(`no output for ${entry}`);
    }
    const seen = new Set();
    const visit = (name) => {
        if (!seen.has(name)) {
            seen.add(name);
            outputs[name].imports.filter((i) => !i.external && outputs[i.path]).forEach((i) => visit(i.path));
        }
    };
    visit(first);
    return [...seen].map((name) => name.replace(/^dist\//, ''));
}

let failed = false;
for (const [page, budget] of Object.entries(PAGES)) {
    const [script, ...chunks] = outputsOf(modules, `src/${page}.tsx`);
    const [themeScript] = outputsOf(theme, 'src/theme.ts');
    const sheets = ['base', page].map((s) => outputsOf(styles, `src/styles/${s}.css`)[0]);
    const head = [
        `<script src="/${themeScript}"></script>`,
        ...sheets.map((sheet) => `<link rel="stylesheet" href="/${sheet}">`),
        ...chunks.map((chunk) => `<link rel="modulepreload" href="/${chunk}">`),
        `<script type="module" src="/${script}"></script>`,
    ];
    const source = await readFile(path.join(root, 'pages', `${page}.html`), 'utf8');
    const html = source.replace('<!-- assets -->', head.join('\n    '));
    if (/<style|<script(?![^>]*\ssrc=)|\s(style|on[a-z]+)=/i.test(html)) {
        throw new Error(`${page}.html has an inline script or style`);
    }
    await writeFile(path.join(dist, `${page}.html`), html);

    let bytes = 0;
    for (const file of [themeScript, script, ...chunks, ...sheets]) {
        bytes += gzipSync(await readFile(path.join(dist, file)), { level: 9 }).length;
    }
    console.log(`${page.padEnd(6)} ${(bytes / 1000).toFixed(1)} kB gzip of ${budget / 1000} kB`);
    failed ||= bytes > budget;
}
await copyFile(path.join(root, 'pages/favicon.svg'), path.join(dist, 'favicon.svg'));

let total = 0;
for (const folder of ['', 'assets']) {
    for (const entry of await readdir(path.join(dist, folder), { withFileTypes: true })) {
        total += entry.isFile() ? (await readFile(path.join(dist, folder, entry.name))).length : 0;
    }
}
console.log(`all    ${(total / 1000).toFixed(1)} kB of ${TOTAL_BYTES_MAX / 1000} kB, not compressed`);
if (failed || total > TOTAL_BYTES_MAX) {
    console.error('a page is larger than its budget');
    process.exit(1);
}
