import assert from 'node:assert/strict';
import test from 'node:test';
import type { VNode } from 'preact';
import { MARKDOWN_CHARACTERS_MAX, renderMarkdown, safeHref } from '../src/shared/markdown.tsx';

/* The tree as a line of text: elements in angle brackets with their attributes, text in quotes. */
function outline(node: unknown): string {
    if (node === null || node === undefined || typeof node === 'boolean') {
        return '';
    }
    if (Array.isArray(node)) {
        return node.map(outline).join('');
    }
    if (typeof node !== 'object') {
        return JSON.stringify(String(node));
    }
    const { type, props } = node as VNode<Record<string, unknown>>;
    const { children, ...attributes } = props;
    assert.equal('dangerouslySetInnerHTML' in attributes, false);
    if (typeof type !== 'string') {
        return outline(children);
    }
    const named = Object.entries(attributes)
        .map(([key, value]) => ` ${key}=${String(value)}`)
        .join('');
    return `<${type}${named}>${outline(children)}</${type}>`;
}

const shown = (text: string): string => outline(renderMarkdown(text));

/* Elements a message may become, and attributes they may have. */
const ALLOWED = new Set([
    'p',
    'strong',
    'em',
    'del',
    'code',
    'pre',
    'br',
    'a',
    'blockquote',
    'ul',
    'ol',
    'li',
]);
const ATTRIBUTES = new Set(['class', 'href', 'target', 'rel', 'tabIndex', 'start']);

function assertAllowed(node: unknown): void {
    if (Array.isArray(node)) {
        node.forEach(assertAllowed);
    } else if (typeof node === 'object' && node !== null) {
        const { type, props } = node as VNode<Record<string, unknown>>;
        if (typeof type === 'string') {
            assert.ok(ALLOWED.has(type), type);
            Object.keys(props)
                .filter((key) => key !== 'children')
                .forEach((key) => assert.ok(ATTRIBUTES.has(key), key));
            assert.ok(
                props.href === undefined || safeHref(String(props.href)) === props.href,
                String(props.href),
            );
        }
        assertAllowed(props.children);
    }
}

test('bold, italic, code and strikethrough', () => {
    assert.equal(
        shown('**a** *b* `c` ~~d~~'),
        '<p><strong>"a"</strong>" "<em>"b"</em>" "<code>"c"</code>" "<del>"d"</del></p>',
    );
});

test('blocks of code, quotes and lists', () => {
    assert.equal(shown('```js\na < b\n```'), '<pre tabIndex=0><code>"a < b"</code></pre>');
    assert.equal(shown('> a'), '<blockquote><p>"a"</p></blockquote>');
    assert.equal(shown('- a\n- b'), '<ul><li>"a"</li><li>"b"</li></ul>');
    assert.equal(shown('3. a'), '<ol start=3><li>"a"</li></ol>');
});

test('one new line is one new line', () => {
    assert.equal(shown('a\nb'), '<p>"a"<br></br>"b"</p>');
});

test('links open elsewhere and tell nothing', () => {
    const attributes = ' href=https://example.org/ target=_blank rel=noopener noreferrer nofollow';
    assert.equal(shown('[x](https://example.org/)'), `<p><a${attributes}>"x"</a></p>`);
    assert.equal(shown('https://example.org/'), `<p><a${attributes}>"https://example.org/"</a></p>`);
});

test('a heading does not upset the outline of the page', () => {
    assert.equal(shown('# a'), '<p><strong>"a"</strong></p>');
});

test('HTML, tables, rules and definitions show as typed', () => {
    for (const text of ['<b>a</b>', '| a | b |\n|---|---|\n| 1 | 2 |', '---', '[a]: https://example.org/']) {
        /* Text nodes beside each other read as one. */
        const flat = shown(text).replaceAll('""', '');
        for (const part of text.split('\n')) {
            assert.ok(flat.includes(JSON.stringify(part).slice(1, -1)), `${part} in ${flat}`);
        }
    }
});

