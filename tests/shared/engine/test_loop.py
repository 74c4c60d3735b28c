from __future__ import annotations

import json

import pytest
import torch
from tests.shared.engine.tiny import TinyTask, metrics, network, same, train, weights
from torch import nn

from quartet_shared.checkpoints import load_checkpoint
from quartet_shared.errors import ConfigError, DataError, NumericsError, ResourceError


def step_weights(path, step, group="model"):
    return load_checkpoint(path / "checkpoints" / f"step-{step:08d}").tensors(group)


def test_training_lowers_the_loss_and_leaves_a_whole_run_directory(tmp_path):
    result = train(tmp_path, max_steps=60, lr=1e-2, validate_every=20)
    losses = [r["loss"] for r in metrics(tmp_path) if r["split"] == "train"]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert [r["step"] for r in metrics(tmp_path) if r["split"] == "val"] == [20, 40, 60]
    assert result.stopped == "finished"
    assert result.step == 60
    assert result.best_metric == max(r["accuracy"] for r in metrics(tmp_path) if r["split"] == "val")
    assert (tmp_path / "STATUS").read_text().strip() == "finished"
    assert json.loads((result.best_path / "config.json").read_text()) == {"package": "tiny"}


def test_best_is_a_copy_of_the_weights_at_the_best_validation_and_not_the_last(tmp_path):
    task = TinyTask()
    task.scores = [0.2, 0.9, 0.5]
    result = train(tmp_path, task, validate_every=4, checkpoint_every=4, keep=3)
    assert result.best_metric == 0.9
    assert same(weights(tmp_path, "best"), step_weights(tmp_path, 8))
    assert same(weights(tmp_path, "last"), step_weights(tmp_path, 12))
    assert not same(weights(tmp_path, "best"), weights(tmp_path, "last"))


def test_monitor_mode_min_keeps_the_lowest_score(tmp_path):
    task = TinyTask()
    task.scores = [0.2, 0.1, 0.5]
    assert train(tmp_path, task, validate_every=4, monitor_mode="min").best_metric == 0.1


def test_undefined_scores_leave_a_best_that_is_the_newest(tmp_path):
    task = TinyTask()
    task.scores = [float("nan")] * 3
    result = train(tmp_path, task, validate_every=4)
    assert result.best_metric is None
    assert same(weights(tmp_path, "best"), weights(tmp_path, "last"))
    assert metrics(tmp_path)[-1]["accuracy"] is None


def test_patience_stops_after_that_many_validations_without_a_new_best(tmp_path):
    task = TinyTask()
    task.scores = [0.5, 0.9, 0.8, 0.7, 0.99]
    result = train(tmp_path, task, validate_every=2, patience=2)
    assert (result.stopped, result.step, result.best_metric) == ("patience", 8, 0.9)


def test_max_minutes_stops_with_a_validation_and_a_checkpoint(tmp_path):
    result = train(tmp_path, max_steps=100_000, max_minutes=0.01)
    assert result.stopped == "time"
    assert metrics(tmp_path)[-1]["split"] == "val"
    assert same(weights(tmp_path), step_weights(tmp_path, result.step))


def test_a_run_out_of_time_goes_on_when_it_is_given_more(tmp_path):
    first = train(tmp_path, max_steps=100_000, max_minutes=0.005)
    second = train(tmp_path, max_steps=first.step + 5, max_minutes=5, resume=True)
    assert (second.stopped, second.step) == ("finished", first.step + 5)


def test_epochs_count_whole_batches(tmp_path):
    assert train(tmp_path, max_steps=None, epochs=2, batch_size=24).step == 4


def test_every_sample_comes_once_per_epoch(tmp_path):
    task = TinyTask()
    train(tmp_path, task, max_steps=16)
    assert sorted(task.seen[:64]) == sorted(task.seen[64:]) == list(range(64))
    assert task.seen[:64] != task.seen[64:]


