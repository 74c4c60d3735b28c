"""A run directory belongs to one run and one process, and says how the run ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quartet_shared.errors import ConfigError, DataError, ResourceError
from quartet_shared.runs import RunDir

CONFIG = "[train]\nlr = 0.1\nmax_minutes = 5\n"


def start(path: Path, **options) -> RunDir:
    return RunDir.open(path, config_toml=options.pop("config_toml", CONFIG), **options)


def finished_run(path: Path, **options) -> None:
    with start(path, **options):
        pass


def status(path: Path) -> str:
    return (path / "STATUS").read_text().strip()


def metrics(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_its_settings_environment_metrics_and_status(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "läuft"
    with start(path) as run:
        assert status(path) == "running"
        assert run.checkpoints.is_dir()
        run.log({"step": 1, "loss": float("nan")})
        run.write_data({"cases": 2})
    assert (path / "config.toml").read_text() == CONFIG
    assert json.loads((path / "env.json").read_text())["packages"]["torch"]
    assert json.loads((path / "data.json").read_text()) == {"cases": 2}
    assert metrics(path) == [{"step": 1, "loss": None}]
    assert status(path) == "finished"


def test_a_record_is_on_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.log({"step": 1})
        assert metrics(tmp_path) == [{"step": 1}]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ValueError("x"), "failed"),
        (DataError("x"), "failed"),
        (SystemExit(2), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(130), "interrupted"),
        (SystemExit(143), "interrupted"),
        (SystemExit(0), "finished"),
    ],
)
def test_the_status_says_how_the_run_ended(tmp_path: Path, error: BaseException, word: str) -> None:
    with pytest.raises(type(error)), start(tmp_path):
        raise error
    assert status(tmp_path) == word


def test_a_status_set_by_hand_stays(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.finish("interrupted")
    assert status(tmp_path) == "interrupted"


def test_a_second_run_in_the_same_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with start(path) as run:
        run.log({"step": 1})
    with pytest.raises(
        ConfigError, match="'run' holds a run already: continue it with --resume, or choose another"
    ):
        start(path)
    assert (status(path), metrics(path)) == ("finished", [{"step": 1}])


def test_resume_starts_a_run_where_there_is_none(tmp_path: Path) -> None:
    with start(tmp_path, resume=True) as run:
        assert not run.resumed


def test_resume_goes_on_with_the_same_settings(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.log({"step": 1})
    with start(tmp_path, resume=True) as run:
        assert run.resumed
        assert status(tmp_path) == "running"
        run.log({"step": 2})
    assert metrics(tmp_path) == [{"step": 1}, {"step": 2}]


def test_changed_settings_are_refused_with_their_difference(tmp_path: Path) -> None:
    finished_run(tmp_path)
    changed = "[train]\nlr = 0.2\nmax_minutes = 9\nsteps = 3\n"
    with pytest.raises(ConfigError) as caught:
        start(tmp_path, resume=True, config_toml=changed, mutable=["train.max_minutes"])
    assert "train.lr 0.1 -> 0.2; train.steps none -> 3;" in str(caught.value)
    assert "max_minutes" not in str(caught.value)
    assert (tmp_path / "config.toml").read_text() == CONFIG


def test_mutable_settings_may_change(tmp_path: Path) -> None:
    finished_run(tmp_path)
    changed = CONFIG.replace("5", "9")
    with start(tmp_path, resume=True, config_toml=changed, mutable=["train.max_minutes"]):
        assert (tmp_path / "config.toml").read_text() == changed


def test_changed_settings_can_be_allowed_and_are_logged(tmp_path: Path, caplog) -> None:
    finished_run(tmp_path)
    with start(tmp_path, resume=True, config_toml="x = 1\n", allow_config_change=True):
        assert (tmp_path / "config.toml").read_text() == "x = 1\n"
    assert "x none -> 1 (allowed)" in caplog.text


def test_changed_data_are_refused_by_topic_not_by_case(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.write_data({"cases": ["DOE_JANE"], "classes": 2})
    with (
        start(tmp_path, resume=True) as run,
        pytest.raises(ConfigError, match="began with, in cases; undo") as caught,
    ):
        run.write_data({"cases": ["DOE_JOHN"], "classes": 2})
    assert "DOE" not in str(caught.value)
    assert json.loads((tmp_path / "data.json").read_text())["cases"] == ["DOE_JANE"]


def test_the_same_data_are_accepted_on_resume(tmp_path: Path) -> None:
    data = {"spacing_mm": (1.0, 2.0), "score": float("nan")}
    with start(tmp_path) as run:
        run.write_data(data)
    with start(tmp_path, resume=True) as run:
        run.write_data(data)
    assert status(tmp_path) == "finished"


def test_other_versions_on_resume_are_a_warning(tmp_path: Path, caplog) -> None:
    finished_run(tmp_path)
    env = json.loads((tmp_path / "env.json").read_text())
    env["packages"]["torch"] = "1.0"
    (tmp_path / "env.json").write_text(json.dumps(env))
    with start(tmp_path, resume=True):
        pass
    assert "results may differ in rounding: torch 1.0 -> " in caplog.text


def test_records_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        for step in range(5):
            run.log({"step": step, "note": "µ"})
        with (tmp_path / "metrics.jsonl").open("ab") as stream:
            stream.write(b'{"step": 2, "lo\xc2')  # cut short by a kill, in the middle of a letter
        run.truncate_metrics(after_step=2)
        run.log({"step": 3})
    assert [record["step"] for record in metrics(tmp_path)] == [0, 1, 2, 3]


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ResourceError, match="'run': a file stands where a folder is needed"):
        start(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_read_only_place_is_refused() -> None:
    with pytest.raises(ResourceError, match="cannot use 'run'"):
        start(Path("/proc/run"))


HOLDER = """
import sys, time
from pathlib import Path
from quartet_shared.runs import RunDir
with RunDir.open(Path(sys.argv[1]), config_toml="", resume=True) as run:
    if "fork" in sys.argv:  # a loader worker that outlives its parent
        import os
        if os.fork() == 0:
            time.sleep(60)
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path: Path, *extra: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *extra], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_the_first_ones_pid(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with hold(path) as holder:
        with pytest.raises(ResourceError, match=f"'run' is in use by process {holder.pid}: wait for it"):
            start(path, config_toml="", resume=True)
        assert status(path) == "running"
        holder.kill()


def test_the_lock_of_a_killed_process_is_free_although_its_fork_lives(tmp_path: Path) -> None:
    with hold(tmp_path, "fork") as holder:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        holder.kill()
        holder.wait()
        assert children
        with start(tmp_path, config_toml="", resume=True) as run:
            assert run.resumed
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def test_a_finished_run_holds_no_lock(tmp_path: Path) -> None:
    finished_run(tmp_path, config_toml="")
    with hold(tmp_path) as other:
        other.kill()


def test_a_refused_run_releases_its_lock(tmp_path: Path) -> None:
    finished_run(tmp_path, config_toml="")
    with pytest.raises(ConfigError, match="holds a run already"):
        start(tmp_path)
    with hold(tmp_path) as other:
        other.kill()


def test_a_disk_that_is_full_at_the_end_still_gets_its_status(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match="'weights': no space"), start(tmp_path):  # noqa: PT012
        # New files are refused; overwriting what is there in place works, as on a real full disk.
        monkeypatch.setattr(Path, "write_bytes", full)
        monkeypatch.setattr(Path, "replace", full)
        raise ResourceError("cannot use 'weights': no space is left")
    assert status(tmp_path) == "failed"


def test_a_status_that_cannot_be_written_does_not_hide_the_first_error(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(DataError, match="first"), start(tmp_path):  # noqa: PT012
        monkeypatch.setattr(os, "fsync", broken)
        raise DataError("first")
    assert "STATUS could not be written" in caplog.text


def test_metrics_on_a_full_disk_are_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")  # every write to it fails with ENOSPC
    with pytest.raises(ResourceError, match=r"'metrics.jsonl': no space is left"), start(tmp_path) as run:
        run.log({"step": 1})
    assert status(tmp_path) == "failed"


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with start(tmp_path / "run") as run:
        run.log({"step": 1})
        run.write_data({})
        run.truncate_metrics(0)
        run.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_kill_between_two_records_loses_neither_settings_nor_records(tmp_path: Path) -> None:
    script = (
        "import sys, itertools; from pathlib import Path; from quartet_shared.runs import RunDir\n"
        f"run = RunDir.open(Path(sys.argv[1]), config_toml={CONFIG!r})\n"
        "for step in itertools.count(): run.log({'step': step}); print(step, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "50\n" in iter(process.stdout.readline, "")
    process.kill()
    process.communicate()
    assert status(tmp_path) == "running"
    with start(tmp_path, resume=True) as run:
        run.truncate_metrics(after_step=50)
    assert [record["step"] for record in metrics(tmp_path)] == list(range(51))


def test_a_run_that_failed_before_its_first_step_is_started_anew(tmp_path: Path) -> None:
    with pytest.raises(DataError), start(tmp_path):
        raise DataError("no such data")
    with start(tmp_path, config_toml="[train]\nlr = 0.5\n") as run:  # other settings, no --resume
        assert not run.resumed
        run.log({"step": 1})
    assert "0.5" in (tmp_path / "config.toml").read_text()


@pytest.mark.parametrize("left", ["metrics.jsonl", "checkpoints/step-00000001"])
def test_a_failed_run_that_got_anywhere_is_not_overwritten(left: str, tmp_path: Path) -> None:
    with pytest.raises(DataError), start(tmp_path):
        raise DataError("bad case")
    (tmp_path / left).touch()
    with pytest.raises(ConfigError, match="holds a run already"):
        start(tmp_path)
