"""The whole classifier as one network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.models.classifier import Backbone, Classifier, Ensemble
from mobilenet_chest.models.deployed import DeployedClassifier


class LeftCorner(nn.Module):
    """Logit from the left column only, so that the mirror image has another."""

    def __init__(self, scale: float = 32.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, 0, :, 0].double().mean(1) - 128) / self.scale


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def expected(model: nn.Module, images: Tensor) -> np.ndarray:
    plain, mirrored = model(images).double().sigmoid(), model(images.flip(-1)).double().sigmoid()
    return ((plain + mirrored) / 2).detach().numpy()


def test_the_probability_is_the_mean_of_both_views(images: Tensor) -> None:
    answer = DeployedClassifier(LeftCorner(), 1.7, 0.5).answer(images)
    kinds = [torch.float32, torch.float32, torch.int64, torch.float32, torch.float32]
    assert [part.dtype for part in answer[:5]] == kinds
    assert answer.features is None
    np.testing.assert_allclose(answer.probability, expected(LeftCorner(), images), atol=2e-7, rtol=0)
    np.testing.assert_array_equal(answer.label, answer.probability >= 0.5)
    assert 0 < answer.label.sum() < 7
    np.testing.assert_allclose(answer.logit_plain, LeftCorner()(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [32.0, 2.0, 0.5])
def test_the_calibrated_probability_is_that_of_the_evaluation(images: Tensor, scale: float) -> None:
    """Also where the probability rounds to 1 in float32."""
    answer = DeployedClassifier(LeftCorner(scale), 3.0, 0.5).answer(images)
    mean = expected(LeftCorner(scale), images)
    np.testing.assert_allclose(answer.calibrated, apply_temperature(mean, 3.0), atol=1e-6, rtol=0)
    inside = np.abs(mean - 0.5) < 0.4999
    np.testing.assert_allclose(answer.logit[inside], np.log(mean / (1 - mean))[inside], rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members_probabilities(images: Tensor) -> None:
    members = [LeftCorner(16.0), LeftCorner(64.0)]
    answer = DeployedClassifier(Ensemble(members), 1.0, 0.4).answer(images)
    mean = (expected(members[0], images) + expected(members[1], images)) / 2
    np.testing.assert_allclose(answer.probability, mean, atol=2e-7, rtol=0)


def test_features_are_what_the_first_members_head_is_given(images: Tensor) -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[..., :4].mean((1, 2, 3)), x[..., 4:].mean((1, 2, 3))], 1)

    def member(weight: float) -> Classifier:
        head = nn.Linear(2, 1)
        nn.init.constant_(head.weight, weight)
        return Classifier(Backbone(Halves(), 2), head, (0.5,), (0.25,), repeat=False, architecture="halves")

    members = [member(0.5), member(2.0)]
    answer = DeployedClassifier(Ensemble(members), 1.0, 0.5).answer(images)
    assert answer.features is not None
    expected_features = ((images.float() - 127.5) / 63.75).mean((1, 2, 3))
    np.testing.assert_allclose(answer.features, torch.stack([expected_features] * 2, 1), atol=1e-6)
    mean = (expected(members[0], images) + expected(members[1], images)) / 2
    np.testing.assert_allclose(answer.probability, mean, atol=2e-7, rtol=0)
