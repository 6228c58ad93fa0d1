/* mentions.ts - is somebody called by name in a message? Pure. */

/* "@Ann" as a word of its own, whatever the capitals; names may have spaces in them. */
export function mentions(text: string, name: string): boolean {
    if (name === '') {
        return false;
    }
    const [haystack, needle] = [text.toLocaleLowerCase(), `@${name.toLocaleLowerCase()}`];
    for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) {
        const before = at === 0 ? '' : haystack.charAt(at - 1);
        const after = haystack.charAt(at + needle.length);
        if (!/[\p{L}\p{N}_]/u.test(before) && !/[\p{L}\p{N}_]/u.test(after)) {
            return true;
        }
    }
    return false;
}
