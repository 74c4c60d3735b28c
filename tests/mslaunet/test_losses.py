"""Soft Dice and cross-entropy against loops, hand-computed values and a batch spread over processes."""

import pytest
import torch

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.losses import DiceCELoss, cross_entropy, soft_dice_loss


def batch(samples=4, classes=3, side=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, classes, side, side + 1, generator=generator, dtype=torch.float64) * 2
    return logits, torch.randint(0, classes, (samples, side, side + 1), generator=generator)


def sure(target, classes):
    """Logits whose softmax is the one-hot target."""
    return 1000.0 * torch.nn.functional.one_hot(target, classes).movedim(-1, 1)


def loop_dice(logits, target, classes, *, squared, smooth):
    """The equation, one class and one pixel at a time, over the whole set of pixels."""
    probs = logits.softmax(1).movedim(1, -1).reshape(-1, logits.shape[1])
    dice = []
    for c in classes:
        inter = below = 0.0
        for p, t in zip(probs[:, c].tolist(), (target.flatten() == c).tolist(), strict=True):
            inter += p * t
            below += p * p + t * t if squared else p + t
        dice.append((2 * inter + smooth) / (below + smooth))
    return 1 - sum(dice) / len(dice)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("include_background", [False, True])
def test_batch_dice_equals_the_loop(squared, include_background):
    logits, target = batch()
    classes = range(0 if include_background else 1, 3)
    received = soft_dice_loss(
        logits, target, squared=squared, include_background=include_background, smooth=0.5
    ).item()
    assert received == pytest.approx(loop_dice(logits, target, classes, squared=squared, smooth=0.5), rel=1e-12)


def test_per_sample_dice_is_the_mean_of_the_samples():
    logits, target = batch()
    alone = [
        loop_dice(logits[i : i + 1], target[i : i + 1], range(3), squared=False, smooth=0.5) for i in range(4)
    ]
    received = soft_dice_loss(logits, target, per_sample=True, smooth=0.5).item()
    assert received == pytest.approx(sum(alone) / 4, rel=1e-12)


def test_cross_entropy_equals_the_loop():
    logits, target = batch()
    probs = logits.softmax(1).movedim(1, -1).reshape(-1, 3)
    expected = -sum(probs[i, t].log().item() for i, t in enumerate(target.flatten().tolist())) / target.numel()
    assert cross_entropy(logits, target).item() == pytest.approx(expected, rel=1e-12)


def test_perfect_prediction_costs_nothing():
    _, target = batch()
    parts = DiceCELoss()(sure(target, 3), target)
    assert all(part.item() == pytest.approx(0, abs=1e-6) for part in parts.values())


def test_absent_and_unpredicted_class_counts_as_found():
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0] = 1
    assert soft_dice_loss(sure(target, 3), target).item() == pytest.approx(0, abs=1e-6)


def test_absent_but_predicted_class_costs_its_full_share():
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    predicted = target.clone()
    predicted[0, 0] = 2
    background = 2 * 12 / (12 + 16)
    expected = 1 - (background + 1 + 0) / 3
    assert soft_dice_loss(sure(predicted, 3), target).item() == pytest.approx(expected, abs=1e-5)


def test_official_loss_by_hand():
    """Two classes, four pixels, p = 1/2 everywhere, one foreground pixel."""
    target = torch.tensor([[[0, 0], [0, 1]]])
    background = 2 * 1.5 / (1 + 3)
    foreground = 2 * 0.5 / (1 + 1)
    parts = DiceCELoss.official()(torch.zeros(1, 2, 2, 2, dtype=torch.float64), target)
    dice = 1 - (background + foreground) / 2
    assert parts["dice"].item() == pytest.approx(dice, abs=1e-5)
    assert parts["cross_entropy"].item() == pytest.approx(0.6931471805599453)
    assert parts["loss"].item() == pytest.approx(0.4 * 0.6931471805599453 + 0.6 * dice, abs=1e-5)


def test_weights_scale_their_parts():
    logits, target = batch()
    parts = DiceCELoss(cross_entropy=2, dice=0.25)(logits, target)
    assert parts["loss"].item() == pytest.approx(2 * parts["cross_entropy"].item() + 0.25 * parts["dice"].item())


def test_a_batch_spread_over_processes_has_one_dice_and_one_gradient():
    """Each process adds the sums of the other, gradient included, as a differentiable all-reduce does."""
    logits, target = batch()
    whole = logits.clone().requires_grad_()
    expected = soft_dice_loss(whole, target)
    expected.backward()

    spread = logits.clone().requires_grad_()
    sums = []

    def keep(own):
        sums.append(own)
        return own

    halves = [(spread[:2], target[:2]), (spread[2:], target[2:])]
    for part in halves:
        soft_dice_loss(*part, reduce=keep)
    losses = [soft_dice_loss(*part, reduce=lambda own, i=i: own + sums[1 - i]) for i, part in enumerate(halves)]
    torch.testing.assert_close(losses[0], expected)
    torch.testing.assert_close(losses[1], expected)
    losses[0].backward()
    torch.testing.assert_close(spread.grad, whole.grad)


def test_per_sample_dice_does_not_ask_the_other_processes():
    def refuse(_):
        raise AssertionError("called")

    logits, target = batch()
    assert soft_dice_loss(logits, target, per_sample=True, reduce=refuse) > 0


def test_gradient_is_right():
    logits, target = batch(samples=2, side=3)
    loss = DiceCELoss(squared=True, include_background=False)
    assert torch.autograd.gradcheck(lambda x: loss(x, target)["loss"], logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    """300 x 300 pixels: a half-precision sum would stop far below 90,000."""
    target = torch.zeros(1, 300, 300, dtype=torch.long)
    target[0, :2] = 1
    logits = (torch.randn(1, 2, 300, 300, generator=torch.Generator().manual_seed(0))).to(dtype)
    low, exact = (soft_dice_loss(x, target) for x in (logits, logits.double()))
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(exact.item(), rel=1e-5)


def test_volumes_are_accepted():
    target = torch.zeros(1, 2, 3, 4, dtype=torch.long)
    assert DiceCELoss()(torch.zeros(1, 2, 2, 3, 4), target)["loss"] > 0


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 4, 5), (1, 1, 4, 4)])
def test_target_of_another_shape_is_refused(shape):
    target = torch.zeros(shape, dtype=torch.long)
    for loss in (soft_dice_loss, cross_entropy):
        with pytest.raises(DataError, match=r"got \(1, 3, 4, 4\) and"):
            loss(torch.zeros(1, 3, 4, 4), target)


def test_one_class_is_refused():
    with pytest.raises(ConfigError, match="at least 2 classes, background included, got 1"):
        soft_dice_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))


@pytest.mark.parametrize("smooth", [0, -1e-5])
def test_smooth_must_be_positive(smooth):
    with pytest.raises(ConfigError, match=f"smooth must be positive, got {smooth}"):
        soft_dice_loss(*batch(), smooth=smooth)
