"""The whole classifier as one network: from pixels to probability, calibrated probability and label."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mobilenet_chest.models.classifier import Classifier, Ensemble

LARGEST_LOGIT = math.log(1e15)
"""Calibration keeps probabilities this far from 0 and 1, as :mod:`mobilenet_chest.evaluation.calibration` does."""


class Answer(NamedTuple):
    """What a deployed classifier says about n images.

    Attributes:
        probability: float32 (n,), of class 1: the mean of those of the image, of its mirror image, and of all members.
        calibrated: float32 (n,), the probability whose logit is that of ``probability`` divided by the temperature.
        label: int64 (n,), 1 where ``probability`` reaches the threshold, else 0.
        logit: float32 (n,), of ``probability``; it tells apart probabilities that float32 rounds to 1.
        logit_plain: float32 (n,), of the probability without the mirror image.
        features: float32 (n, f), what the head of the first member is given: the mean of the image and its mirror
            image. ``None`` for a network that is no :class:`~mobilenet_chest.models.classifier.Classifier`.
    """

    probability: Tensor
    calibrated: Tensor
    label: Tensor
    logit: Tensor
    logit_plain: Tensor
    features: Tensor | None = None


class DeployedClassifier(nn.Module):
    """A trained network or ensemble with its TTA, temperature and threshold.

    Image and mirror image go through the network as one batch: called twice, it would be exported twice, and its
    BatchNorm layers could not be merged into its convolutions.

    Args:
        model: A :class:`~mobilenet_chest.models.classifier.Classifier`, or an
            :class:`~mobilenet_chest.models.classifier.Ensemble`, trained, on the CPU.
        temperature: What the logits are divided by to be calibrated.
        threshold: Smallest probability at which an image is class 1.
    """

    def __init__(self, model: nn.Module, temperature: float, threshold: float) -> None:
        super().__init__()
        self.members = model.members if isinstance(model, Ensemble) else nn.ModuleList([model])
        self.temperature, self.threshold = temperature, threshold
        self.eval()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what :meth:`forward` returns, in order."""
        return Answer._fields if isinstance(self.members[0], Classifier) else Answer._fields[:-1]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the fields of an :class:`Answer` for uint8 images (n, c, h, w).

        A plain tuple, because a program that is exported must not need this class to be loaded.
        """
        n = images.shape[0]
        views = torch.cat([images, images.flip(-1)])
        # not chunk: an exporter writes its number of rows into the file as a constant
        first, features = self.members[0], tuple[Tensor, ...]()
        if isinstance(first, Classifier):
            both_features = first.features(views)
            first_logits = first.from_block(first.block_count, both_features)
            features = (((both_features[:n] + both_features[n:]) / 2).float(),)
        else:
            first_logits = first(views)
        of_members = [first_logits.float(), *(member(views).float() for member in list(self.members)[1:])]
        logits = [z for both in of_members for z in (both[:n], both[n:])]
        stacked = torch.stack(logits)
        logit = _logit_of_mean(stacked)
        probability = stacked.sigmoid().mean(0)
        calibrated = (logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT) / self.temperature).sigmoid()
        plain = _logit_of_mean(stacked[::2])
        return probability, calibrated, (probability >= self.threshold).long(), logit, plain, *features

    def answer(self, images: Tensor) -> Answer:
        """Answer for uint8 images (n, c, h, w), without gradients."""
        with torch.inference_mode():
            return Answer(*self(images))


def _logit_of_mean(logits: Tensor) -> Tensor:
    """Return the logit of the mean probability of logits (k, n), as (n,).

    In logarithms, because 1 - p has few digits in float32 where p is near 1. By softplus, because ``logsigmoid`` would
    become the logarithm of a sigmoid in an exported file, and so that of 0 where a logit is below -90 or so.
    """
    return torch.logsumexp(-softplus(-logits), 0) - torch.logsumexp(-softplus(logits), 0)