def test_accumulation_changes_memory_and_not_the_result(tmp_path):
    tasks = [TinyTask(network(dropout=0.0)) for _ in range(2)]
    for accumulate, task in zip((1, 4), tasks, strict=True):
        train(tmp_path / str(accumulate), task, accumulate=accumulate)
    assert tasks[0].seen == tasks[1].seen
    for name, value in weights(tmp_path / "1").items():
        torch.testing.assert_close(value, weights(tmp_path / "4")[name], rtol=1e-5, atol=1e-6)


def test_the_moving_average_follows_its_formula_and_is_what_is_kept(tmp_path):
    train(tmp_path, ema_decay=0.9, checkpoint_every=1, keep=12)
    average = step_weights(tmp_path, 1)
    for step in range(2, 13):
        average = {k: 0.9 * average[k] + 0.1 * v for k, v in step_weights(tmp_path, step).items()}
    for name, value in weights(tmp_path).items():
        torch.testing.assert_close(value, average[name])
    assert not same(weights(tmp_path), step_weights(tmp_path, 12))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_computes_in_it_and_reduces_the_loss_on_a_cpu(tmp_path, precision):
    types = []
    model = network()
    model[0].register_forward_hook(lambda _module, _inputs, output: types.append(output.dtype))
    train(tmp_path, TinyTask(model), max_steps=60, lr=1e-2, precision=precision)
    losses = [r["loss"] for r in metrics(tmp_path) if r["split"] == "train"]
    assert set(types) == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])
    assert all(value.dtype == torch.float32 for value in weights(tmp_path).values())


class _Overflow(TinyTask):
    """A gradient that fp16 holds only when the loss scale is at most 2^9."""

    def loss(self, batch):
        parts = super().loss(batch)
        return {"loss": parts["loss"] * 2.0**7}


def test_fp16_lowers_its_scale_until_the_gradient_fits_without_counting_bad_steps(tmp_path):
    train(tmp_path, _Overflow(), max_steps=30, precision="fp16", max_bad_steps=0)
    state = load_checkpoint(tmp_path / "checkpoints" / "step-00000030").state
    assert state["scaler"]["scale"] < 2**16
    assert state["progress"]["bad_steps"] == 0
    assert not same(weights(tmp_path), network().state_dict())


class _NaN(TinyTask):
    """Loss, or only the gradient, is not finite in the given steps."""

    def __init__(self, steps, where="loss"):
        super().__init__(network(norm=True))
        self.steps, self.where, self.step = steps, where, 0

    def loss(self, batch):
        self.step += 1
        if self.step in self.steps and self.where == "loss":
            batch["image"] = batch["image"] * float("nan")
        parts = super().loss(batch)
        if self.step in self.steps and self.where == "gradient":  # d sqrt(x) / dx at 0
            parts["loss"] = parts["loss"] + (0 * next(self.model.parameters())).sum().sqrt()
        return parts


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_non_finite_step_is_written_down_and_skipped(tmp_path, where):
    train(tmp_path, _NaN({3}, where), checkpoint_every=1, keep=12, max_bad_steps=1)
    (skipped,) = [r for r in metrics(tmp_path) if r["split"] == "skipped"]
    assert skipped["step"] == 3
    assert sorted(set(skipped["indices"])) == sorted(skipped["indices"])
    assert len(skipped["indices"]) == 8
    assert same(step_weights(tmp_path, 3), step_weights(tmp_path, 2))  # running statistics included
    assert not same(step_weights(tmp_path, 4), step_weights(tmp_path, 3))


def test_too_many_non_finite_steps_end_the_run_with_finite_weights_on_disk(tmp_path):
    with pytest.raises(NumericsError, match=r"got loss nan .* in step 7, bad step 3 with max_bad_steps=2"):
        train(tmp_path, _NaN({5, 6, 7}), checkpoint_every=2, max_bad_steps=2)
    assert (tmp_path / "STATUS").read_text().strip() == "failed"
    saved = step_weights(tmp_path, 6)
    assert all(torch.isfinite(value).all() for value in saved.values())
    assert same(saved, step_weights(tmp_path, 4))


