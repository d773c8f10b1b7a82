"""One training run in many environments of one machine: how many different results, plain and reproducible.

    python benchmarks/reproducible_matrix.py [--epochs 3] [--mnist DIR] [--only PART+PART...] [--json FILE]

Each environment is a process of its own: OpenBLAS's kernels for other processors, threads, NumPy without SIMD,
PyTorch's and MKL's instruction sets, torch.compile, jax.jit under several XLA flags, JAX eager, array-api-strict,
and batches cut into uneven parts. Each trains four networks on digits in every mode, and one on the first 200
batches of MNIST where its files are; a run's result is the sha256 of its loss curve, validation curve and final
weights. The table counts the different results of each network and mode over all environments.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

CORES = (
    "PRESCOTT",
    "NEHALEM",
    "SANDYBRIDGE",
    "HASWELL",
    "ZEN",
    "SKYLAKEX",
    "COOPERLAKE",
    "BULLDOZER",
)
NO_SIMD = "AVX512_SPR AVX512_ICL AVX512_CLX AVX512_CNL AVX512_SKX AVX512CD AVX512F AVX2 FMA3 X86_V4 X86_V3"
MODES = {
    "plain float32": ("float32", False),
    "plain float64": ("float64", False),
    "reproducible float32, two slices": ("float32", True),
    "reproducible float32, one slice": ("float32", "fast"),
    "reproducible float64": ("float64", True),
}
#: For environments whose compiler takes long.
TWO = ("tanh, adam", "gelu, adamw, dropout")
MNIST_MODES = ("plain float32", "reproducible float32, two slices")
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "relu, momentum": (
        {"activation": "relu"},
        {"optimizer": "momentum", "learning_rate_init": 0.02},
    ),
    "tanh, adam": ({"activation": "tanh"}, {"optimizer": "adam"}),
    "gelu, adamw, dropout": ({"activation": "gelu", "dropout": 0.2}, {"optimizer": "adamw"}),
    "logistic, squared error": (
        {"activation": "logistic", "output": "logistic", "loss": "squared_error"},
        {"optimizer": "rmsprop", "alpha": 0.01, "clip_norm": 1.0, "learning_rate": "cosine"},
    ),
}


@dataclass(frozen=True)
class Environment:
    """A library, environment variables, and a way of running; `networks` restricts what is run."""

    name: str
    library: str
    variables: dict[str, str] = field(default_factory=dict)
    way: str = ""
    networks: tuple[str, ...] = tuple(NETWORKS)
    modes: tuple[str, ...] = tuple(MODES)


def environments() -> list[Environment]:
    """All of them."""
    found = [*other_libraries()]
    for core in CORES:
        for threads in ("1", "2"):
            variables = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": threads}
            found.append(Environment(f"numpy, {core}, {threads} threads", "numpy", variables))
    found.append(Environment("numpy without SIMD", "numpy", {"NPY_DISABLE_CPU_FEATURES": NO_SIMD}))
    found += [
        Environment(f"numpy, {way}", "numpy", {}, way) for way in ("2 parts", "5 parts", "9 parts")
    ]
    return found


def other_libraries() -> list[Environment]:
    """Those that are not NumPy."""
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return [
        Environment("array-api-strict", "array_api_strict"),
        Environment("torch, 1 thread", "torch", one),
        Environment("torch, 2 threads", "torch", {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}),
        Environment("torch, no vectors", "torch", {**one, "ATEN_CPU_CAPABILITY": "default"}),
        Environment("torch, AVX2", "torch", {**one, "ATEN_CPU_CAPABILITY": "avx2"}),
        Environment("torch, MKL SSE4.2", "torch", {**one, "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
        Environment("torch, MKL AVX2", "torch", {**one, "MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
        Environment("torch, 3 parts", "torch", one, "3 parts"),
        Environment("torch.compile", "torch", one, "compile", ("tanh, adam",), COMPILED_MODES),
        Environment("jax.jit", "jax"),
        Environment("jax.jit, one thread", "jax", xla("--xla_cpu_multi_thread_eigen=false")),
        Environment("jax.jit, SSE4.2", "jax", xla("--xla_cpu_max_isa=SSE4_2"), networks=TWO),
        Environment("jax.jit, AVX", "jax", xla("--xla_cpu_max_isa=AVX"), networks=TWO),
        Environment("jax.jit, AVX2", "jax", xla("--xla_cpu_max_isa=AVX2"), networks=TWO),
        Environment(
            "jax.jit, unoptimised", "jax", xla("--xla_backend_optimization_level=0"), networks=TWO
        ),
        Environment(
            "jax.jit, fast min and max",
            "jax",
            xla("--xla_cpu_enable_fast_min_max=true"),
            networks=TWO,
        ),
        Environment("jax eager", "jax", {}, "eager", ("tanh, adam",)),
    ]


COMPILED_MODES = (
    "plain float32",
    "reproducible float32, two slices",
    "reproducible float32, one slice",
)


def xla(flags: str) -> dict[str, str]:
    return {"XLA_FLAGS": flags}


# ---------------------------------------------------------------- inside an environment


def in_parts(count: int) -> Callable[[Any], Any]:
    """Networks that take each batch in so many uneven parts."""
    from anyarray_mlp.network.mlp import MLP

    class CutMLP(MLP):
        def loss_and_grad(
            self,
            xp: Any,
            leaves: Any,
            x: Any,
            targets: Any,
            sample_weight: Any = None,
            **options: Any,
        ) -> Any:
            n = x.shape[0]
            cuts = sorted({0, n, *(n * k * k // count**2 for k in range(1, count))})
            parts = [(x[a:b, ...], targets[a:b, ...], None) for a, b in pairwise(cuts)]
            return self.loss_and_grad_in_parts(xp, leaves, parts, **options)

    return lambda mlp: CutMLP.from_config(mlp.to_config())


def torch_compiled(mlp: Any) -> Any:
    """A network whose forward and backward passes are one torch.compile graph."""
    import torch

    from anyarray_mlp.arithmetic.reproducible_array import unwrap
    from anyarray_mlp.network.mlp import MLP

    graphs: dict[Any, Any] = {}

    class CompiledMLP(MLP):
        def loss_and_grad(
            self,
            xp: Any,
            leaves: Any,
            x: Any,
            targets: Any,
            sample_weight: Any = None,
            **options: Any,
        ) -> Any:
            wrap = getattr(xp, "wrap", lambda a: a)
            if hasattr(xp, "library") and hasattr(xp.library, "compiled"):
                xp.library.compiled, xp.library.block = True, 0

            def raw(theta: Any, x: Any, targets: Any) -> Any:
                plain = super(CompiledMLP, self)
                loss, grad = plain.loss_and_grad(xp, (wrap(theta),), wrap(x), wrap(targets))
                return unwrap(loss), unwrap(grad[0])

            graph = graphs.setdefault((id(xp), x.shape), torch.compile(raw, dynamic=False))
            loss, grad = graph(unwrap(leaves[0]), unwrap(x), unwrap(targets))
            return wrap(loss), (wrap(grad),)

    return CompiledMLP.from_config(mlp.to_config())


def run_all(environment: Environment, epochs: int, mnist: str | None) -> dict[str, str]:
    """The hash of each network and mode in this process."""
    import warnings

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.training import fit

    warnings.simplefilter("ignore")
    change: Callable[[Any], Any] = lambda mlp: mlp  # noqa: E731
    if environment.way.endswith("parts"):
        change = in_parts(int(environment.way.split()[0]))
    elif environment.way == "compile":
        change = torch_compiled
    elif environment.way == "eager":
        import jax

        jax.config.update("jax_disable_jit", True)
    hashes = {}
    modes = {name: MODES[name] for name in environment.modes}
    for mode, (
        dtype,
        reproducible,
    ) in modes.items():  # plain first: reproducible JAX switches x64 on
        backend = select_backend(environment.library, dtype=dtype, reproducible=reproducible)  # type: ignore[arg-type]
        for name in environment.networks:
            network, options = NETWORKS[name]
            mlp = change(MLP((64, 128, 64, 10), **network))
            hashes[f"digits: {name}; {mode}"] = digits_hash(mlp, backend, epochs, options)
        if mnist and mode in MNIST_MODES and environment.way != "eager":
            images, labels = mnist_batches(Path(mnist))
            mlp = change(MLP((784, 100, 10), "relu"))
            result = fit(
                mlp, images, labels, backend=backend, epochs=1, batch_size=128, optimizer="momentum",
                learning_rate_init=0.02, input_scale=1 / 255,
            )  # fmt: skip
            hashes[f"MNIST, 200 steps: relu, momentum; {mode}"] = result.hash
    return hashes


def digits_hash(mlp: Any, backend: Any, epochs: int, options: dict[str, Any]) -> str:
    """The hash of some epochs on digits, of which the last 397 are for validation."""
    import numpy as np
    from sklearn.datasets import load_digits

    from anyarray_mlp.training import fit

    x, y = load_digits(return_X_y=True)
    x = x / 16
    targets = np.eye(10)[y] if mlp.loss == "squared_error" else y
    return fit(
        mlp, x[:1400], targets[:1400], backend=backend, epochs=epochs, batch_size=128,
        validation=(x[1400:], targets[1400:]), **options,
    ).hash  # fmt: skip


def mnist_batches(folder: Path) -> tuple[Any, Any]:
    """The first 200 batches of 128 training images."""
    import gzip

    import numpy as np

    def read(name: str, offset: int) -> Any:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=offset)

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    labels = read("train-labels-idx1-ubyte.gz", 8)
    return images[: 200 * 128], labels[: 200 * 128].astype(np.int64)


# ---------------------------------------------------------------- over all environments


def start(
    environment: Environment, arguments: argparse.Namespace
) -> tuple[Environment, dict[str, str], str]:
    """Run an environment in a process of its own: its hashes, or what went wrong."""
    command = [
        sys.executable,
        __file__,
        "--epochs",
        str(arguments.epochs),
        "--one",
        environment.name,
    ]
    command += ["--mnist", arguments.mnist] if arguments.mnist else []
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **environment.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        return environment, {}, f"failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
    return environment, json.loads(done.stdout.splitlines()[-1]), f"{seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mnist", help="folder of MNIST's .gz files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="names of environments that contain one of these")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    known = {e.name: e for e in environments()}
    if arguments.one:
        print(json.dumps(run_all(known[arguments.one], arguments.epochs, arguments.mnist)))
        return
    chosen = [
        environment
        for environment in known.values()
        if not arguments.only or any(part in environment.name for part in arguments.only.split("+"))
    ]
    results: dict[str, dict[str, str]] = {}
    with ThreadPoolExecutor(arguments.workers) as pool:
        running = [pool.submit(start, environment, arguments) for environment in chosen]
        for done in as_completed(running):
            environment, hashes, note = done.result()
            results[environment.name] = hashes
            print(f"{environment.name:32} {len(hashes)} runs, {note}", flush=True)
            if arguments.json:
                kept = {"date": str(date.today()), "results": results}
                arguments.json.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{date.today()}: different results among the environments that ran each")
    for run in sorted({run for hashes in results.values() for run in hashes}):
        counts = Counter(hashes[run] for hashes in results.values() if run in hashes)
        first = counts.most_common(1)[0][0]
        print(f"{run:70} {len(counts):3} of {sum(counts.values())}   {first[:12]}")


if __name__ == "__main__":
    main()
