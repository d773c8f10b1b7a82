"""Rows on disk: what is read of a file, and an order that is the one that the rows would have in memory."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import Shuffler, StoredRows
from anyarray_mlp.data.order_on_disk import Dealt, in_order
from anyarray_mlp.data.stored import ArrayFile, RowFile, is_mapped
from anyarray_mlp.errors import DataError, StorageError, UsageError

X = np.random.default_rng(0).normal(size=(211, 5))


@pytest.fixture(params=["float32", "float64", "uint8"])
def array(request: pytest.FixtureRequest) -> np.ndarray[Any, Any]:
    return (X * 20).astype(np.int64).astype(request.param)


@pytest.fixture
def mapped(array: np.ndarray[Any, Any], tmp_path: Path) -> np.memmap[Any, Any]:
    np.save(tmp_path / "x.npy", array)
    found: np.memmap[Any, Any] = np.load(tmp_path / "x.npy", mmap_mode="r")
    return found


def test_rows_on_disk_are_those_of_the_map(mapped: Any, array: Any) -> None:
    rows = StoredRows.of(mapped)
    assert rows.shape == array.shape
    assert rows.dtype == array.dtype
    assert rows.nbytes == array.nbytes
    np.testing.assert_array_equal(rows.toarray(), array)
    np.testing.assert_array_equal(rows[7:19, ...], array[7:19])
    np.testing.assert_array_equal(rows[200:], array[200:])
    np.testing.assert_array_equal(rows[3:50:4], array[3:50:4])
    np.testing.assert_array_equal(rows[[9, -1, 0]], array[[9, -1, 0]])
    assert rows[5:5].shape == (0, 5)


def test_a_part_of_a_map_is_found_in_its_file(mapped: Any, array: Any) -> None:
    np.testing.assert_array_equal(StoredRows.of(mapped[50:90]).toarray(), array[50:90])
    np.testing.assert_array_equal(StoredRows.of(mapped[50:90][7:]).toarray(), array[57:90])


def test_some_rows_stay_where_they_are(mapped: Any, array: Any) -> None:
    places = np.array([1, 2, 40, 41, 200])
    some = StoredRows.of(mapped).rows(places)
    np.testing.assert_array_equal(some[1:4], array[places[1:4]])
    np.testing.assert_array_equal(some.rows(np.array([0, 4])).toarray(), array[[1, 200]])
    assert some[4:4].shape == (0, 5)


def test_what_was_written_to_a_map_is_read(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=(4, 3))
    mapped[2] = 7
    np.testing.assert_array_equal(StoredRows.of(mapped)[2:3], [[7, 7, 7]])


@pytest.mark.parametrize(
    "make",
    [
        lambda mapped: np.asarray(mapped),
        lambda mapped: mapped[:, 1:],
        lambda mapped: mapped[0],
        lambda mapped: mapped + 1,
    ],
)
def test_an_array_that_is_no_part_of_a_file_row_by_row_is_refused(make: Any, mapped: Any) -> None:
    with pytest.raises(UsageError, match="mmap_mode='r'"):
        StoredRows.of(make(mapped))


def test_a_map_that_keeps_its_changes_to_itself_is_no_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    assert not is_mapped(np.load(tmp_path / "x.npy", mmap_mode="c"))
    assert is_mapped(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_a_file_that_was_cut_while_it_was_read_is_refused(mapped: Any) -> None:
    rows = StoredRows.of(mapped)
    with open(mapped.filename, "r+b") as file:
        file.truncate(300)
    with pytest.raises(DataError, match=r"x\.npy: has become shorter"):
        rows.toarray()


def test_rows_that_are_made_in_parts_are_one_whole(array: Any) -> None:
    file = RowFile(5, array.dtype)
    for part in (array[:10], array[10:10], array[10:]):
        file.add(part)
    np.testing.assert_array_equal(file.stored().toarray(), array)


def test_a_disk_without_room_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(StorageError, match=r"No space left on device.*TMPDIR"):
        ArrayFile.temporary()


@pytest.mark.parametrize(("pile", "deal"), [(1 << 20, 1 << 20), (600, 400), (100, 40), (10, 1)])
def test_dealt_rows_are_in_the_order_of_the_permutation(
    pile: int, deal: int, mapped: Any, array: Any
) -> None:
    rows, shuffler, truth = StoredRows.of(mapped), Shuffler(5), Shuffler(5)
    for _ in range(3):
        dealt = Dealt(rows, shuffler, pile, deal)
        order = truth.permutation(len(array))
        assert dealt.state == truth.state()
        blocks = list(dealt.blocks())
        np.testing.assert_array_equal(np.concatenate([each.places for each in blocks]), order)
        np.testing.assert_array_equal(np.concatenate([each.x for each in blocks]), array[order])


def test_no_pile_is_much_larger_than_asked_for(mapped: Any) -> None:
    dealt = Dealt(StoredRows.of(mapped), Shuffler(0), 2000, 1000)
    sizes = [len(block.places) * dealt.record.itemsize for block in dealt.blocks()]
    assert len(sizes) > 3
    assert max(sizes) < 4000


def test_equal_keys_keep_the_order_of_the_rows(mapped: Any) -> None:
    class Equal:
        def draw(self, n: int) -> Any:
            return np.full(n, 3, np.uint64)

        def copy(self) -> Any:
            return self

    dealt = Dealt(StoredRows.of(mapped), Shuffler(0), 600, 400)
    dealt.keys = Equal()  # type: ignore[assignment]
    places = np.concatenate([block.places for block in dealt.blocks()])
    np.testing.assert_array_equal(places, np.arange(len(X)))


def test_rows_may_come_as_they_lie(mapped: Any, array: Any) -> None:
    blocks = list(in_order(StoredRows.of(mapped), 300))
    assert len(blocks) > 3
    np.testing.assert_array_equal(np.concatenate([each.x for each in blocks]), array)
    np.testing.assert_array_equal(np.concatenate([each.places for each in blocks]), np.arange(211))


def test_the_keys_of_an_epoch_sort_the_rows_as_its_permutation() -> None:
    shuffler, truth = Shuffler(11), Shuffler(11)
    for n in (5, 1000):
        keys = shuffler.keys(n)
        again = keys.copy()
        drawn = np.concatenate([keys.draw(3), keys.draw(n - 3)])
        np.testing.assert_array_equal(again.draw(n), drawn)
        np.testing.assert_array_equal(np.argsort(drawn, kind="stable"), truth.permutation(n))
    assert shuffler.state() == truth.state()
    assert pickle.loads(pickle.dumps(shuffler)).state() == truth.state()