test('an image is a link to it: nothing is fetched from elsewhere', () => {
    assert.match(
        shown('![cat](https://example.org/cat.png)'),
        /^<p><a href=https:\/\/example.org\/cat.png[^>]*>"cat"<\/a><\/p>$/,
    );
});

test('H42 only http, https and mailto are linked', () => {
    for (const href of [
        'https://a.example/',
        'http://a.example/x?y#z',
        'mailto:a@b.example',
        'HTTPS://A.example/',
    ]) {
        assert.notEqual(safeHref(href), null, href);
    }
    for (const href of [
        'javascript:alert(1)',
        'JaVaScRiPt:alert(1)',
        ' javascript:alert(1)',
        'java\nscript:alert(1)',
        '\u0001javascript:alert(1)',
        'data:text/html,<script>alert(1)</script>',
        'vbscript:x',
        'file:///etc/passwd',
        'blob:x',
        '/chat',
        '//evil.example/',
        '\\\\evil.example',
        '#x',
        '?x',
        'x',
        '',
        'https:',
        'https://',
        'http:/x',
        'view-source:https://a.example/',
    ]) {
        assert.equal(safeHref(href), null, href);
    }
});

test('H42 nothing a stranger types becomes an element or attribute that is not allowed', () => {
    const corpus = [
        '<script>alert(1)</script>',
        '<img src=x onerror=alert(1)>',
        '<svg/onload=alert(1)>',
        '<a href="javascript:alert(1)">x</a>',
        '[x](javascript:alert(1))',
        '[x](data:text/html;base64,PHN2Zz4=)',
        '![x](javascript:alert(1))',
        '[x](<javascript:alert(1)>)',
        '[x](https://a.example/"onmouseover="alert(1))',
        '[x](https://a.example "a\\" onload=alert(1)")',
        '<javascript:alert(1)>',
        '<https://a.example/>',
        '[a]: javascript:alert(1)\n\n[a]',
        '[a][b]\n\n[b]: data:x',
        '`<img src=x>`',
        '```\n<script>\n```',
        '> <iframe srcdoc="<script>">',
        '- <details open ontoggle=alert(1)>',
        '# <math><mi xlink:href="javascript:alert(1)">',
        '**<style>@import "x"</style>**',
        '&lt;script&gt;',
        '<!--><script>alert(1)</script>',
        '<![CDATA[<script>]]>',
        '<?php x ?>',
        '</div></main><script>',
        '{{constructor.constructor("alert(1)")()}}',
        '\u202e<gnp.x',
        '<form action=x><input autofocus>',
    ];
    for (const text of corpus) {
        assertAllowed(renderMarkdown(text));
    }
});

test('a text that is too long to take apart is shown plain, and a huge one is cut', () => {
    assert.match(shown('*a* ' + 'x'.repeat(MARKDOWN_CHARACTERS_MAX - 4)), /<em>/);
    assert.doesNotMatch(shown('*a* ' + 'x'.repeat(MARKDOWN_CHARACTERS_MAX - 3)), /<em>/);
    assert.ok(shown('x'.repeat(100_000)).length < 21_000);
});

test('texts made to be slow are not', () => {
    const half = MARKDOWN_CHARACTERS_MAX / 2;
    const slow = [
        '>'.repeat(half * 2),
        '['.repeat(half * 2),
        '**a '.repeat(half / 2),
        '`'.repeat(half) + 'a' + '`'.repeat(half - 1),
        '- '.repeat(half),
        '![]('.repeat(half / 2),
        '<a '.repeat(half / 2),
        '_a'.repeat(half),
        '~~a'.repeat(half / 2),
    ];
    for (const text of slow) {
        const start = performance.now();
        assertAllowed(renderMarkdown(text));
        assert.ok(performance.now() - start < 2_000, text.slice(0, 10));
    }
});
