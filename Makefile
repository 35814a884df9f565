# The commands of this project: `make train`, `make test` before a commit, `make test-all` before a
# merge. `make help` lists the rest.
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
# Warnings stop the build under `make test`, and no user's; there the C++ tests are built along.
TESTING ?= OFF
BUILD   := build/install
# pytest processes at once, a core and about 1.5 GB each.
WORKERS ?= 2
# ccache keeps what it compiled outside the checkout ($XDG_CACHE_HOME/ccache) and takes paths as relative
# to it, so that a clean checkout in another folder compiles only what changed.
CCACHE  := $(abspath $(BIN))/ccache
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
PIP     := $(BIN)/python -m pip --disable-pip-version-check
# Shows how far a long command is: in place on a terminal, elsewhere by a line every 30 s.
SHOW    := $(BIN)/python requirements/show_progress.py
INSTALL := $(PIP) install --no-deps --progress-bar raw

.PHONY: help train test test-all lint types test-cpp test-python test-sanitized test-slow format bench docs clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

train: $(VENV)/installed $(VENV)/model  ## install what is needed, then train the built-in model (ARGS="--run.steps 5")
	@$(BIN)/azr-fast train $(ARGS)

say = @printf '\n== %s\n'

test test-all test-cpp test-python: TESTING = ON
test test-all test-cpp test-python: export CMAKE_CXX_COMPILER_LAUNCHER = $(CCACHE)
test: lint types test-cpp test-python  ## before a commit: lint, types, C++ tests, pytest but for what is slow
test-all: test test-sanitized test-slow  ## before a merge: also sanitizers, fuzzing, slow tests

lint: $(VENV)/dev  ## ruff, clang-format, who may import whom
	$(say) "lint: seconds"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files '*.cpp' '*.h' '*.cc' '*.cu' | xargs -r $(BIN)/clang-format --dry-run --Werror
	PYTHONPATH=python $(BIN)/lint-imports

types: $(VENV)/dev  ## mypy, strict
	$(say) "types: half a minute"
	$(BIN)/mypy

# The build that was installed; configured again in case it was made without the tests.
test-cpp: $(VENV)/dev $(VENV)/installed  ## the C++ tests, from the build that is installed
	$(say) "C++ tests: half a minute once they are built"
	@PATH="$(abspath $(BIN)):$$PATH" cmake -B $(BUILD) -DAZR_WERROR=ON -DAZR_SANDBOXD_TESTS=ON \
	  -DCMAKE_CXX_COMPILER_LAUNCHER=$(CCACHE) >/dev/null
	@PATH="$(abspath $(BIN)):$$PATH" cmake --build $(BUILD)
	PATH="$(abspath $(BIN)):$$PATH" ctest --test-dir $(BUILD)/sandbox_daemon --output-on-failure -j $(WORKERS)

# One thread each: beside another worker, the threads of a tiny model would wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

test-python: $(VENV)/dev $(VENV)/installed $(VENV)/redis-tools  ## pytest but for what is slow
	$(say) "pytest, $(WORKERS) at a time: about 9 minutes on two cores"
	$(PYTEST) --dist worksteal -m "not slow and not engine"
	$(say) "pytest of engines with tiny models, a file at a time in each worker: 3 minutes"
	$(PYTEST) --dist loadfile --no-loadscope-reorder -m "engine and not slow"

test-slow: $(VENV)/dev $(VENV)/installed $(VENV)/redis-tools  ## pytest of what is slow
	$(say) "slow tests, $(WORKERS) at a time: about 3 minutes"
	$(PYTEST) --dist worksteal -m "slow and not engine"
	$(say) "slow tests of real models and engines, with all cores: 9 minutes, 20 without AVX-512"
	$(BIN)/pytest -m "slow and engine"

# The part of the daemon's pytest suite that is about the broker; all of it passes, and takes longer.
# The address sanitizer keeps freed memory to find its use; so much that a bound on memory would not hold.
SANITIZED_TESTS := $(addprefix sandbox_daemon/tests/test_,protocol.py daemon.py backpressure.py)

