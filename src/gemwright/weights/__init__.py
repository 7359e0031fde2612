"""Reading model files: GGUF and safetensors, mapped into memory and checked before anything is believed.

checkpoint   open_checkpoint(path): what a file holds, whatever its format
table        match(rows, checkpoint): exactly the tensors an architecture needs
identity     identity(checkpoint): what tells models apart without reading their weights
levels       plan_types(checkpoint, tensors): into how many bits each matrix goes;  convert    how it gets there
types, tensor, dequant, kquants, bits    how numbers are stored, and what they mean
gguf, cursor, strings, gguf_writer    one format;  safetensors, shards, jsonfile    the other
pipeline     what sentence-transformers puts around a safetensors model
mapped, layout, foreign, quoted    files as bytes, places within them, files of other kinds, names in messages
unsupported    models of the family that are not run, and why
"""

from __future__ import annotations

from gemwright.weights.checkpoint import Checkpoint, open_checkpoint, require_architecture
from gemwright.weights.convert import CONVERSION_VERSION, CONVERTIBLE, Bytes, converted
from gemwright.weights.dequant import dequantize
from gemwright.weights.gguf_writer import Entry, file_bytes, write_gguf
from gemwright.weights.identity import identity
from gemwright.weights.levels import LEVELS, TABLES, bits_per_value, check_level, plan_types
from gemwright.weights.mapped import release
from gemwright.weights.pipeline import MODULES, TOKENIZING
from gemwright.weights.quoted import quoted
from gemwright.weights.strings import StringArray
from gemwright.weights.table import Weight, match
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import TensorType

__all__ = [
    "CONVERSION_VERSION",
    "CONVERTIBLE",
    "LEVELS",
    "MODULES",
    "TABLES",
    "TOKENIZING",
    "Bytes",
    "Checkpoint",
    "Entry",
    "StringArray",
    "Tensor",
    "TensorType",
    "Weight",
    "bits_per_value",
    "check_level",
    "converted",
    "dequantize",
    "file_bytes",
    "identity",
    "match",
    "open_checkpoint",
    "plan_types",
    "quoted",
    "release",
    "require_architecture",
    "write_gguf",
]
