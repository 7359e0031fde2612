"""Says what a file is when it is not the model file it was taken for."""

from __future__ import annotations

_LOOK_BYTES = 4096

_MAGIC = (
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs.github.com/spec", "a Git LFS pointer, not the file it stands for (run `git lfs pull`)"),
    (b"ggjt", "a GGML file of the time before GGUF"),
    (b"tjgg", "a GGML file of the time before GGUF"),
    (b"lmgg", "a GGML file of the time before GGUF"),
    (b"fmgg", "a GGML file of the time before GGUF"),
    (b"LITERTLM", "a LiteRT-LM file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)

_PICKLE = "a Python pickle (PyTorch .pt, .bin or .ckpt), which could run code when opened and is never read"


def foreign_kind(head: bytes) -> str | None:
    """What a file beginning with `head` (its first 4096 bytes are enough) is, or None if it is not recognised.

    The answer completes the sentence "PATH is …".
    """
    head = head[:_LOOK_BYTES]
    if head[:4] == b"PK\x03\x04" and b"data.pkl" in head:
        return _PICKLE
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    if head[257:262] == b"ustar":
        return "a tar archive"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page: the download saved an error or login page instead of the model"
    if text.startswith(b"<?xml"):
        return "an XML document: the download saved an error message instead of the model"
    if text.startswith(b"{"):
        return "a JSON document"
    if not head.strip(b"\x00"):
        return "nothing but zeros: the download was reserved but never filled"
    return None
