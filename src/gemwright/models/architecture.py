"""From a checkpoint to its network: what is particular to one generation, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from gemwright.models.decoder import Decoder
from gemwright.models.encoder import Encoder
from gemwright.models.weights import Loader, Precision
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
    metadata: gives its sizes and constants as GGUF keys.
    """

    checkpoint: Checkpoint
    architecture: str
    rows: tuple[Weight, ...]
    tensors: dict[str, Tensor]
    metadata: Callable[[], dict[str, Any]]


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
    ignore: keys of tensors that may be left over, as `match` takes them.
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
            ignore=self.ignore,
            store=store,
        )
        return self.network(config, load)

    def describe(self, checkpoint: Checkpoint) -> Description:
        """What `build` would load. Raises the same."""
        config = self._read(checkpoint)
        rows = self.weights(config)
        tensors = match(rows, checkpoint, ignore=self.ignore)
        return Description(checkpoint, self.name, rows, tensors, lambda: self.gguf_metadata(config))

    def _read(self, checkpoint: Checkpoint) -> ConfigT:
        read = self.config.from_gguf if checkpoint.kind == "gguf" else self.config.from_hf
        return read(checkpoint.config)
