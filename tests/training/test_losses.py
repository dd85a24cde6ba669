"""Losses against torch and against the formula, written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mobilenet_chest.config import LossConfig
from mobilenet_chest.training.losses import build_loss

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
    torch.testing.assert_close(build_loss(LossConfig())(LOGITS, TARGETS), 5 * mean)


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, 0.0), (1.0, 1.0), (2.5, 2.5), (None, 2.0)])
def test_focal_is_its_formula(gamma: float | None, expected: float) -> None:
    loss = build_loss(LossConfig(name="focal", focal_gamma=gamma))
    assert loss(LOGITS, TARGETS).item() == pytest.approx(focal(expected), rel=1e-5)


def test_focal_without_focus_is_cross_entropy() -> None:
    plain, focused = build_loss(LossConfig()), build_loss(LossConfig(name="focal", focal_gamma=0))
    logits = LOGITS.clone().requires_grad_()
    torch.testing.assert_close(focused(logits, TARGETS), plain(logits, TARGETS))
    (first,) = torch.autograd.grad(plain(logits, TARGETS), logits)
    (second,) = torch.autograd.grad(focused(logits, TARGETS), logits)
    torch.testing.assert_close(first, second)
