"""Damaged files of every kind: each is read soundly or refused with an error of ours, in bounded memory.

Structure-aware (every header number × its extremes), random bytes flipped, and truncations, for both formats; and the
same for the header of the real file, changed in a private copy-on-write mapping.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemwright.errors import GemwrightError
from gemwright.weights import StringArray, Tensor, TensorType
from gemwright.weights.gguf import read_gguf
from gemwright.weights.jsonfile import parse_json_object
from gemwright.weights.safetensors import read_safetensors
from support.gguf_writer import Stored, gguf
from support.safetensors_writer import bf16, safetensors, with_header

U8 = npt.NDArray[np.uint8]
PATH = Path("hostile")
RNG = np.random.default_rng(7)
GGUF = gguf(
    {
        "general.architecture": "gemma3",
        "general.alignment": 32,
        "count": 3,
        "long": np.uint64(9),
        "flag": True,
        "scores": np.ones(5, np.float32),
        "tokens": ["", "a", "bcd", "é"],
        "flags": np.array([True, False, True]),
    },
    {
        "a.weight": Stored.random(RNG, TensorType.Q4_0, (2, 64)),
        "b.weight": Stored.random(RNG, TensorType.Q6_K, (1, 256)),
        "c": Stored.f32([1, 2, 3]),
        "d": Stored.random(RNG, TensorType.BF16, (2, 2, 8)),
    },
)
SAFETENSORS = safetensors(
    {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16), "c": bf16([1, 2])}, {"format": "pt"}
)
ALLOWED_BYTES = 300_000
"""Memory an attempt may take at its peak: for files of 2 kB, what an error with its traceback and NumPy need."""


def check_sound(tensors: Mapping[str, Tensor], data: U8, metadata: Mapping[str, Any]) -> None:
    """What was read lies within the file, does not overlap, and can be used."""
    file = range(data.ctypes.data, data.ctypes.data + data.size)
    places = sorted((tensor.data.ctypes.data, tensor.data.nbytes) for tensor in tensors.values())
    end = file.start
    for start, size in places:
        assert end <= start
        end = start + size
        assert end <= file.stop
    for name, tensor in tensors.items():
        assert tensor.name == name
        assert tensor.to_f32().shape == tensor.shape
    for value in metadata.values():
        if isinstance(value, StringArray):
            assert sum(8 + len(text) for text in value) == value.raw.size <= data.size
            assert len(list(value)) == value.count
        elif isinstance(value, np.ndarray):
            assert value.nbytes <= data.size


def refusal(error: GemwrightError) -> bool:
    """False: the file was not read. The sentence is one a person can read."""
    assert 20 < len(str(error)) < 1000
    assert str(error).isprintable()
    return False


def try_gguf(data: bytes | U8) -> bool:
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    try:
        metadata, tensors = read_gguf(PATH, array)
    except GemwrightError as error:
        return refusal(error)
    check_sound(tensors, array, metadata)
    return True


def try_safetensors(data: bytes) -> bool:
    array = np.frombuffer(data, np.uint8)
    try:
        tensors = read_safetensors(PATH, array)
    except GemwrightError as error:
        return refusal(error)
    check_sound(tensors, array, {})
    return True


def in_bounded_memory(attempt: Callable[[bytes], bool], data: bytes) -> bool:
    tracemalloc.start()
    try:
        sound = attempt(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < ALLOWED_BYTES
    return sound


def extremes(size: int, value: int) -> set[int]:
    """Numbers of `size` bytes that have broken readers: around 0, the sign bit, the maximum, and this very value."""
    top, sign = 1 << 8 * size, 1 << 8 * size - 1
    numbers = {0, 1, 2, top - 1, top - 2, top - 8, sign, sign - 1, sign + 1, value - 1, value + 1, value * 2}
    numbers |= {len(GGUF.data), 1 << 31, 1 << 32, 1 << 29, 1 << 61, (1 << 61) + 1, 9, 8, 10, 12, 32, 64}
    return {number for number in numbers if 0 <= number < top}


def test_the_samples_are_sound_before_they_are_damaged() -> None:
    assert in_bounded_memory(try_gguf, GGUF.data)
    assert in_bounded_memory(try_safetensors, SAFETENSORS)


@pytest.mark.parametrize("field", GGUF.fields, ids=lambda field: f"{field.what}@{field.at}")
def test_no_header_number_of_a_gguf_file_can_do_harm(field: Any) -> None:
    value = int.from_bytes(GGUF.data[field.at : field.at + field.size], "little")
    for number in extremes(field.size, value):
        changed = GGUF.data[: field.at] + number.to_bytes(field.size, "little") + GGUF.data[field.at + field.size :]
        in_bounded_memory(try_gguf, changed)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_pair_of_header_numbers_of_a_gguf_file_can_do_harm(data: st.DataObject) -> None:
    changed = bytearray(GGUF.data)
    for field in data.draw(st.lists(st.sampled_from(GGUF.fields), min_size=2, max_size=4)):
        number = data.draw(st.integers(0, (1 << 8 * field.size) - 1) | st.integers(0, 300))
        changed[field.at : field.at + field.size] = number.to_bytes(max(field.size, 2), "little")[: field.size]
    in_bounded_memory(try_gguf, bytes(changed))


@settings(max_examples=600, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, len(GGUF.data) * 8 - 1)), min_size=1, max_size=6))
def test_no_flipped_bits_of_a_gguf_file_can_do_harm(flips: list[tuple[int]]) -> None:
    changed = bytearray(GGUF.data)
    for (bit,) in flips:
        changed[bit // 8] ^= 1 << bit % 8
    in_bounded_memory(try_gguf, bytes(changed))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
@example(b"")
def test_no_bytes_after_the_magic_of_a_gguf_file_can_do_harm(tail: bytes) -> None:
    in_bounded_memory(try_gguf, b"GGUF\3\0\0\0" + tail)


def test_no_truncation_of_either_format_can_do_harm() -> None:
    assert not any(try_gguf(GGUF.data[:size]) for size in range(4, len(GGUF.data) - 32))
    assert not any(try_safetensors(SAFETENSORS[:size]) for size in range(len(SAFETENSORS)))


@settings(max_examples=600, deadline=None)
@given(flips=st.lists(st.integers(0, len(SAFETENSORS) * 8 - 1), min_size=1, max_size=6))
def test_no_flipped_bits_of_a_safetensors_file_can_do_harm(flips: list[int]) -> None:
    changed = bytearray(SAFETENSORS)
    for bit in flips:
        changed[bit // 8] ^= 1 << bit % 8
    in_bounded_memory(try_safetensors, bytes(changed))


NUMBERS = st.integers(0, 40) | st.integers(-(2**70), 2**70) | st.floats() | st.booleans()
VALUES = st.recursive(
    st.none() | NUMBERS | st.text(max_size=4) | st.sampled_from(["F32", "BF16", "dtype", "shape"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = VALUES | st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "f32"]) | VALUES,
        "shape": st.lists(NUMBERS, max_size=3) | VALUES,
        "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2) | VALUES,
    }
)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]) | st.text(max_size=5), ENTRIES, max_size=4))
def test_no_header_of_a_safetensors_file_can_do_harm(header: dict[str, Any]) -> None:
    in_bounded_memory(try_safetensors, with_header(json.dumps(header), bytes(40)))


@pytest.mark.parametrize("length", sorted(extremes(8, int.from_bytes(SAFETENSORS[:8], "little"))))
def test_no_header_length_of_a_safetensors_file_can_do_harm(length: int) -> None:
    assert not in_bounded_memory(try_safetensors, length.to_bytes(8, "little") + SAFETENSORS[8:])


BOMBS = {
    "arrays in arrays": b'{"a":' + b"[" * 1_000_000,
    "objects in objects": b'{"a":' * 1_000_000,
    "empty arrays": b'{"a":[' + b"[]," * 2_000_000 + b"0]}",
    "equal keys": b"{" + b'"a":0,' * 500_000 + b'"b":0}',
    "other keys, the last one twice": b"{" + b"".join(b'"%d":0,' % i for i in range(300_000)) + b'"299999":0}',
    "digits": b'{"a":' + b"9" * 8_000_000 + b"}",
    "a long string": b'{"a":"' + b"\\u0041" * 1_000_000 + b'"}',
    "quotes never closed": b'{"a":"' + b"\\" * 8_000_000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", BOMBS)
def test_json_made_to_exhaust_a_reader_is_answered_soon_and_in_bounded_memory(name: str) -> None:
    tracemalloc.start()
    try:
        if name == "a long string":
            assert parse_json_object(BOMBS[name], "it")["a"] == "A" * 1_000_000
        else:
            with pytest.raises(GemwrightError):
                parse_json_object(BOMBS[name], "it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150_000_000


@pytest.fixture(scope="module")
def real_file(default_model_path: Path) -> U8:
    """The real file, mapped so that changes stay private and cost one page each."""
    return np.asarray(np.memmap(default_model_path, np.uint8, mode="c"))


REAL_HEADER_BYTES = 6_525_120


@pytest.mark.real
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_flipped_bits_in_the_header_of_the_real_file_can_do_harm(real_file: U8, data: st.DataObject) -> None:
    """Half of the flips hit the first kilobyte or the tensor records, where the structure is."""
    at = st.integers(0, REAL_HEADER_BYTES - 1) | st.integers(0, 1200) | st.integers(6_509_000, REAL_HEADER_BYTES - 1)
    flips = data.draw(st.lists(st.tuples(at, st.integers(0, 7)), min_size=1, max_size=4))
    before = [(place, int(real_file[place])) for place, _ in flips]
    try:
        for place, bit in flips:
            real_file[place] ^= np.uint8(1 << bit)
        try_real(real_file)
    finally:
        for place, value in reversed(before):
            real_file[place] = value


@pytest.mark.real
@settings(max_examples=150, deadline=None)
@given(size=st.integers(4, 253_113_023) | st.integers(4, 1300) | st.integers(6_509_000, REAL_HEADER_BYTES))
def test_no_truncation_of_the_real_file_can_do_harm(real_file: U8, size: int) -> None:
    assert not try_real(real_file[:size])


@pytest.mark.real
def test_the_real_file_is_sound_before_it_is_damaged(real_file: U8) -> None:
    assert try_real(real_file)


def try_real(data: U8) -> bool:
    """Opens only: decoding 268 million values each time would add nothing to the header's soundness."""
    try:
        _, tensors = read_gguf(PATH, data)
    except GemwrightError as error:
        return refusal(error)
    stop = data.ctypes.data + data.size
    for tensor in tensors.values():
        assert data.ctypes.data <= tensor.data.ctypes.data <= stop - tensor.data.nbytes
        assert int(np.prod(tensor.shape)) == tensor.values
    return True
