#!/usr/bin/env bash
# What to run on a machine with an NVIDIA GPU, within ten minutes: bash benchmarks/gpu_session.sh
# Each step has its own time limit and its own file under $OUT (benchmarks/results/gpu-DATE by default); a step that
# fails or runs out of time is noted in steps.txt, and the next one runs.
#
# Libraries: pip install '.[cuda13,jax]' 'jax[cuda13]' and a CUDA build of torch, as far as they can be had.
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-benchmarks/results/gpu-$(date -u +%Y-%m-%d)}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

# step SECONDS NAME COMMAND...: runs COMMAND, its output into $OUT/NAME.txt.
step() {
    local limit=$1 name=$2 started=$SECONDS code
    shift 2
    timeout "$limit" "$@" >"$OUT/$name.txt" 2>"$OUT/$name.err"
    code=$?
    printf '%-28s exit %3d  %4d s\n' "$name" "$code" "$((SECONDS - started))" | tee -a "$OUT/steps.txt"
}

{
    date -u
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    "$PYTHON" -m anyarray_mlp info
} >"$OUT/machine.txt" 2>&1

# --- parity: CuPy, PyTorch and JAX on the GPU, in full precision and with TF32 (which must be reported) ---
for library in cupy torch jax; do
    step 60 "parity-$library" "$PYTHON" -m anyarray_mlp parity --backends "$library" --device cuda --quick
done
step 30 parity-cupy-tf32 env CUPY_TF32=1 \
    "$PYTHON" -m anyarray_mlp parity --backends cupy --device cuda --dtype float32 --quick --no-trace
step 30 parity-torch-tf32 env TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 \
    "$PYTHON" -m anyarray_mlp parity --backends torch --device cuda --dtype float32 --quick --no-trace
step 40 parity-jax-tf32 env JAX_DEFAULT_MATMUL_PRECISION=tensorfloat32 \
    "$PYTHON" -m anyarray_mlp parity --backends jax --device cuda --dtype float32 --quick --no-trace
step 60 parity-exact "$PYTHON" -m anyarray_mlp parity --exact --device cuda --quick
step 90 tests-gpu "$PYTHON" -m pytest -q -m gpu tests/test_backends.py tests/test_parity.py

# --- speed: captured steps are right and launched without waiting; then the table against PyTorch and JAX ---
step 120 gpu-graphs "$PYTHON" -m benchmarks.gpu_graphs
step 240 speed-training "$PYTHON" -m benchmarks training --device cuda --rounds 5 --scale 0.5 --out "$OUT"

# --- further steps: add them here, one line each ---
step 180 reproducible "$PYTHON" benchmarks/reproducible_gpu.py --json "$OUT/reproducible.json"

cat "$OUT/steps.txt"
