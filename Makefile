# The two commands of this project: `make train` and `make test`. `make help` lists the rest.
#
# Needs git, Python 3.11 to 3.14 (with headers and venv), a C++20 compiler, and a package registry.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# The CPU build of torch that the vLLM CPU build was made for. pip tries what it is configured
# with first; where that lacks the build, TORCH_INDEX (the project's own index) is asked for it.
TORCH       ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# wildcard: what git still lists and is no longer there drops out.
SOURCES := $(wildcard $(shell git ls-files -co --exclude-standard python csrc triton_kernels sandbox_daemon CMakeLists.txt pyproject.toml 2>/dev/null))
# Warnings stop the build under `make test`, and no user's.
WERROR  ?= OFF
PIP     := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: help train test lint types test-cpp test-python format bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

train: $(VENV)/installed $(VENV)/model  ## install what is needed, then train the built-in model (ARGS="--run.steps 5")
	@$(BIN)/azr-fast train $(ARGS)

test: WERROR = ON
test: lint types test-cpp test-python  ## everything: lint, types, C++ tests, pytest

lint: $(VENV)/dev  ## ruff, clang-format, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files '*.cpp' '*.h' '*.cc' '*.cu' | xargs -r $(BIN)/clang-format --dry-run --Werror
	PYTHONPATH=python $(BIN)/lint-imports

types: $(VENV)/dev  ## mypy, strict
	$(BIN)/mypy

# The part of the daemon's pytest suite that is about the broker; all of it passes, and takes longer.
# The address sanitizer keeps freed memory to find its use; so much that a bound on memory would not hold.
SANITIZED_TESTS := $(addprefix sandbox_daemon/tests/test_,protocol.py daemon.py backpressure.py)

# Of a copy of sandbox_daemon/ alone: it must need nothing of the rest. Times are kept for ninja.
test-cpp: $(VENV)/dev  ## build the daemon alone, with -Werror and sanitizers; its C++ tests, fuzz targets and broker's tests
	@echo "building the daemon and its C++ tests under the sanitizers, from a copy of the folder alone"
	@mkdir -p build/alone && rm -rf build/alone/sandbox_daemon && cp -rp sandbox_daemon build/alone/
	@PATH="$(abspath $(BIN)):$$PATH" cmake -S build/alone/sandbox_daemon -B build/alone/build -G Ninja \
	  -DCMAKE_BUILD_TYPE=Release -DAZR_WERROR=ON -DAZR_SANITIZE=ON -DPython_EXECUTABLE=$(abspath $(BIN)/python) >/dev/null
	@PATH="$(abspath $(BIN)):$$PATH" cmake --build build/alone/build
	PATH="$(abspath $(BIN)):$$PATH" ctest --test-dir build/alone/build --output-on-failure
	@PATH="$(abspath $(BIN)):$$PATH" cmake --install build/alone/build --prefix build/alone/installed >/dev/null
	AZR_SANDBOXD=build/alone/installed/bin/azr-sandboxd ASAN_OPTIONS=quarantine_size_mb=1 \
	  $(BIN)/pytest -q $(SANITIZED_TESTS)

test-python: $(VENV)/dev $(VENV)/installed $(VENV)/redis-tools  ## pytest
	$(BIN)/pytest $(ARGS)

format: $(VENV)/dev  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.cpp' '*.h' '*.cc' '*.cu' | xargs -r $(BIN)/clang-format -i

KERNELS := linear_policy_loss linear_logprob selective_logprob group_advantage

bench: $(VENV)/installed  ## time each operation and the update against plain implementations
	for kernel in $(KERNELS); do $(BIN)/python benchmarks/$$kernel.py || exit 1; done
	$(BIN)/python benchmarks/policy_update.py

clean:  ## remove builds and the environment; runs stay
	rm -rf build $(VENV)

$(VENV)/python:
	@$(PYTHON) requirements/check_machine.py
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Locks hold every package, so dependencies are not resolved again: that keeps out what breaks a
# CPU machine (CUDA builds of torchvision, torchaudio and torchcodec).
$(VENV)/packages: requirements/cpu.lock | $(VENV)/python
	@echo "installing torch (CPU build) and the locked packages: a few minutes the first time"
	@$(PIP) install --no-deps '$(TORCH)' 2>/dev/null || { echo "asking $(TORCH_INDEX) for torch"; \
	  $(PIP) install --no-deps --index-url $(TORCH_INDEX) '$(TORCH)'; }
	@$(PIP) install --no-deps -r requirements/cpu.lock
	@touch $@

$(VENV)/dev: requirements/dev.lock $(VENV)/packages
	@echo "installing the tools that lint and test"
	@$(PIP) install --no-deps -r requirements/dev.lock
	@touch $@

$(VENV)/installed: $(SOURCES) $(VENV)/packages
	@echo "building and installing azr-fast"
	@PATH="$(abspath $(BIN)):$$PATH" $(PIP) install --no-deps --no-build-isolation --force-reinstall \
	  --config-settings=cmake.define.AZR_WERROR=$(WERROR) .
	@touch $@

$(VENV)/redis-tools: sandbox_daemon/tests/install_redis_tools.py | $(VENV)/python
	@echo "building redis-cli and redis-benchmark, which test the daemon"
	@$(BIN)/python $< $@
	@touch $@

$(VENV)/model: $(VENV)/installed
	@$(BIN)/azr-fast models fetch smollm2-135m
	@touch $@
