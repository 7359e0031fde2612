"""The ways a tensor's numbers are stored, numbered as ggml numbers them.

Source: ggml's `enum ggml_type` and block structs, as listed by the `gguf` package 0.19 (GGML_QUANT_SIZES).
"""

from __future__ import annotations

from enum import IntEnum


class TensorType(IntEnum):
    """A storage type: `block_values` numbers are kept together in `block_bytes` bytes."""

    block_values: int
    block_bytes: int

    def __new__(cls, number: int, block_values: int, block_bytes: int) -> TensorType:
        member = int.__new__(cls, number)
        member._value_ = number
        member.block_values = block_values
        member.block_bytes = block_bytes
        return member

    F32 = 0, 1, 4
    F16 = 1, 1, 2
    Q4_0 = 2, 32, 18
    Q4_1 = 3, 32, 20
    Q5_0 = 6, 32, 22
    Q5_1 = 7, 32, 24
    Q8_0 = 8, 32, 34
    Q2_K = 10, 256, 84
    Q3_K = 11, 256, 110
    Q4_K = 12, 256, 144
    Q5_K = 13, 256, 176
    Q6_K = 14, 256, 210
    IQ4_NL = 20, 32, 18
    IQ4_XS = 23, 256, 136
    BF16 = 30, 1, 2


_SUPPORTED = {member.value: member for member in TensorType}

_UNSUPPORTED = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}


def tensor_type(number: int) -> TensorType | None:
    """The type with ggml's `number`, or None if it is not one of ours."""
    return _SUPPORTED.get(number)


def type_name(number: int) -> str:
    """What to call ggml type `number` in a message, whether we read it or not."""
    known = _SUPPORTED.get(number)
    return known.name if known else _UNSUPPORTED.get(number, f"number {number}, unknown to us")
