"""Asking a TranslateGemma model for a translation: the published instruction, which is the whole user's turn.

Wording: the chat template of google/translategemma-4b-it, text branch, as four public programs that call the model
reproduce it, to the letter. Its list of languages was not at hand, so only codes with one English name are known here;
for others the name is given.
"""

from __future__ import annotations

from gemwright.errors import UsageError

Language = str | tuple[str, str]
"""A code of LANGUAGES ("de"), or any code with the language's English name: ("pt-BR", "Portuguese")."""

LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish",
    "fil": "Filipino", "fr": "French", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "kn": "Kannada",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "ml": "Malayalam", "mr": "Marathi", "nl": "Dutch",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
"""English names of languages the models were measured on, by ISO 639 code."""

_MAX_NAME = 64


def translation_request(text: str, source: Language, target: Language) -> str:
    """The user's message that asks for `text` in another language. Raises UsageError for no text or no language."""
    if not isinstance(text, str) or not text.strip():
        raise UsageError("There is no text to translate.")
    (code, name), (target_code, target_name) = _language(source), _language(target)
    return (
        f"You are a professional {name} ({code}) to {target_name} ({target_code}) translator. Your goal is to "
        f"accurately convey the meaning and nuances of the original {name} text while adhering to {target_name} "
        f"grammar, vocabulary, and cultural sensitivities.\n"
        f"Produce only the {target_name} translation, without any additional explanations or commentary. Please "
        f"translate the following {name} text into {target_name}:\n\n\n{text.strip()}"
    )


def _language(given: Language) -> tuple[str, str]:
    if isinstance(given, str) and given in LANGUAGES:
        return given, LANGUAGES[given]
    if isinstance(given, tuple) and len(given) == 2 and all(_is_name(part) for part in given):
        return given
    raise UsageError(
        f"{given!r} is not a language that is known by its code.",
        hint=f'Codes: {", ".join(LANGUAGES)}; or give code and English name, as ("pt-BR", "Portuguese").',
    )


def _is_name(part: object) -> bool:
    return isinstance(part, str) and 0 < len(part) <= _MAX_NAME and part.isprintable()
