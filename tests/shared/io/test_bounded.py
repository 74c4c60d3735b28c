from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from quartet_shared.io.bounded import BoundedReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    return tmp_path / "a"


def test_a_claim_beyond_the_end_costs_no_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        with BoundedReader(path) as file:
            assert file.read(2**32) == bytes(range(100))
            assert file.read(2**32) == b""
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [-1, None])
def test_everything_and_parts_are_read_as_from_any_file(path: Path, size: int | None) -> None:
    with BoundedReader(path) as file:
        file.seek(90)
        assert file.read(4) == bytes(range(90, 94))
        assert file.read(size) == bytes(range(94, 100))
        assert (file.tell(), file.read(1)) == (100, b"")
        file.seek(200)
        assert file.read(5) == b""


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BoundedReader(tmp_path / "none")
