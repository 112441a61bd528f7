"""Rows of a file are read and written by their offset, in any order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.data.store.rows import Rows

DATA = np.arange(10 * 6, dtype=np.float16).reshape(10, 2, 3)
ROWS = Rows(offset=7, count=10, shape=(2, 3), dtype=DATA.dtype)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "file"
    path.write_bytes(b"header:" + DATA.tobytes())
    return path


@pytest.mark.slow
@given(st.lists(st.integers(0, 9)))
def test_rows_are_read_in_the_requested_order(path: Path, index: list[int]) -> None:
    with path.open("rb") as file:
        found = ROWS.read(file.fileno(), np.array(index, np.int64))
    np.testing.assert_array_equal(found, DATA[np.array(index, np.int64)])
    assert found.dtype == DATA.dtype


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_outside_the_rows_is_an_error(path: Path, index: int) -> None:
    with path.open("rb") as file, pytest.raises(IndexError, match="0 to 9"):
        ROWS.read(file.fileno(), np.array([3, index]))


def test_a_file_that_is_too_short_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(ROWS.end - 1))
    with (tmp_path / "file").open("rb") as file, pytest.raises(OSError, match="too early"):
        ROWS.read(file.fileno(), np.array([9]))


def test_written_rows_are_read_again(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(path.read_bytes())
    with (tmp_path / "file").open("r+b") as file:
        ROWS.write(file.fileno(), 4, DATA[8:])
        found = ROWS.read(file.fileno(), np.arange(10))
    np.testing.assert_array_equal(found, DATA[[0, 1, 2, 3, 8, 9, 6, 7, 8, 9]])
