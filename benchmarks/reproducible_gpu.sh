#!/usr/bin/env bash
# One command for a machine with a GPU: the same hash from CuPy, PyTorch and JAX on CUDA as from NumPy on the CPU.
#
#     bash benchmarks/reproducible_gpu.sh
#
# Needs the package with its extras (pip install -e '.[cuda13,torch,jax,test]', or cuda12) and CUDA builds of
# PyTorch and JAX; what is absent is said and left out. Exit code 1 where a hash differs.
set -u
cd "$(dirname "$0")/.." || exit 1
exec env PYTHONPATH=. python benchmarks/reproducible_gpu.py "$@"
