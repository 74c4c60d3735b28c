"""Metrics of a side, and what the official loaders and metrics got wrong there (engineering defects 26, 30, 33, 35)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.cmcgns.downstream.test_finetune import data, settings, task_of

from cmcgns.data.object_cxr import parse_annotation
from cmcgns.data.pairs import Pair, Region
from cmcgns.downstream.scores import paired_difference, score_rows
from cmcgns.downstream.task import FinetuneTask


def found(boxes: list[list[float]], scores: list[float]) -> dict[str, torch.Tensor]:
    kinds = torch.zeros(len(scores), dtype=torch.int64)
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "scores": torch.tensor(scores), "labels": kinds}


def films(count: int) -> list[Pair]:
    return [Pair(np.zeros((8, 8), np.uint8), patient_id=f"p{i}") for i in range(count)]


def bare_task(job: str, head: str) -> FinetuneTask:
    task = task_of(settings(job, head))
    task.names = ("finding",)
    return task


def masks(*, hit: int, missed: int, silent: int) -> list[Any]:
    """Films whose mask is found, films whose mask is missed, films without one."""
    full, none = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    return [(full, full)] * hit + [(none, full)] * missed + [(none, none)] * silent


def test_the_difference_of_two_dice_is_paired_by_patient() -> None:
    task = bare_task("segmentation", "unet")
    good, bad = masks(hit=8, missed=2, silent=5), masks(hit=4, missed=6, silent=5)
    gap = paired_difference(good, bad, task, films(15), resamples=200)
    assert gap.estimate == pytest.approx(0.4)
    assert 0 < gap.low < 0.4 < gap.high < 1
    same = paired_difference(good, good, task, films(15), resamples=50)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_the_difference_of_two_maps_is_that_of_the_two_scores() -> None:
    task, box = bare_task("detection", "yolo"), [1.0, 1.0, 5.0, 5.0]
    truth = (torch.tensor([box]), torch.tensor([0]))
    right, silent = (found([box], [0.9]), *truth), (found([], []), *truth)
    first, second = [right] * 6, [right] * 2 + [silent] * 4
    values = [score_rows(rows, task, films(6))["value"] for rows in (first, second)]
    gap = paired_difference(first, second, task, films(6), resamples=50)
    assert gap.estimate == pytest.approx(values[0] - values[1])
    assert values[0] == pytest.approx(1)
    assert gap.n_patients == 6


def test_silent_films_and_the_last_incomplete_batch_count() -> None:
    """Defects 29 and 33: 17 films are 17 rows, also the one after the first 16, also without any box."""
    task = bare_task("detection", "yolo")
    rows = [(found([], []), torch.zeros(1, 4), torch.tensor([-1]))] * 17
    assert score_rows(rows, task, films(17))["n"] == 17


def test_every_epoch_draws_its_own_crop_and_none_is_cached() -> None:
    """Defect 26: the official cache held one augmentation for ever."""
    task = task_of(settings("classification", "linear"))
    first, second, again = (task.batch([3], [np.random.default_rng(seed)])["image"] for seed in (1, 2, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_boxes_are_the_same_in_every_epoch() -> None:
    """Defect 30: the official loader divided the cached boxes by the film's size once per epoch."""
    task = task_of(settings("detection", "fcos"))
    before = [pair.regions for pair in task.train]
    batches = [task.batch(range(6), [np.random.default_rng(i)] * 6) for i in range(3)]
    assert all(torch.equal(batches[0]["boxes"], batch["boxes"]) for batch in batches)
    assert [pair.regions for pair in task.train] == before


def test_thirty_boxes_in_one_film_are_thirty() -> None:
    """Defect 35: more than twenty crashed."""
    text = ";".join(f"0 {i} {i} {i + 5} {i + 5}" for i in range(30))
    boxes = parse_annotation(text, "dev.csv")
    assert len(boxes) == 30
    fractions = [tuple(v / 40 for v in box) for box in boxes]
    many = replace(data()[0], regions=tuple(Region("Edema", box) for box in fractions), labels={})
    task = task_of(settings("detection", "fcos"))
    batch = task.collate([many, replace(many, regions=())], [None, None])
    assert (batch["kinds"] >= 0).sum(1).tolist() == [30, 0]
    assert torch.isfinite(task.loss(batch)["loss"])
