#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, within ten minutes and in at most eight files:
#
#     OUT=results-folder BUDGET=570 bash benchmarks/gpu_session.sh
#
# OUT      where results go; benchmarks/results/gpu-DATE by default. It gets steps.txt (how each step ended), session.txt
#          (what each printed, in the order in which they ended) and speed-training-gpu.md.
# BUDGET   seconds for all of it; steps get what is left at most, and those for which nothing is left are noted so.
# PYTHON   the interpreter that has the libraries; python3 by default.
#
# Libraries: CuPy, and CUDA builds of PyTorch and JAX as far as they can be had, with what the package itself and its
# tests need: numpy, scipy, array-api-compat, scikit-learn, pandas, threadpoolctl, click; pytest, pytest-xdist,
# hypothesis, array-api-strict, import-linter, libcst, matplotlib. Where there is no network, carry those that are missing as wheels:
#
#     pip download --no-deps -d .whl array-api-compat array-api-strict                         # where there is one
#     python3 -m pip install -q --no-index --no-deps --target /tmp/site .whl/*.whl             # there
#     PYTHONPATH=/tmp/site bash benchmarks/gpu_session.sh
#
# Correctness comes first, its steps side by side; then speed, one step at a time on a machine that is then quiet. A step
# that fails or runs out of time is noted, and the others go on.
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-benchmarks/results/gpu-$(date -u +%Y-%m-%d)}
BUDGET=${BUDGET:-570}
PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
mkdir -p "$OUT" || exit 1
LOGS=$(mktemp -d)
export PYTHON PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# JAX takes three quarters of the GPU's memory for itself otherwise, and several processes share it here.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
# Steps run side by side; more threads than cores would slow the CPU's part of each.
export OMP_NUM_THREADS=4 OPENBLAS_NUM_THREADS=4

# step SECONDS NAME COMMAND...: runs COMMAND; what it printed goes to $OUT/session.txt once it has ended.
step() {
    local limit=$1 name=$2 started=$SECONDS left=$((BUDGET - SECONDS)) code
    shift 2
    if ((left < 10)); then
        printf '%-24s left out: no time\n' "$name" | tee -a "$OUT/steps.txt"
        return
    fi
    timeout -s INT -k 10 "$((limit < left ? limit : left))" "$@" >"$LOGS/$name" 2>&1
    code=$?
    (
        flock 9
        printf '%-24s exit %3d  %4d s\n' "$name" "$code" "$((SECONDS - started))" | tee -a "$OUT/steps.txt"
        printf '\n===== %s: exit %d\n%s\n\n' "$name" "$code" "$*" >>"$OUT/session.txt"
        tail -c 1000000 "$LOGS/$name" >>"$OUT/session.txt"
    ) 9>"$LOGS/lock"
}

parity() {
    local limit=$1 name=$2
    shift 2
    step "$limit" "$name" "$PYTHON" -m anyarray_mlp parity --device "$DEVICE" --quick "$@"
}

: >"$OUT/steps.txt"
{
    date -u
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    timeout 60 "$PYTHON" -m anyarray_mlp info
} >"$OUT/session.txt" 2>&1

# --- what only a GPU can tell about CuPy: graphs are made, compute what the plain loop does, and do not wait ---
step 100 graphs-cupy "$PYTHON" -m benchmarks.gpu_graphs cupy

# --- parity and reproducible mode, side by side ---
for library in cupy torch jax; do
    parity 240 "parity-$library" --backends "$library" &
    step 240 "reproducible-$library" "$PYTHON" benchmarks/reproducible_gpu.py --device "$DEVICE" --libraries "$library" &
done
# TF32 must be reported.
CUPY_TF32=1 parity 100 parity-cupy-tf32 --backends cupy --dtype float32 --no-trace &
TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 parity 100 parity-torch-tf32 --backends torch --dtype float32 --no-trace &
JAX_DEFAULT_MATMUL_PRECISION=tensorfloat32 parity 100 parity-jax-tf32 --backends jax --dtype float32 --no-trace &
# What a user types: train, evaluate and predict on the GPU.
for library in cupy torch jax; do
    step 150 "walk-$library" bash benchmarks/gpu_walk.sh "$LOGS/walk-of-$library" --device "$DEVICE" --backend "$library" &
done
# Warnings of newer libraries are no failures here.
tests() { step "$1" "$2" "$PYTHON" -m pytest -q -o filterwarnings=default -p no:cacheprovider --tb=short "${@:3}"; }
tests 240 tests-gpu -m gpu -n 4 &
wait

# --- speed, on a quiet machine: the three small workloads, on which the goals are, then the others ---
unset OMP_NUM_THREADS OPENBLAS_NUM_THREADS
step 60 graphs-torch "$PYTHON" -m benchmarks.gpu_graphs torch
for workload in 0 1 2 5 3 4; do
    step 100 "speed-$workload" "$PYTHON" -m benchmarks training --device "$DEVICE" \
        --workloads "$workload" --rounds 5 --scale 0.5 --out "$LOGS/speed"
    cat "$LOGS/speed/speed-training"*.md >>"$OUT/speed-training-gpu.md" 2>/dev/null
    rm -rf "$LOGS/speed"
done

# --- the whole of parity's exact comparison, if there is time left ---
parity 60 parity-exact --exact
# The tests of the CPU, on a machine that has a GPU.
tests 250 tests-cpu -m "not gpu" -n 12

cat "$OUT/steps.txt"
rm -rf "$LOGS"
