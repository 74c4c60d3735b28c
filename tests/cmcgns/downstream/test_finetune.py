"""Fine-tuning end to end on planted data: every job and head learns what is planted, and nothing without it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cmcgns._shared.errors import CheckpointError, DataError, ResourceError
from cmcgns.cli import app
from cmcgns.data.pairs import PairDataset
from cmcgns.data.splits import assign_split
from cmcgns.downstream.backbone import FeatureMaps
from cmcgns.downstream.config import FinetuneConfig
from cmcgns.downstream.finetune import finetune, load_finetuned, training_films
from cmcgns.downstream.losses import segmentation_loss
from cmcgns.downstream.models import build_downstream
from cmcgns.downstream.scores import paired_difference, predict_side, score_rows, score_side
from cmcgns.downstream.task import FinetuneTask
from cmcgns.model import CMCGNS
from cmcgns.synth.planted import planted_dataset
from cmcgns.synth.write import write_synthetic
from cmcgns.weights import save

HEADS = [("classification", "linear"), ("detection", "fcos"), ("detection", "yolo")]
HEADS += [("segmentation", "unet"), ("segmentation", "setr")]


def settings(job: str, head: str, **train: Any) -> FinetuneConfig:
    """A run of seconds."""
    values = {"max_steps": 2, "batch_size": 8, "lr": 2e-3, "validate_every": 1000} | train
    root = {"root": "planted", "side_px": 32}
    return FinetuneConfig.model_validate(
        {"data": root, "job": job, "head": {"kind": head, "width": 32, "max_boxes": 20}, "train": values}
    )


def model(image: str = "tiny-resnet", seed: int = 0) -> CMCGNS:
    torch.manual_seed(seed)
    return CMCGNS.tiny(side_px=32, image=image)


def data(count: int = 40) -> PairDataset:
    return assign_split(planted_dataset(count, seed=5, side_px=40))


def task_of(config: FinetuneConfig, tower: str = "tiny-resnet") -> FinetuneTask:
    names = tuple(data().label_names)
    module = build_downstream(model(tower).image, config, len(names))
    return FinetuneTask(module, data().side("train").pairs, [], config, names, {})


@pytest.mark.parametrize("tower", ["tiny-resnet", "tiny-vit"])
@pytest.mark.parametrize(("job", "head"), HEADS)
def test_a_few_steps_on_one_batch_lower_the_loss_and_leave_the_frozen_tower(
    job: str, head: str, tower: str
) -> None:
    task = task_of(settings(job, head), tower)
    batch = task.batch(range(6), [np.random.default_rng(i) for i in range(6)])
    before = {k: v.clone() for k, v in task.model.state_dict().items()}
    learned = [p for p in task.model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    losses = []
    for _ in range(8):
        task.model.train()
        loss = task.loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    after = task.model.state_dict()
    frozen = [k for k in after if "maps.net." in k or k.startswith("tower.")]
    assert frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)


@pytest.mark.parametrize(
    ("job", "head"), [("classification", "linear"), ("detection", "fcos"), ("segmentation", "unet")]
)
def test_a_tower_that_is_not_frozen_learns(job: str, head: str) -> None:
    config = settings(job, head).model_copy(update={"frozen": False})
    task = task_of(config)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    task.model.train()
    task.loss(task.batch(range(6), [np.random.default_rng(i) for i in range(6)]))["loss"].backward()
    optimizer.step()
    (stem,) = [k for k in before if k.endswith("net.conv1.weight")]
    assert not torch.equal(before[stem], task.model.state_dict()[stem])


@pytest.mark.parametrize(
    ("tower", "strides"),
    [
        ("tiny-resnet", [2, 4, 8, 8, 8]),
        ("tiny-vit", [4, 8, 16]),
        ("tiny-convmixer", [2, 4, 8]),
        ("tf_mobilenetv3_small_minimal_100", [2, 4, 8, 16, 32]),  # has blocks as a transformer has
    ],
)
def test_maps_have_the_strides_they_say(tower: str, strides: list[int]) -> None:
    maps = FeatureMaps(model(tower).image, frozen=True)
    assert maps.strides == strides
    assert [strides[level] for level in maps.levels] == sorted(set(strides))[-3:]  # for detection
    found = maps(torch.zeros(2, 1, 32, 32))
    assert [m.shape[1] for m in found] == maps.channels
    assert not any(m.requires_grad for m in found)


@pytest.mark.parametrize("head", ["fcos", "yolo"])
def test_a_transformer_detects_at_a_side_that_is_no_multiple_of_32(head: str) -> None:
    """torchvision would pad the film to one, which such a tower does not take."""
    module: Any = build_downstream(CMCGNS.tiny(side_px=56).image, settings("detection", head), 2)
    (found,) = module.detect(torch.zeros(1, 1, 56, 56))
    assert len(found["boxes"]) == len(found["scores"])


def test_all_sides_count_and_an_untrained_detector_scores_nearly_nothing(tmp_path: Path) -> None:
    result = finetune(settings("detection", "fcos"), model(), tmp_path / "run", dataset=data(), quiet=True)
    assert result.test["n"] == len(data().side("test"))
    assert result.test["value"] < 0.2
    assert set(result.test["by_label"]) == set(data().label_names)


def test_a_finetuned_model_is_loaded_with_equal_scores(tmp_path: Path) -> None:
    config = settings("segmentation", "setr")
    result = finetune(config, model("tiny-vit"), tmp_path / "run", dataset=data(), quiet=True)
    module, stored, names = load_finetuned(tmp_path / "run")
    task = FinetuneTask(module, [], [], stored, names, {})
    assert score_side(module, task, data().side("test").pairs)["value"] == pytest.approx(result.test["value"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["n"] == result.test["n"]


@pytest.mark.parametrize(("job", "head"), [("detection", "fcos"), ("segmentation", "unet")])
def test_a_run_that_dies_and_goes_on_ends_as_one_that_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str, head: str
) -> None:
    """Weights bit-equal, and the same test metric; masks are turned at random, boxes are not."""
    config = settings(job, head, max_steps=4, checkpoint_every=1)
    whole = finetune(config, model(), tmp_path / "whole", dataset=data(), quiet=True)
    original, seen = FinetuneTask.loss, []

    def dies(self: FinetuneTask, batch: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            raise MemoryError
        return original(self, batch)

    monkeypatch.setattr(FinetuneTask, "loss", dies)
    with pytest.raises(ResourceError, match="memory"):
        finetune(config, model(), tmp_path / "run", dataset=data(), quiet=True)
    monkeypatch.setattr(FinetuneTask, "loss", original)
    resumed = finetune(config, model(), tmp_path / "run", dataset=data(), resume=True, quiet=True)
    assert resumed.test == whole.test
    first, second = (load_file(r.fit.last_path / "model.safetensors") for r in (whole, resumed))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_pretraining_run_is_no_finetuned_model(tmp_path: Path) -> None:
    save(model(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="not a fine-tuned model"):
        load_finetuned(tmp_path / "model")


def test_random_weights_are_stamped_and_differ(tmp_path: Path) -> None:
    config = settings("classification", "linear")
    result = finetune(config, model(), tmp_path / "run", dataset=data(), random_weights=True, quiet=True)
    assert not result.comparable
    assert json.loads((tmp_path / "run" / "data.json").read_text())["random_weights"] is True


def test_balanced_segmentation_takes_as_many_films_without_finding() -> None:
    config = settings("segmentation", "unet").model_copy(update={"negatives": "balanced"})
    films = training_films(data(), config, ("finding",))
    shown = [p for p in films if p.mask is not None]
    assert len(films) - len(shown) == min(len(shown), sum(p.mask is None for p in data().side("train")))


def test_a_flag_leaves_the_other_settings_of_the_training_as_they_are() -> None:
    values = {"data": {"root": "planted"}, "job": "detection"}
    default = FinetuneConfig.model_validate(values).train
    assert (default.batch_size, default.lr, default.weight_decay, default.patience) == (16, 5e-4, 0.05, 10)
    changed = FinetuneConfig.model_validate(values | {"train": {"epochs": 3}}).train
    assert changed == default.model_copy(update={"epochs": 3})


def test_one_percent_is_part_of_ten_percent() -> None:
    small, large = (
        training_films(
            data(200), settings("classification", "linear").model_copy(update={"fraction": f}), ("Edema",)
        )
        for f in (0.05, 0.2)
    )
    assert {p.sample_id for p in small} < {p.sample_id for p in large}


def test_data_without_boxes_cannot_be_detected_in(tmp_path: Path) -> None:
    bare = replace(data(), pairs=tuple(replace(p, regions=()) for p in data()))
    with pytest.raises(DataError, match="nothing annotated for detection"):
        finetune(settings("detection", "yolo"), model(), tmp_path / "run", dataset=bare, quiet=True)


def test_the_dice_part_is_of_the_whole_batch() -> None:
    """A film without finding does not dominate: sums run over the batch before the ratio."""
    logits, masks = torch.full((2, 1, 4, 4), -9.0), torch.zeros(2, 1, 4, 4)
    logits[0], masks[0] = 9.0, 1.0
    assert float(segmentation_loss(logits, masks)["dice"]) < 0.01


@pytest.mark.parametrize(
    ("layout", "job"), [("rsna", "detection"), ("siim", "segmentation"), ("chexpert", "classification")]
)
def test_the_command_runs_on_the_protocols_data_sets(tmp_path: Path, layout: str, job: str) -> None:
    write_synthetic(layout, tmp_path / layout, films=20, side_px=40)
    save(model(), tmp_path / "model")
    command = [
        "finetune",
        str(tmp_path / layout),
        "--job",
        job,
        "--model",
        str(tmp_path / "model"),
        "--json",
        "--quiet",
    ]
    command += ["--run-dir", str(tmp_path / "run"), "--set", "train.max_steps=1", "--set", "train.batch_size=4"]
    command += ["--set", "head.width=32", "--set", "head.max_boxes=5"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["test"]["n"] >= 1
    head = "linear" if job != "classification" else "yolo"
    wrong = CliRunner().invoke(app, [*command, "--resume", "--head", head])
    assert (wrong.exit_code, f"is not for {job}" in wrong.stderr) == (2, True)


def with_others_annotations(films: PairDataset) -> PairDataset:
    """Training and validation films with the boxes and masks of other films; the test side as it is."""
    order = np.random.default_rng(0).permutation(len(films))
    pairs = [
        pair if pair.split == "test" else replace(pair, regions=films[int(j)].regions, mask=films[int(j)].mask)
        for pair, j in zip(films, order, strict=True)
    ]
    return replace(films, pairs=tuple(pairs))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "head", "tower", "least"),
    [
        ("detection", "fcos", "tiny-resnet", 0.85),
        ("detection", "yolo", "tiny-resnet", 0.7),
        ("segmentation", "unet", "tiny-resnet", 0.8),
        ("segmentation", "setr", "tiny-vit", 0.75),
    ],
)
def test_a_head_finds_planted_findings_and_not_if_its_annotations_belong_to_other_films(
    tmp_path: Path, job: str, head: str, tower: str, least: float
) -> None:
    """On a frozen random-weight tower. What a head knows of the usual places alone is what the control reaches."""
    torch.manual_seed(0)
    encoder = CMCGNS.tiny(side_px=56, image=tower)
    films = assign_split(planted_dataset(160, seed=9, side_px=64))
    test, found = films.side("test").pairs, []
    config = settings(job, head, max_steps=150)
    for name, data_set in (("true", films), ("others", with_others_annotations(films))):
        finetune(config, encoder, tmp_path / name, dataset=data_set, quiet=True)
        module, stored, names = load_finetuned(tmp_path / name)
        task = FinetuneTask(module, [], [], stored, names, {})
        found.append(predict_side(module, task, test))
    assert score_rows(found[0], task, test)["value"] > least
    gap = paired_difference(found[0], found[1], task, test, resamples=200)
    assert gap.low > 0.15


@pytest.fixture(scope="module")
def tool() -> Any:
    path = Path(__file__).resolve().parents[3] / "tools" / "finetune_cmcgns.py"
    spec = importlib.util.spec_from_file_location("finetune_cmcgns", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tool_scores_both_towers_on_the_same_films(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "TEST_FILMS", 12)
    torch.manual_seed(0)
    encoder = CMCGNS.tiny(side_px=tool.SIDE_PX, image="tiny-vit")
    result = tool.case("segmentation", "setr", encoder, tmp_path, films=8, steps=2)
    values = [result[name]["value"] for name, _ in tool.ARMS]
    assert result["difference"][0] == pytest.approx(values[0] - values[1])
    assert result["patients"] == tool.TEST_FILMS // 2
    text = tool.page([result])
    assert f"| segmentation | setr | tiny-vit | 8 | {values[0]:.3f} [" in text
    assert "NOT COMPARABLE" in text
