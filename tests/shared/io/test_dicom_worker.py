"""The decoder in a process of its own: crashes and hangs cost one file, not the run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from quartet_shared.errors import DataError
from quartet_shared.io import dicom_worker
from quartet_shared.io.dicom import read_film
from quartet_shared.io.dicom_worker import DECODER, DecoderProcess


def path_of(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert found is not None
    return Path(found)


JPEG_LS = "MR_small_jpeg_ls_lossless.dcm"


def test_one_process_serves_many_files() -> None:
    decoder = DecoderProcess()
    first = decoder.decode(path_of(JPEG_LS), 10**6)
    process = decoder._process
    np.testing.assert_array_equal(decoder.decode(path_of(JPEG_LS), 10**6), first)
    assert decoder._process is process
    decoder.stop()


def test_a_crash_is_a_data_error_and_the_next_file_is_read() -> None:
    decoder = DecoderProcess()
    decoder.decode(path_of(JPEG_LS), 10**6)
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGSTOP)  # so that it cannot answer before it dies
    os.kill(decoder._process.pid, signal.SIGABRT)
    os.kill(decoder._process.pid, signal.SIGCONT)
    with pytest.raises(DataError, match=rf"{JPEG_LS}: its compressed pixels are damaged \(the decoder crashed"):
        decoder.decode(path_of(JPEG_LS), 10**6)
    assert decoder.decode(path_of(JPEG_LS), 10**6).shape == (64, 64)
    decoder.stop()


def test_a_hang_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_worker, "_TIMEOUT_S", 0.5)
    decoder = DecoderProcess()
    process = decoder._running()
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(DataError, match="the decoder crashed"):
        decoder.decode(path_of(JPEG_LS), 10**6)


def test_errors_of_the_child_are_those_of_the_reader(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match=r"^notes\.txt: not a DICOM file"):
        DECODER.decode(tmp_path / "notes.txt", 10**6)
    with pytest.raises(DataError, match="expected at most 10 values"):
        DECODER.decode(path_of(JPEG_LS), 10)


def test_a_forked_process_starts_a_decoder_of_its_own() -> None:
    expected = read_film(path_of(JPEG_LS)).array
    child = os.fork()
    if child == 0:
        same = np.array_equal(read_film(path_of(JPEG_LS)).array, expected)
        DECODER.stop()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(read_film(path_of(JPEG_LS)).array, expected)


def test_names_with_any_characters_reach_the_child(tmp_path: Path) -> None:
    odd = tmp_path / "a\nb ü 影.dcm"
    odd.write_bytes(path_of(JPEG_LS).read_bytes())
    assert DECODER.decode(odd, 10**6).shape == (64, 64)


@pytest.mark.parametrize("name", [JPEG_LS, "JPGExtended.dcm", "JPEG2000.dcm"])
def test_damaged_streams_never_end_the_process(tmp_path: Path, name: str) -> None:
    """GDCM aborts on some of these when it runs in the caller's process."""
    whole = path_of(name).read_bytes()
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(60):
        content = bytearray(whole)
        for at in rng.integers(max(0, len(whole) - 1200), len(whole), 2):
            content[at] = int(rng.integers(256))
        (tmp_path / name).write_bytes(content)
        try:
            read_film(tmp_path / name)
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert outcomes