# Of a copy of sandbox_daemon/ alone: it must need nothing of the rest. Times are kept for ninja.
test-sanitized: $(VENV)/dev  ## build the daemon alone, with -Werror and sanitizers; its C++ tests, fuzz targets and broker's tests
	$(say) "the daemon and its C++ tests under the sanitizers, fuzzing: about 8 minutes, most of it compiling"
	@mkdir -p build/alone && rm -rf build/alone/sandbox_daemon && cp -rp sandbox_daemon build/alone/
	@PATH="$(abspath $(BIN)):$$PATH" cmake -S build/alone/sandbox_daemon -B build/alone/build -G Ninja \
	  -DCMAKE_BUILD_TYPE=Release -DAZR_WERROR=ON -DAZR_SANITIZE=ON -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -DCMAKE_CXX_COMPILER_LAUNCHER=$(CCACHE) >/dev/null
	@PATH="$(abspath $(BIN)):$$PATH" cmake --build build/alone/build
	PATH="$(abspath $(BIN)):$$PATH" ctest --test-dir build/alone/build --output-on-failure -j $(WORKERS)
	@PATH="$(abspath $(BIN)):$$PATH" cmake --install build/alone/build --prefix build/alone/installed >/dev/null
	AZR_SANDBOXD=build/alone/installed/bin/azr-sandboxd ASAN_OPTIONS=quarantine_size_mb=1 \
	  $(BIN)/pytest -n $(WORKERS) --dist loadfile $(SANITIZED_TESTS)

format: $(VENV)/dev  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.cpp' '*.h' '*.cc' '*.cu' | xargs -r $(BIN)/clang-format -i

KERNELS := linear_policy_loss linear_logprob selective_logprob group_advantage

bench: $(VENV)/installed  ## time each operation and the update against plain implementations
	for kernel in $(KERNELS); do $(BIN)/python benchmarks/$$kernel.py || exit 1; done
	$(BIN)/python benchmarks/policy_update.py

docs: $(VENV)/dev $(VENV)/installed  ## build the site of the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## remove builds and the environment; runs stay
	rm -rf build $(VENV)

$(VENV)/python:
	@$(PYTHON) requirements/check_machine.py
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Locks hold every package, so dependencies are not resolved again: that keeps out what breaks a
# CPU machine (CUDA builds of torchvision, torchaudio and torchcodec).
# pip shows its progress to another program (`raw`) since 24.1; Python 3.11 comes with an older one.
$(VENV)/packages: requirements/cpu.lock | $(VENV)/python
	@$(PIP) install -qq 'pip>=24.1'
	@$(SHOW) "torch, CPU build" --attempt -- $(INSTALL) '$(TORCH)' || \
	  $(SHOW) "torch, CPU build, from $(TORCH_INDEX)" -- $(INSTALL) --index-url $(TORCH_INDEX) '$(TORCH)'
	@$(SHOW) "locked packages" --count $< -- $(INSTALL) -r $<
	@touch $@

$(VENV)/dev: requirements/dev.lock $(VENV)/packages
	@$(SHOW) "tools that lint and test" --count $< -- $(INSTALL) -r $<
	@touch $@

$(VENV)/installed: $(SOURCES) $(VENV)/packages
	@PATH="$(abspath $(BIN)):$$PATH" $(SHOW) "building azr-fast" -- \
	  $(INSTALL) -v --no-build-isolation --force-reinstall \
	  --config-settings=build-dir=$(BUILD) --config-settings=cmake.define.AZR_WERROR=$(TESTING) \
	  --config-settings=cmake.define.AZR_SANDBOXD_TESTS=$(TESTING) .
	@touch $@

$(VENV)/redis-tools: sandbox_daemon/tests/install_redis_tools.py | $(VENV)/python
	@echo "building redis-cli and redis-benchmark, which test the daemon"
	@$(BIN)/python $< $@
	@touch $@

$(VENV)/model: $(VENV)/installed
	@$(BIN)/azr-fast models fetch smollm2-135m
	@touch $@
