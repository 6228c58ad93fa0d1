/* markdown.tsx - the small markdown of chat messages, as virtual nodes.
 *
 * marked only takes the text apart; this file turns its tokens into elements, and every piece of text becomes
 * a text node. No HTML string is ever made, so there is nothing to sanitise and no innerHTML, and the page can
 * live under `require-trusted-types-for 'script'`. What is not in the switch below shows as the characters
 * that were typed: HTML, tables, images. Links open elsewhere and only to http, https and mailto.
 */
import { Marked, type Token, type Tokens } from 'marked';
import type { ComponentChildren } from 'preact';
import { cleanText, truncate } from './text.ts';

/* A longer text is shown to this length, as plain text: taking it apart would cost the reader's time. */
export const MARKDOWN_CHARACTERS_MAX = 8_000;
const SHOWN_CHARACTERS_MAX = 20_000;
/* Quotes in quotes in lists: deeper than this is shown as typed. */
const DEPTH_MAX = 8;

const lexer = new Marked({ gfm: true, breaks: true });

/* The address to link to, or null when it is not one a reader may be sent to. */
export function safeHref(href: string): string | null {
    /* Without a scheme of its own it would be taken as a path on this server. */
    if (!/^(https?:\/\/|mailto:)/i.test(href.trim())) {
        return null;
    }
    try {
        const url = new URL(href);
        return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

function link(token: Tokens.Link | Tokens.Image, depth: number): ComponentChildren {
    const href = safeHref(token.href);
    if (href === null) {
        return token.raw;
    }
    const children =
        token.type === 'image' ? token.text || token.href : inline(token.tokens ?? [], depth + 1);
    return (
        <a href={href} target="_blank" rel="noopener noreferrer nofollow">
            {children}
        </a>
    );
}

function inline(tokens: Token[], depth: number): ComponentChildren[] {
    return tokens.map((token) => {
        if (depth > DEPTH_MAX) {
            return token.raw;
        }
        switch (token.type) {
            case 'strong':
                return <strong>{inline(token.tokens ?? [], depth + 1)}</strong>;
            case 'em':
                return <em>{inline(token.tokens ?? [], depth + 1)}</em>;
            case 'del':
                return <del>{inline(token.tokens ?? [], depth + 1)}</del>;
            case 'codespan':
                return <code>{token.text}</code>;
            case 'br':
                return <br />;
            case 'link':
            case 'image':
                return link(token as Tokens.Link | Tokens.Image, depth);
            case 'escape':
                return token.text;
            case 'text':
                return token.tokens === undefined ? token.text : inline(token.tokens, depth + 1);
            default:
                return token.raw;
        }
    });
}

function listItem(item: Tokens.ListItem, depth: number): ComponentChildren {
    const box = item.task ? (item.checked ? '☑ ' : '☐ ') : null;
    return (
        <li>
            {box}
            {blocks(item.tokens, depth + 1)}
        </li>
    );
}

function blocks(tokens: Token[], depth: number): ComponentChildren[] {
    return tokens.map((token) => {
        if (depth > DEPTH_MAX) {
            return <p>{token.raw}</p>;
        }
        switch (token.type) {
            case 'space':
            case 'checkbox':
                return null;
            case 'paragraph':
                return <p>{inline(token.tokens ?? [], depth + 1)}</p>;
            case 'text':
                return <>{inline([token], depth + 1)}</>;
            /* A heading inside a message would upset the page's outline. */
            case 'heading':
                return (
                    <p>
                        <strong>{inline(token.tokens ?? [], depth + 1)}</strong>
                    </p>
                );
            case 'code':
                return (
                    <pre tabIndex={0}>
                        <code>{token.text}</code>
                    </pre>
                );
            case 'blockquote':
                return <blockquote>{blocks(token.tokens ?? [], depth + 1)}</blockquote>;
            case 'list': {
                const list = token as Tokens.List;
                const items = list.items.map((item) => listItem(item, depth));
                return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
            }
            default:
                return <p class="as-typed">{token.raw.trimEnd()}</p>;
        }
    });
}

export function renderMarkdown(source: string): ComponentChildren {
    const text = cleanText(source);
    if (text.length > MARKDOWN_CHARACTERS_MAX) {
        const shown = truncate(text, SHOWN_CHARACTERS_MAX);
        return (
            <p class="as-typed">
                {shown}
                {shown.length < text.length ? '…' : ''}
            </p>
        );
    }
    try {
        return <>{blocks(lexer.lexer(text), 0)}</>;
    } catch {
        return <p class="as-typed">{text}</p>;
    }
}
