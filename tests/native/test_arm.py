"""The ARM targets under QEMU: every kernel equals scalar bit for bit, and each CPU gets the best target it can run."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from support.native_program import Outcome, run

ROOT = Path(__file__).resolve().parents[2]

TARGETS = ["scalar", "neon", "neondot"]
CPUS = {"cortex-a72": "neon", "neoverse-n1": "neondot", "max": "neondot"}


@pytest.mark.parametrize(("cpu", "best"), CPUS.items())
def test_every_target_the_cpu_supports_passes_the_native_tests(
    cpu: str, best: str, arm_program: Path, native_tests: ModuleType, on_this_machine: Outcome
) -> None:
    outcome = run(native_tests.on_arm(cpu, arm_program))
    assert outcome.status == 0, outcome.output
    assert outcome.targets == TARGETS[: TARGETS.index(best) + 1]
    assert outcome.digest == on_this_machine.digest, "ARM and this machine differ in some bit"


@pytest.mark.parametrize(("cpu", "best"), CPUS.items())
def test_the_best_target_of_the_cpu_is_chosen(cpu: str, best: str, arm_program: Path, native_tests: ModuleType) -> None:
    chosen = run(["qemu-aarch64", "-cpu", cpu, arm_program, "--target"])
    assert (chosen.status, chosen.output.strip()) == (0, best)
    assert list(native_tests.ARM_CPUS) == list(CPUS)


def test_continuous_integration_installs_what_these_tests_need(native_tests: ModuleType) -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert [package for package in native_tests.ARM_PACKAGES if package not in script] == []
