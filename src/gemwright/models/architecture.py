"""From a checkpoint to its network: what is particular to one generation, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from gemwright.errors import CheckpointMismatch
from gemwright.models.decoder import Decoder
from gemwright.models.encoder import Encoder
from gemwright.models.weights import Loader, Precision
from gemwright.step import F32
from gemwright.store import Store
from gemwright.weights import Checkpoint, Tensor, Weight, match

ConfigT = TypeVar("ConfigT")
ReadT = TypeVar("ReadT", covariant=True)


class Reads(Protocol[ReadT]):
    """A configuration class: one constructor for each kind of file."""

    def from_gguf(self, meta: Mapping[str, Any], /) -> ReadT: ...
    def from_hf(self, config: Mapping[str, Any], /) -> ReadT: ...


@dataclass(frozen=True, eq=False)
class Description:
    """A checkpoint seen through its architecture, without computing anything.

    rows: the table of its weights. tensors: by `Weight.name`. architecture: what GGUF files call it.
    metadata: gives its sizes and constants as GGUF keys. constants: tensors that GGUF files hold and no others do.
    """

    checkpoint: Checkpoint
    architecture: str
    rows: tuple[Weight, ...]
    tensors: dict[str, Tensor]
    metadata: Callable[[], dict[str, Any]]
    constants: Mapping[str, F32] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Architecture(Generic[ConfigT]):
    """How checkpoints of one kind are loaded.

    name: what GGUF files call it. weights: the table of a configuration. network: made of configuration and weights.
    gguf_metadata: the inverse of `config.from_gguf`.
    wide: last parts of the names of matrices whose inputs need int16 even at the default precision: the head's, which
    would cost half of all the accuracy lost in int8, outliers or not (docs/decisions/activation-precision.md).
    heads: matrices split for `ops.largest`, each with the vector that scales its inputs; the embedding is the output
    head too, and the final norm tells which of its columns weigh most.
    tables: matrices of which a step reads a few rows; they stay in the file.
    ignore: keys of tensors that may be left over, as `match` takes them. unused: those of one configuration.
    constants: tensors of GGUF files that follow from the configuration, by name: checked where they are stored, written
    where a file is, and read by nobody.
    """

    name: str
    config: Reads[ConfigT]
    weights: Callable[[ConfigT], tuple[Weight, ...]]
    network: Callable[[ConfigT, Loader], Decoder | Encoder]
    gguf_metadata: Callable[[ConfigT], dict[str, Any]]
    wide: tuple[str, ...] = ("embed",)
    heads: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"embed": "final_norm"}))
    tables: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    unused: Callable[[ConfigT], tuple[str, ...]] = lambda config: ()
    constants: Callable[[ConfigT], Mapping[str, F32]] = lambda config: {}

    def build(self, checkpoint: Checkpoint, precision: Precision, store: Store | None = None) -> Decoder | Encoder:
        """The network of a checkpoint, packed through `store` if there is one.

        Raises ModelFormatError or UnsupportedModel for a configuration that cannot be, CheckpointMismatch for tensors
        that do not fit it, before any of them is read.
        """
        config = self._read(checkpoint)
        load = Loader(
            checkpoint,
            self.weights(config),
            precision=precision,
            wide=self.wide,
            heads=self.heads,
            tables=self.tables,
            ignore=self._left_over(config),
            store=store,
        )
        return self.network(config, load)

    def describe(self, checkpoint: Checkpoint) -> Description:
        """What `build` would load. Raises the same."""
        config = self._read(checkpoint)
        rows = self.weights(config)
        tensors = match(rows, checkpoint, ignore=self._left_over(config))
        constants = self.constants(config)
        return Description(checkpoint, self.name, rows, tensors, lambda: self.gguf_metadata(config), constants)

    def _read(self, checkpoint: Checkpoint) -> ConfigT:
        read = self.config.from_gguf if checkpoint.kind == "gguf" else self.config.from_hf
        config = read(checkpoint.config)
        if checkpoint.kind == "gguf":
            check_constants(checkpoint, self.constants(config))
        return config

    def _left_over(self, config: ConfigT) -> tuple[str, ...]:
        return (*self.ignore, *self.unused(config), *self.constants(config))


def check_constants(checkpoint: Checkpoint, constants: Mapping[str, F32]) -> None:
    """Raises CheckpointMismatch for one that is missing or holds other numbers: the model would compute otherwise."""
    for name, expected in constants.items():
        tensor = checkpoint.tensors.get(name)
        if tensor is None or tensor.shape != expected.shape or not np.array_equal(tensor.to_f32(), expected):
            raise CheckpointMismatch(
                f"{checkpoint.path}: tensor {name} does not hold what follows from the metadata.",
                hint="The file may belong to another model of the family, or be damaged.",
            )
