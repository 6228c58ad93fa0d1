/* emoji.ts - :shortcodes: and what they stand for; a small table, and completion in what is being typed. Pure. */

const TABLE =
    'smile 😄 grin 😁 joy 😂 laugh 😆 wink 😉 blush 😊 cool 😎 heart_eyes 😍 kiss 😘 thinking 🤔 neutral 😐 ' +
    'unamused 😒 sweat 😅 cry 😢 sob 😭 angry 😠 rage 😡 scream 😱 sleep 😴 sick 🤒 party 🥳 nerd 🤓 shrug 🤷 ' +
    'facepalm 🤦 wave 👋 thumbsup 👍 thumbsdown 👎 ok 👌 clap 👏 pray 🙏 muscle 💪 point_up ☝️ handshake 🤝 ' +
    'eyes 👀 brain 🧠 heart ❤️ broken_heart 💔 sparkles ✨ star ⭐ fire 🔥 boom 💥 hundred 💯 tada 🎉 gift 🎁 ' +
    'balloon 🎈 rocket 🚀 warning ⚠️ stop 🛑 check ✅ cross ❌ question ❓ exclamation ❗ bulb 💡 lock 🔒 key 🔑 ' +
    'bug 🐛 wrench 🔧 hammer 🔨 gear ⚙️ package 📦 memo 📝 book 📖 link 🔗 calendar 📅 clock ⏰ hourglass ⏳ ' +
    'chart 📈 phone 📞 mail 📧 bell 🔔 mute 🔇 music 🎵 coffee ☕ tea 🍵 beer 🍺 pizza 🍕 cake 🍰 apple 🍎 ' +
    'sun ☀️ rain 🌧️ snow ❄️ rainbow 🌈 tree 🌳 flower 🌸 cat 🐱 dog 🐶 bird 🐦 starling 🐦‍⬛ penguin 🐧 whale 🐳';

const words = TABLE.split(' ');
export const EMOJI: readonly { code: string; emoji: string }[] = words
    .filter((_, index) => index % 2 === 0)
    .map((code, index) => ({ code, emoji: words[2 * index + 1]! }));

const byCode = new Map(EMOJI.map(({ code, emoji }) => [code, emoji]));

export const QUICK = ['👍', '❤️', '😂', '🎉'] as const;
const SHOWN_MAX = 6;

export interface Completion {
    /* Where the colon stands. */
    start: number;
    found: readonly { code: string; emoji: string }[];
}

/* What the letters before the caret may become; null when it is no shortcode that is being typed. */
export function completionAt(text: string, caret: number): Completion | null {
    const match = /(?:^|[\s(])(:([a-z0-9_]{2,}))$/.exec(text.slice(0, caret));
    if (match === null) {
        return null;
    }
    const typed = match[2]!;
    const starting = EMOJI.filter(({ code }) => code.startsWith(typed));
    const containing = EMOJI.filter(({ code }) => !code.startsWith(typed) && code.includes(typed));
    const found = [...starting, ...containing].slice(0, SHOWN_MAX);
    return found.length === 0 ? null : { start: caret - match[1]!.length, found };
}

/* Whole shortcodes as emoji; what is none stays as it was typed, and so does code. */
export function replaceShortcodes(text: string): string {
    return text
        .split(/(```[^]*?(?:```|$)|`[^`\n]*`)/)
        .map((part, index) =>
            index % 2 === 1 ? part : part.replace(/:([a-z0-9_]+):/g, (whole, code: string) => byCode.get(code) ?? whole),
        )
        .join('');
}