class _Steep(TinyTask):
    """Finite gradients that a huge learning rate turns into infinite weights."""

    def loss(self, batch):
        return {"loss": super().loss(batch)["loss"] * 1e6}


def test_weights_that_overflow_are_never_saved(tmp_path):
    with pytest.raises(NumericsError, match=r"expected finite weights, got inf or NaN in 0\.weight after step 2"):
        train(tmp_path, _Steep(), optimizer="sgd", lr=1e38, schedule="constant", checkpoint_every=2)
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_a_global_batch_that_does_not_divide_is_refused_before_the_start(tmp_path):
    with pytest.raises(ConfigError, match="multiple of processes x accumulate = 1 x 3, got 8: use 6"):
        train(tmp_path, accumulate=3)


def test_a_data_set_smaller_than_a_batch_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="got 64 samples for batch_size=65"):
        train(tmp_path, batch_size=65)


def test_an_absent_device_is_an_error_and_not_the_cpu(tmp_path):
    if torch.cuda.is_available():
        pytest.fail("this test needs a machine without CUDA")
    with pytest.raises(ResourceError, match="device 'cuda' is not available"):
        train(tmp_path, device="cuda")


def test_an_unknown_monitor_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="expected monitor to be one of accuracy, got 'dice'"):
        train(tmp_path, monitor="dice", validate_every=1)


def test_training_leaves_the_caller_s_model_and_random_numbers_alone(tmp_path):
    task, model = TinyTask(), network()
    task.model = model
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(tmp_path, task)
    assert torch.rand(1) == expected
    assert task.model is model
    assert model.training


def test_order_is_the_same_for_any_number_of_threads_and_weights_for_an_equal_one(tmp_path):
    before, tasks = torch.get_num_threads(), []
    try:
        for run, threads in enumerate((1, 2, 2)):
            torch.set_num_threads(threads)
            tasks.append(TinyTask())
            train(tmp_path / str(run), tasks[-1])
    finally:
        torch.set_num_threads(before)
    assert tasks[0].seen == tasks[1].seen
    assert same(weights(tmp_path / "1"), weights(tmp_path / "2"))
    for name, value in weights(tmp_path / "0").items():
        torch.testing.assert_close(value, weights(tmp_path / "1")[name], rtol=1e-4, atol=1e-6)


def test_workers_prefetch_and_change_nothing(tmp_path):
    for workers in (0, 2):
        train(tmp_path / str(workers), workers=workers)
    assert same(weights(tmp_path / "0"), weights(tmp_path / "2"))
    assert metrics(tmp_path / "0") == metrics(tmp_path / "2")


class _Corrupt(TinyTask):
    def batch(self, indices, rngs):
        raise DataError("case 7: truncated")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_sample_is_the_same_one_line_error_from_a_worker(tmp_path, workers):
    with pytest.raises(DataError, match=r"^case 7: truncated$"):
        train(tmp_path, _Corrupt(), workers=workers)


class _OutOfMemory(TinyTask):
    def loss(self, batch):
        torch.empty(2**60)


def test_lack_of_memory_suggests_accumulation(tmp_path):
    with pytest.raises(ResourceError, match=r"out of memory with batch_size=8 .* raise accumulate"):
        train(tmp_path, _OutOfMemory())


class _Bug(TinyTask):
    def loss(self, batch):
        return nn.Linear(3, 3)(batch["image"])


def test_other_failures_are_not_disguised(tmp_path):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(tmp_path, _Bug())


def test_tensorboard_gets_the_same_numbers(tmp_path):
    train(tmp_path, tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = [r["loss"] for r in metrics(tmp_path) if r["split"] == "train"]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(logged)


def test_tensorboard_without_its_package_says_which_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="needs the extra `tensorboard`"):
        train(tmp_path, tensorboard=True)
