"""Pretraining as a run: two stages, resume, what is saved, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cmcgns.pretraining import planted_sides, tiny_settings

import cmcgns
from cmcgns._shared.checkpoints import load_model
from cmcgns._shared.errors import CheckpointError, ConfigError, DataError
from cmcgns.config import Config
from cmcgns.data.pairs import PairDataset
from cmcgns.task import PretrainTask
from cmcgns.train import build_task, pretrain


def config(method: str = "cmcgns", **train) -> Config:
    return Config.model_validate(tiny_settings(method, **train))


def run(folder: Path, **options):
    return pretrain(config(), folder, dataset=planted_sides(), device="cpu", quiet=True, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    run(folder)
    return folder


def metrics(folder: Path, stage: str) -> list[dict]:
    lines = (folder / stage / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "elapsed_s"} for line in lines]


@pytest.mark.parametrize(("stage", "calls"), [("stage1", 4), ("stage2", 10)])
def test_a_run_that_dies_and_goes_on_ends_bit_equal_clusters_included(
    tmp_path, monkeypatch, finished, stage, calls
):
    original, seen = PretrainTask.loss, []

    def dies(self, batch):
        seen.append(1)
        if len(seen) == calls + 1:
            raise MemoryError
        return original(self, batch)

    monkeypatch.setattr(PretrainTask, "loss", dies)
    with pytest.raises(Exception, match="memory"):
        run(tmp_path / "run")
    monkeypatch.setattr(PretrainTask, "loss", original)
    run(tmp_path / "run", resume=True)
    for name in ("stage1", "stage2"):
        assert metrics(tmp_path / "run", name) == metrics(finished, name)
        one, other = (load_model(f / name / "checkpoints" / "last")[0] for f in (finished, tmp_path / "run"))
        assert "clusters.queue" in one
        assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_stage_two_begins_with_everything_of_stage_one(finished) -> None:
    data = planted_sides()
    task = build_task(config(), data, stage=2, weights=finished / "stage1" / "checkpoints" / "last")
    before, _ = load_model(finished / "stage1" / "checkpoints" / "last")
    state = task.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in before.items())
    assert task.model.clusters.started
    assert {n for n in state if n not in before} == {n for n in state if n.startswith("decoder.")}


def test_both_stages_report_the_same_validation_metric(finished) -> None:
    for stage in ("stage1", "stage2"):
        scores = [record for record in metrics(finished, stage) if record["split"] == "val"]
        assert scores
        assert all(0 <= record["recall_at_10"] <= 1 for record in scores)
    assert scores[-1]["l1_masked"] > 0


def test_a_finished_run_loads_as_a_model_that_encodes(finished) -> None:
    model = cmcgns.load(finished, device="cpu")
    assert not model.training
    images = torch.zeros(2, 1, 32, 32)
    assert model.encode_image(images).pooled.shape == (2, 32)
    assert model.encode_text(["No effusion."]).sentences.values.shape == (1, 32)


def test_a_saved_model_is_the_same_model(finished, tmp_path) -> None:
    model = cmcgns.load(finished, device="cpu")
    cmcgns.save(model, tmp_path / "model")
    again = cmcgns.load(tmp_path / "model", device="cpu")
    report = ["Small pleural effusion. No pneumothorax."]
    assert torch.equal(model.encode_text(report).pooled, again.encode_text(report).pooled)


def test_something_else_is_not_loaded(tmp_path) -> None:
    from cmcgns._shared.checkpoints import save_model

    save_model(tmp_path / "other", {"x": torch.zeros(1)}, {"package": "mslaunet"})
    with pytest.raises(CheckpointError, match="other: not a cmcgns model"):
        cmcgns.load(tmp_path / "other", device="cpu")


def test_a_run_whose_first_stage_has_not_ended_says_so(tmp_path) -> None:
    (tmp_path / "run" / "stage1" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="run: stage I of this run has not ended"):
        cmcgns.load(tmp_path / "run", device="cpu")


def test_the_seed_decides_the_weights_and_nothing_global_does() -> None:
    first = build_task(config(), planted_sides(16, 8)).model.state_dict()
    torch.manual_seed(99)
    second = build_task(config(), planted_sides(16, 8)).model.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("given", [{"report_weight": 0.0, "image_weight": 1.0}, {"report_weight": 1.0}])
def test_clusters_follow_the_sentences_whichever_contrast_uses_them(given) -> None:
    settings = tiny_settings() | {"loss": given, "clusters": {"k": 4, "start_step": 0, "queue": 64}}
    task = build_task(Config.model_validate(settings), planted_sides(16, 8))
    task.model.train()(task.batch(range(8), [np.random.default_rng(i) for i in range(8)]))
    assert task.model.clusters.started


@pytest.mark.parametrize(
    ("method", "idle"),
    [
        ("cmcgns", set()),
        ("convirt", {"model.image_local", "model.cross"}),
        ("gloria", {"model.cross"}),
        ("mgca", set()),
    ],
)
def test_what_no_loss_reaches_is_not_trained_and_the_rest_is(method, idle) -> None:
    task = build_task(config(method), planted_sides(16, 8))
    frozen = {n.rsplit(".", 1)[0] for n, p in task.model.named_parameters() if not p.requires_grad}
    assert {name for name in frozen if not name.startswith("model.image.net")} >= {
        f"{i}" for i in idle if i != "model.cross"
    }
    assert ("model.cross.q2" in frozen) == ("model.cross" in idle)
    task.model.train()(task.batch(range(4), [np.random.default_rng(i) for i in range(4)]))["loss"].backward()
    assert all((p.grad is not None) == p.requires_grad for p in task.model.parameters())


@pytest.mark.parametrize("part", ["global", "patch", "report"])
def test_each_part_of_the_loss_can_be_left_out(part) -> None:
    settings = tiny_settings() | {"loss": {f"{part}_weight": 0.0}}
    task = build_task(Config.model_validate(settings), planted_sides(16, 8), stage=2)
    parts = task.model.train()(task.batch(range(4), [np.random.default_rng(i) for i in range(4)]))
    assert {"global": "global", "patch": "patches", "report": "report"}[part] not in parts
    assert parts["loss"].isfinite()


def test_pairs_without_a_sentence_are_left_out_and_counted(tmp_path) -> None:
    data = planted_sides(20, 8)
    pairs = (replace(data[0], report=" ___ "), *data.pairs[1:])
    settings = tiny_settings(max_steps=1) | {"stages": 1}
    pretrain(
        Config.model_validate(settings),
        tmp_path / "run",
        dataset=PairDataset("planted", pairs),
        device="cpu",
        quiet=True,
    )
    recorded = json.loads((tmp_path / "run" / "stage1" / "data.json").read_text())
    assert recorded["excluded"] == {"no sentence": "1 pairs"}
    assert recorded["sides"]["train"]["pairs"] == 19


def test_data_without_any_report_are_refused(tmp_path) -> None:
    data = planted_sides(8, 4)
    empty = PairDataset("films", tuple(replace(pair, report="") for pair in data))
    with pytest.raises(DataError, match="films: none of 12 films has a report"):
        pretrain(config(), tmp_path / "run", dataset=empty, device="cpu", quiet=True)


def test_a_run_without_data_is_refused_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"data\.root: expected a data set"):
        pretrain(config(), tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()


def test_stage_two_of_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="stage II belongs to method cmcgns, got 'convirt'; set stages=1"):
        Config.model_validate(tiny_settings("convirt") | {"stages": 2})
