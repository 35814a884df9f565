#!/usr/bin/env bash
# Everything that a GPU is needed for, within ten minutes on a bare machine:
#
#     benchmarks/gpu_day.sh OUT               on a machine with a GPU
#     benchmarks/gpu_day.sh --reduced OUT     the same on a CPU with toys: shows that it works
#
# Needed there: Python with torch, triton, transformers and pytest; the Python packages of LIBS (by
# default gpu-day-libs, made on a machine with a registry by `benchmarks/gpu_day.sh --libs`); no
# build, no network. The step benchmark is run where azr-sandboxd and the built-in model are there,
# and left out with its reason where not. Each part has a limit of its own and the next begins
# whatever became of the last; OUT gets a log and small JSON files, and summary.txt says how each
# part ended. The exit status is that of the worst part.
set -u
cd "$(dirname "$0")/.."

LIBS=${LIBS:-gpu-day-libs}
PYTHON=${PYTHON:-python3}

if [ "${1:-}" = --libs ]; then
    exec "$PYTHON" -m pip install --quiet --target "$LIBS" --only-binary=:all: \
        --platform manylinux2014_x86_64 --python-version 3.12 \
        pydantic redis rich pytest pytest-timeout hypothesis
fi

REDUCED=""
if [ "${1:-}" = --reduced ]; then
    REDUCED=--reduced
    shift
fi
OUT=${1:?usage: benchmarks/gpu_day.sh [--reduced] OUT}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export PYTHONPATH="$PWD/python:$PWD/$LIBS${PYTHONPATH:+:$PYTHONPATH}"
WORST=0
: > "$OUT/summary.txt"

# part NAME SECONDS COMMAND...
part() {
    local name=$1 limit=$2 begin=$SECONDS status
    shift 2
    timeout "$limit" "$@" > "$OUT/$name.log" 2>&1
    status=$?
    [ "$status" = 124 ] && echo "cut off after $limit s" >> "$OUT/$name.log"
    [ "$status" -gt "$WORST" ] && WORST=$status
    echo "$name: exit $status after $((SECONDS - begin)) s" | tee -a "$OUT/summary.txt"
}

skip() {
    echo "$1: left out: $2" | tee -a "$OUT/summary.txt"
}

machine() {
    "$PYTHON" -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name())'
    nvidia-smi 2> /dev/null || echo "no nvidia-smi"
    "$PYTHON" -m pip list 2> /dev/null | grep -i -E "^(torch|triton|transformers|vllm|flash)" || true
}

machine > "$OUT/machine.txt" 2>&1

# The tests of what runs on a GPU; on a CPU those skip, and the rest is the reduced mode's share.
TESTS="tests/ops/test_gpu.py tests/policy/test_attention_varlen.py"
[ -z "$REDUCED" ] && TESTS="$TESTS tests/policy/test_packing.py tests/policy/test_optimizer.py tests/policy/test_attention_gpu.py"
# shellcheck disable=SC2086
part tests 150 "$PYTHON" -m pytest -q -p no:cacheprovider $TESTS

# shellcheck disable=SC2086
part attention 120 "$PYTHON" benchmarks/attention_contest.py $REDUCED --output "$OUT/attention.json"

# The tiles are what attention was: before and after.
# shellcheck disable=SC2086
part updates_135M 90 "$PYTHON" benchmarks/step_updates.py $REDUCED --models 135M \
    --attention auto tiles --output "$OUT/updates_135M.json"
if [ -z "$REDUCED" ]; then
    part updates_large 200 "$PYTHON" benchmarks/step_updates.py --models 0.5B 3B --minutes 2 \
        --output "$OUT/updates_large.json"
    part updates_7B 120 "$PYTHON" benchmarks/step_updates.py --models 7B --minutes 1 --recompute \
        --repeats 2 --output "$OUT/updates_7B.json"
fi

if "$PYTHON" -c 'from azr_fast.policy.models import local_files; assert local_files("smollm2-135m")' 2> /dev/null &&
    { [ -n "${AZR_SANDBOXD:-}" ] || command -v azr-sandboxd > /dev/null; }; then
    # shellcheck disable=SC2086
    part step 180 "$PYTHON" benchmarks/step.py $REDUCED --preset cpu --steps 2 --output "$OUT/step.json"
else
    skip step "azr-sandboxd (AZR_SANDBOXD) or the built-in model is not on this machine"
fi

du -sh "$OUT" | cut -f1
exit "$WORST"
