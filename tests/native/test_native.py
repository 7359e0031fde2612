"""The native tests on this machine: every kernel against scalar, the pool, memory, packing, hostile tokenizer input."""

from __future__ import annotations

from gemwright import ops
from support.native_program import Outcome


def test_every_native_test_passes_on_this_machine(on_this_machine: Outcome) -> None:
    assert on_this_machine.status == 0, on_this_machine.output
    assert "FAILED" not in on_this_machine.output


def test_they_ran_on_the_targets_python_knows_as_usable(on_this_machine: Outcome) -> None:
    assert on_this_machine.targets == [name for name, supported in ops.targets().items() if supported]
