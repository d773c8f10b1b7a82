"""Memory that ran out, in each library's own words, becomes one line with the cure and exit code 71."""

from __future__ import annotations

import numpy as np
import pytest

import anyarray_mlp.cli
from anyarray_mlp import MLP, Recipe
from anyarray_mlp.checking.out_of_memory import exceeds_memory, out_of_memory
from anyarray_mlp.data import split_indices
from anyarray_mlp.errors import OutOfMemoryError
from anyarray_mlp.pipeline.plan import initial_parameters

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.25 GiB of which 9.25 GiB is "
    "free.\nIf reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True."
)


def numpy_array():
    np.empty(2**60, dtype=np.uint8)


def torch_tensor():
    pytest.importorskip("torch").empty(2**50, dtype=pytest.importorskip("torch").uint8)


def jax_array():
    # On a GPU an allocation fails only when its result is asked for.
    pytest.importorskip("jax.numpy").zeros(2**48).block_until_ready()


def torch_on_cuda():
    class FakeCudaError(RuntimeError):
        """PyTorch's OutOfMemoryError has this base and this text."""

    raise FakeCudaError(CUDA_MESSAGE)


def cublas():
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("provoke", [numpy_array, torch_tensor, jax_array, torch_on_cuda, cublas])
def test_every_library_running_out_of_memory_is_one_line(provoke, monkeypatch, capsys):
    monkeypatch.setattr(anyarray_mlp.cli.cli, "main", lambda *a, **k: provoke())
    assert anyarray_mlp.cli.run(["train"]) == OutOfMemoryError.exit_code == 71
    line = capsys.readouterr().err
    assert line.startswith("error: Out of memory (")
    assert line.endswith("): use a smaller --batch-size or fewer rows.\n")
    assert line.count("\n") == 1
    assert "PYTORCH_ALLOC_CONF" not in line


def test_an_error_of_another_kind_stays_what_it_is(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)")

    monkeypatch.setattr(anyarray_mlp.cli.cli, "main", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        anyarray_mlp.cli.run(["train"])


def test_a_memory_error_without_a_word_still_has_a_cure():
    assert str(out_of_memory(MemoryError())) == (
        "Out of memory: use a smaller --batch-size or fewer rows."
    )


def test_what_is_larger_than_the_machine_is_refused_before_the_system_kills_the_process(
    monkeypatch,
):
    assert not exceeds_memory(1)
    assert exceeds_memory(10**18)
    monkeypatch.setattr(
        "os.sysconf", lambda name: 8
    )  # a machine of 64 bytes that would lend any amount
    with pytest.raises(OutOfMemoryError, match="9 rows do not fit in memory"):
        split_indices(9, fraction=0.5, seed=0)
    with pytest.raises(
        OutOfMemoryError, match="14 parameters, 112 bytes, which do not fit in memory"
    ):
        initial_parameters(MLP((3, 2, 2)), [Recipe(epochs=1)], is_table=True)
    split_indices(8, fraction=0.5, seed=0)


def test_a_system_that_does_not_tell_its_memory(monkeypatch):
    monkeypatch.delattr("os.sysconf")
    assert not exceeds_memory(10**18)
