"""Losses against torch and against the formula, written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mobilenet_chest.config import LossConfig
from mobilenet_chest.training.losses import build_loss

ROWS = {0: 30, 1: 60}
LOGITS = torch.tensor([-3.0, -0.5, 0.0, 0.7, 4.0])
TARGETS = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])


def focal(gamma: float) -> float:
    """Lin et al. 2017, equation 4, summed: -(1 - p_t)^gamma log p_t."""
    total = 0.0
    for logit, target in zip(LOGITS.tolist(), TARGETS.tolist(), strict=True):
        positive = 1 / (1 + math.exp(-logit))
        right = positive if target else 1 - positive
        total -= (1 - right) ** gamma * math.log(right)
    return total


def test_cross_entropy_is_a_sum() -> None:
    mean = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    torch.testing.assert_close(build_loss(LossConfig(), ROWS)(LOGITS, TARGETS), 5 * mean)


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, 0.0), (1.0, 1.0), (2.5, 2.5), (None, 2.0)])
def test_focal_is_its_formula(gamma: float | None, expected: float) -> None:
    loss = build_loss(LossConfig(name="focal", focal_gamma=gamma), ROWS)
    assert loss(LOGITS, TARGETS).item() == pytest.approx(focal(expected), rel=1e-5)


def test_focal_without_focus_is_cross_entropy() -> None:
    plain, focused = build_loss(LossConfig(), ROWS), build_loss(LossConfig(name="focal", focal_gamma=0), ROWS)
    logits = LOGITS.clone().requires_grad_()
    torch.testing.assert_close(focused(logits, TARGETS), plain(logits, TARGETS))
    (first,) = torch.autograd.grad(plain(logits, TARGETS), logits)
    (second,) = torch.autograd.grad(focused(logits, TARGETS), logits)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(("given", "weight"), [("auto", 0.5), (3.0, 3.0)])
def test_weight_of_the_positive_class(given: str | float, weight: float) -> None:
    each = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS, reduction="none")
    expected = (each * torch.where(TARGETS == 1, weight, 1.0)).sum()
    weighted = build_loss(LossConfig.model_validate({"pos_weight": given}), ROWS)
    torch.testing.assert_close(weighted(LOGITS, TARGETS), expected)
    focal_loss = build_loss(
        LossConfig.model_validate({"pos_weight": given, "name": "focal", "focal_gamma": 0}), ROWS
    )  # fmt: skip
    torch.testing.assert_close(focal_loss(LOGITS, TARGETS), expected)


def test_automatic_weights_give_both_classes_the_same_share() -> None:
    """Of a model that knows nothing: 30 rows of class 0 weigh as much as 60 of class 1."""
    loss = build_loss(LossConfig(pos_weight="auto"), ROWS)
    share = [loss(torch.zeros(rows), torch.full((rows,), float(label))) for label, rows in ROWS.items()]
    torch.testing.assert_close(share[0], share[1])


def test_label_smoothing_is_least_at_the_smoothed_probability() -> None:
    loss = build_loss(LossConfig(label_smoothing=0.1), ROWS)
    logits = torch.logit(torch.tensor([0.05, 0.95])).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([0.0, 1.0])), logits)
    torch.testing.assert_close(gradient, torch.zeros(2), atol=1e-6, rtol=0)
    expected = -2 * (0.95 * math.log(0.95) + 0.05 * math.log(0.05))
    assert loss(logits, torch.tensor([0.0, 1.0])).item() == pytest.approx(expected, rel=1e-5)


def test_mixed_labels() -> None:
    """The cross-entropy of a share is the same share of both cross-entropies."""
    loss, logit = build_loss(LossConfig(), ROWS), torch.tensor([0.7])
    whole = [loss(logit, torch.tensor([label])) for label in (0.0, 1.0)]
    torch.testing.assert_close(loss(logit, torch.tensor([0.3])), 0.7 * whole[0] + 0.3 * whole[1])
