"""Strings that try a tokenizer: 240 languages, code, emoji, white space, broken bytes, special spellings, noise.

Words of languages are CLDR's, by the PyPI package babel (names of months, days, countries, languages, units; dates and
amounts written out); everything else is our own. The same strings every time: random ones come from a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Voix ambiguë d'un cœur qui préfère les jattes de kiwis.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "El pingüino Wenceslao hizo kilómetros bajo lluvia.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів!",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "Pijamalı hasta yağız şoföre çabucak güvendi.",
    "אני יכול לאכול זכוכית וזה לא מזיק לי.",
    "أنا قادر على أكل الزجاج و هذا لا يؤلمني.",
    "من می‌توانم بدونِ احساس درد شيشه بخورم.",
    "میں کانچ کھا سکتا ہوں اور مجھے تکلیف نہیں ہوتی۔",
    "मैं काँच खा सकता हूँ और मुझे उससे कोई चोट नहीं पहुंचती।",
    "আমি কাঁচ খেতে পারি, তাতে আমার কোনো ক্ষতি হয় না।",
    "ਮੈਂ ਗਲਾਸ ਖਾ ਸਕਦਾ ਹਾਂ",
    "હું કાચ ખાઇ શકું છું",
    "நான் கண்ணாடி சாப்பிடுவேன்",
    "నేను గాజు తినగలను",
    "ನಾನು ಗಾಜು ತಿನ್ನಬಲ್ಲೆ",
    "എനിക്ക് ഗ്ലാസ് തിന്നാം.",
    "මට වීදුරු කෑමට හැකියි.",
    "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ",
    "ຂ້ອຍກິນແກ້ວໄດ້",
    "ကျွန်တော် မှန်စားနိုင်တယ်။",
    "ខ្ញុំអាចញុំកញ្ចក់បាន",
    "Tôi có thể ăn thủy tinh mà không hại gì.",
    "我能吞下玻璃而不伤身体。",
    "我能吞下玻璃而不傷身體。",
    "私はガラスを食べられます。それは私を傷つけません。",
    "나는 유리를 먹을 수 있어요. 그래도 아프지 않아요",
    "მინას ვჭამ და არა მტკივა.",
    "Կրնամ ապակի ուտել։",
    "ብርጭቆ መብላት እችላለሁ።",
    "Би шил идэй чадна, надад хортой биш",
    "ᠪᠢ ᠰᠢᠯᠢ ᠢᠳᠡᠶᠦ ᠴᠢᠳᠠᠨᠠ",
    "ཤེལ་སྒོ་ཟ་ནས་ང་ན་གི་མ་རེད།",
    "ᐊᓕᒍᖅ ᓂᕆᔭᕌᖓᒃᑯ",
    "ꦏꦭꦶꦩꦃ ꦱꦏꦶꦁ",
    "ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "ߒߞߏ ߞߊ߲",
    "𞤆𞤵𞤤𞤢𞤪",
    "𐌼𐌰𐌲 𐌲𐌻𐌴𐍃 𐌹̈𐍄𐌰𐌽",
    "𒀀𒁀𒂀 𓀀𓁐 𐎠𐎡",
    "ꠍꠤꠟꠐꠤ",
)

CODE = (
    "def f(x: int) -> int:\n    return x ** 2  # square\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "SELECT id, name FROM users WHERE age >= 18 ORDER BY name;\n",
    '{"key": [1, 2.5e-3, null, true], "nested": {"a": "b\\n"}}',
    "<html>\n<body>\n<h1>Title</h1><table><tr><td>1</td></tr></table>\n</body>\n</html>",
    'fn main() { println!("{:?}", vec![1u8; 3]); }',
    "#include <vector>\ntemplate<class T> auto f(T&& t) -> decltype(t) { return t; }",
    "a_b-c.d/e\\f:g;h,i|j~k`l@m#n$o%p^q&r*s(t)u[v]w{x}y<z>",
    "```python\nprint('hi')\n```\n\n- item\n  - sub\n\n1. one\n2. two\n",
    "x<-c(1,2);y=x%*%t(x)\r\nz\r\n",
    "λx.λy.x y ∀ε>0 ∃δ ∑∫√∞≠≤≥ℝ⊂⊕",
    "https://example.org/a?b=c&d=%20#frag user@example.com 2026-11-23T20:49:32Z",
    "#!/bin/sh\nset -eu\nls | grep -v '^\\.' >\"$out\" 2>&1 || exit 1\n",
    "\\begin{align} e^{i\\pi} + 1 &= 0 \\\\ \\end{align}",
    "1234567890 3.14159 1,000,000 0xDEADBEEF 1e-10 ½ ² ₃ Ⅷ ٣ ३ ๓ 〇",
    "class A {\n    public:\n        int x;\n\n\n\n        A() : x(0) {}\n};",
    "if x:\n\t\tpass\n\telse:\n \t mixed\n",
    "diff --git a/x b/x\n@@ -1,3 +1,4 @@\n-old\n+new\n",
)

EMOJI = (
    "😀😃😄",
    "👨‍👩‍👧‍👦",
    "👩🏽‍🚀👨🏿‍🦰",
    "🏳️‍🌈🏴‍☠️",
    "🇩🇪🇫🇷🇯🇵🇺🇳",
    "👍🏻👍🏼👍🏽👍🏾👍🏿",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "1️⃣2️⃣#️⃣*️⃣",
    "❤️‍🔥❤❤️",
    "🧑🏻‍🤝‍🧑🏿",
    "🫠🫨🪿🫎",
    "☺︎☺️",
    "text😀text",
    "😀 😀  😀",
    "🙂‍↔️",
    "🐦‍⬛",
    "⛹🏽‍♀️",
    "©️®️™️",
)

MARKS = (
    "e\u0301 é",
    "a\u0300\u0301\u0302\u0303\u0304",
    "z̴̡̧͎̺a̷l̸g̶o̷",
    "\u200b",
    "a\u200bb",
    "\u200d",
    "a\u200db\u200cc",
    "\ufeffbom",
    "\u2060",
    "soft\u00adhyphen",
    "\u202eright-to-left\u202c",
    "\u2066isolate\u2069",
    "क\u094d\u200dष",
    "한\u1112\u1161\u11ab",
    "ﬁ ﬂ ﷺ ㍿",
    "Ａｂｃ１２３",
    "İıſKÅΩ",
    "\u2581",
    "\u2581\u2581",
    "a\u2581b",
    " \u2581 \u2581\u2581 ",
    "\u2581\u2581\u2581\u2581the",
    "\u2581the the",
    "x\u2581\u2581\u2581y   z",
    "\x00",
    "a\x00b",
    "\x00\x00\x00",
    "\x7f\x1b[0m",
    "\u0085\u2028\u2029",
    "\ufffd",
    "\uffff\ufffe",
    "\U0010ffff",
    "\ue000\uf8ff",
    "\ud7ff",
    "\U00010000",
)

BROKEN = (
    b"\xff",
    b"\xfe\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xe2\x82",
    b"\xe2\x82 a",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5",
    b"a\xffb",
    b"the\xffthe \xfe the",
    b"caf\xe9 na\xefve",
    b"\xa4\xa2\xa4\xa4",
    b"\xe2\x96",
    b"\xe2\x96\x81\xe2\x96",
    b"\n\xff\n\n",
    b"\xc3\xa9\xc3",
    b"<start_of_turn>\xff<end_of_turn>",
    b"<tab\xffle>",
    b"\xe2\x28\xa1",
    b"  \xff  ",
    bytes(range(256)),
    bytes(range(255, -1, -1)),
)


def language_strings() -> Iterator[tuple[str, str]]:
    """(language code, text) for every language of CLDR with enough words."""
    from babel import Locale, dates, lists, localedata, numbers

    seen = set()
    when = datetime(2026, 11, 3, 16, 5, 9)
    for name in localedata.locale_identifiers():
        locale = Locale.parse(name)
        code = locale.language + (f"-{locale.script}" if locale.script else "")
        if (
            locale.territory
            or locale.variant
            or code in seen
            or min(len(locale.territories), len(locale.languages)) < 16
        ):
            continue
        seen.add(code)
        rng = random.Random(code)
        months = locale.months["format"]["wide"]
        yield code, " ".join(str(months[m]) for m in sorted(months))
        for names in (locale.territories, locale.languages):
            words = [str(word) for word in names.values()]
            rng.shuffle(words)
            yield code, lists.format_list(words[:6], locale=locale)
            yield code, "\n".join(words[6:12])
            yield code, f"  {words[0]}:\t{' '.join(words[12:16])}!"
        amount = rng.randrange(10**7) / 100
        yield code, dates.format_datetime(when, "full", locale=locale)
        yield (
            code,
            dates.format_date(when, "long", locale=locale)
            + " — "
            + numbers.format_currency(amount, "EUR", locale=locale),
        )
        yield code, dates.format_timedelta(timedelta(days=rng.randrange(1, 900)), add_direction=True, locale=locale)
        units = [str(unit) for unit in locale.unit_display_names.values() if isinstance(unit, str)]
        units += [
            str(u.get("long")) for u in locale.unit_display_names.values() if not isinstance(u, str) and u.get("long")
        ]
        rng.shuffle(units)
        if units:
            yield code, "; ".join(units[:6])


def white_space() -> Iterator[str]:
    """Runs of every length around those the vocabulary lists, in every company."""
    for count in [*range(1, 40), 61, 62, 63, 64, 93, 94, 100, 200]:
        for space in (" ", "\n", "\t", "\u2581"):
            yield space * count
            yield f"a{space * count}b"
    for count in range(1, 36, 3):
        yield f"{' ' * count}the\n{' ' * count}\n\n\t{' ' * count}x\t\t"
        yield " \n" * count + "\t " * count
    yield from (
        "\r\n",
        "a\r\n\r\nb",
        "\u00a0\u2003\u3000 x",
        " \u00a0 ",
        "\v\f\x1c\x1d",
        "",
        " ",
        "  ",
        "t ",
        " t",
        "\n\n \n\n",
    )


def long_strings() -> Iterator[str]:
    """Longer than an encoder may like to take at once, with and without places to cut."""
    for unit in (
        "a",
        "ab",
        "=",
        "-=",
        "的",
        "ก",
        "😀",
        "aaab",
        "é",
        "0",
        "ACGT",
        ".",
        "ha",
        "\u0301",
        "𒀀",
        "_",
        "x ",
        "ᄀ",
    ):
        for count in (257, 3000):
            yield unit * count
    rng = random.Random(7)
    for alphabet in (
        "ACGT",
        "01",
        "abcdefghijklmnopqrstuvwxyz",
        "的一是不了人我在有他这",
        "กขคงจฉ",
        "aA0+/",
        "あいうえおカキク",
        "-_=",
        "aeiou",
    ):
        yield "".join(rng.choices(alphabet, k=6000))
        yield "".join(rng.choices(alphabet, k=2047)) + " end"


def noise(count: int) -> Iterator[str]:
    """Random text: of all of Unicode, of one block, of ASCII, of pieces glued together, and bytes."""
    rng = random.Random(2026)
    blocks = [
        (0x20, 0x7E),
        (0xA0, 0x24F),
        (0x370, 0x52F),
        (0x590, 0x6FF),
        (0x900, 0xDFF),
        (0xE00, 0x10FF),
        (0x1100, 0x11FF),
        (0x2000, 0x27FF),
        (0x3040, 0x30FF),
        (0x4E00, 0x9FFF),
        (0xAC00, 0xD7A3),
        (0x1F300, 0x1FAFF),
        (0x10000, 0x13FFF),
    ]
    glue = [
        "the",
        " ",
        "  ",
        "\n",
        "\u2581",
        "<",
        ">",
        "/",
        "table",
        "<td>",
        "</",
        "a",
        "é",
        "的",
        "😀",
        "0",
        "\t",
        "<unused",
        "_",
        "ing",
        "\x00",
    ]
    for i in range(count):
        size = rng.randrange(1, 40)
        match i % 4:
            case 0:
                low, high = rng.choice(blocks)
                yield "".join(chr(rng.randint(low, high)) for _ in range(size))
            case 1:
                yield "".join(
                    chr(c) for c in (rng.randrange(0x110000) for _ in range(size)) if not 0xD800 <= c < 0xE000
                )
            case 2:
                yield "".join(rng.choices(glue, k=size))
            case _:
                yield rng.randbytes(size).decode("utf-8", "surrogateescape")


def special(spellings: list[str]) -> Iterator[str]:
    """Every added token alone, and all of them glued into text, twenty at a time."""
    yield from spellings
    rng = random.Random(99)
    shuffled = rng.sample(spellings, len(spellings))
    glue = ("", "", " ", "x", "the", "\n", "<", ">", "é", "\u2581")
    for start in range(0, len(shuffled), 20):
        yield "".join(rng.choice(glue) + token for token in shuffled[start : start + 20]) + rng.choice(glue)
    yield from (
        "<start_of_turn",
        "start_of_turn>",
        "< start_of_turn>",
        "<<start_of_turn>>",
        "<start_of_turn>user\nhi<end_of_turn>\n",
        "<|im_start|>",
        "<bos><bos>",
        "<eos",
        "<0x0A>",
        "<0x0a>",
        "<0xFF><0x00>",
        "<unused6242>",
        "<unused>",
        "<TABLE>",
        "</table></table>",
        "<s><ss></s>",
        "[INST]",
    )
