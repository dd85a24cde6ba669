"""Students: the teacher's share of the loss, and teachers that may not teach."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.registry import compared_images
from torch.nn import functional

from mobilenet_chest.combine.distill import distill, teacher_logits
from mobilenet_chest.combine.ensemble import fold_ensemble, seed_ensemble
from mobilenet_chest.combine.members import train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.training.losses import Teacher
from mobilenet_chest.two_stage import train

Make = Callable[..., Config]


def test_the_teachers_share() -> None:
    logits = torch.tensor([0.4, -1.0], requires_grad=True)
    teacher = Teacher(torch.tensor([9.0, 2.0, -3.0]), weight=0.25, temperature=2.0)
    rows = torch.tensor([1, 2])
    loss = functional.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0]), reduction="sum")
    soft = torch.sigmoid(torch.tensor([1.0, -1.5]))
    p = torch.sigmoid(logits.detach() / 2)
    compared = -(soft * p.log() + (1 - soft) * (1 - p).log()).sum()
    torch.testing.assert_close(teacher.mixed(loss, logits, rows).detach(), (0.75 * loss + 0.25 * 4 * compared).detach())
    # a student that agrees has nothing to learn from the teacher
    agreeing = torch.tensor([2.0, -3.0], requires_grad=True)
    taught = Teacher(teacher.logits, 1.0, 2.0).mixed(torch.zeros(()), agreeing, rows)
    (gradient,) = torch.autograd.grad(taught, agreeing)
    torch.testing.assert_close(gradient, torch.zeros(2))


@pytest.mark.slow
def test_weight_0_is_plain_training(tiny: Make) -> None:
    config = tiny()
    plain = train(config)
    teacher = torch.randn(68, generator=torch.Generator().manual_seed(1))
    ignored = train(config, teacher_logits=teacher)
    assert np.array_equal(plain.predictions.probability, ignored.predictions.probability)
    taught = train(with_values(config, {"loss.distill_weight": 0.5}), teacher_logits=teacher)
    assert not np.array_equal(plain.predictions.probability, taught.predictions.probability)
    other = train(with_values(config, {"loss.distill_weight": 0.5}), teacher_logits=-teacher)
    assert not np.array_equal(other.predictions.probability, taught.predictions.probability)


@pytest.mark.slow
def test_a_student_of_an_ensemble(tiny: Make) -> None:
    config = tiny()
    ensemble = seed_ensemble(config, 2)
    student = distill(config, ensemble.run_id)
    assert student.config.loss.distill_weight == 0.5
    assert student.run.data.tags["teacher"] == ensemble.run_id
    assert student.run.data.params["loss.distill_weight"] == "0.5"
    assert distill(config, ensemble.run_id).run_id == student.run_id
    other = distill(config, ensemble.members[0])
    assert other.run_id != student.run_id

    _, logits = teacher_logits(config, ensemble.members[0])
    (member,) = train_members([config])
    assert member.run_id == ensemble.members[0]
    assert logits.shape == (len(load_train_val(config.data).train),)
    # the larger image of the same rows is no other row
    _, larger = teacher_logits(with_values(config, {"data.image_size": 24}), ensemble.members[0])
    assert torch.equal(larger, logits)


@pytest.mark.slow
def test_teachers_that_know_the_rows_otherwise(tiny: Make) -> None:
    config = tiny()
    folds = fold_ensemble(config, 2)
    with pytest.raises(TrackingError, match=f"{str(folds.run_id)[:8]} .*folds"):
        distill(config, folds.run_id)
    with pytest.raises(TrackingError, match=f"{folds.members[0][:8]} .*digest"):
        distill(config, folds.members[0])


def test_a_weight_needs_a_teacher(tiny: Make) -> None:
    with pytest.raises(ConfigError, match=r"loss\.distill_weight: 0\.5"):
        train(with_values(tiny(), {"loss.distill_weight": 0.5}))


@pytest.mark.slow
def test_a_student_is_promoted(tiny: Make) -> None:
    config = tiny({"evaluation": {"metric": "val_loss"}})
    run_id = distill(config, seed_ensemble(config, 2).run_id).run_id
    promotion = promote(run_id)
    assert (promotion.promoted, promotion.run_id, compared_images(promotion)) == (True, run_id, 34)
    assert promotion.test["test_auc"] > 0
