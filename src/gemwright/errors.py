"""Every error a user can meet, each with a stable code and an exit status.

    GemwrightError
    ├── UsageError              bad_option          exit 2   an option or argument that cannot be
    ├── FileError               file_error          exit 3   missing, unreadable, unwritable, disk full
    │   └── ModelFormatError    model_format        exit 3   truncated, foreign or corrupt model file
    │       ├── UnsupportedModel    unsupported_model   exit 3   a sound file of something we do not run
    │       └── CheckpointMismatch  checkpoint_mismatch exit 3   tensors missing, extra or misshaped
    ├── ContextOverflow         context_overflow    exit 4   prompt and answer exceed the context
    ├── CapacityError           capacity            exit 5   no room in memory or cache now
    ├── TargetError             cpu_target          exit 6   a CPU target that is unknown or not supported here
    └── NotFinite               not_finite          exit 7   the model computed NaN or infinity: its weights are unsound

The message says what happened, with the value; `hint` says what to do.
"""

from __future__ import annotations


class GemwrightError(Exception):
    """Base of all our errors: `code` for programs, `exit_status` for shells, `hint` for people."""

    code = "error"
    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


class UsageError(GemwrightError):
    """An option or argument outside what is possible."""

    code = "bad_option"
    exit_status = 2


class FileError(GemwrightError):
    """A file or directory that is missing, unreadable, unwritable or full."""

    code = "file_error"
    exit_status = 3


class ModelFormatError(FileError):
    """A model file that is truncated, corrupt or not a model file at all."""

    code = "model_format"


class UnsupportedModel(ModelFormatError):  # noqa: N818  (reads as the fact it states)
    """A sound model file of an architecture or tensor type we do not run."""

    code = "unsupported_model"


class CheckpointMismatch(ModelFormatError):  # noqa: N818
    """A checkpoint whose tensors are not the ones its architecture declares."""

    code = "checkpoint_mismatch"


class ContextOverflow(GemwrightError):  # noqa: N818
    """Prompt plus answer would not fit the model's or the cache's context."""

    code = "context_overflow"
    exit_status = 4


class CapacityError(GemwrightError):
    """No room for this now: memory, cache or queue is full."""

    code = "capacity"
    exit_status = 5


class TargetError(GemwrightError):
    """A CPU target that does not exist or that this CPU lacks."""

    code = "cpu_target"
    exit_status = 6


class NotFinite(GemwrightError):  # noqa: N818
    """NaN or infinity among the weights, or in what the model computed from them: they are unsound."""

    code = "not_finite"
    exit_status = 7
