"""Streams of films without pixels, for control charts: stable ones, and ones whose distribution has changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.control_charts import Reference
from mobilenet_chest.evaluation.drift import Films, Lookalike

TEMPERATURE, THRESHOLD = 1.3, 0.5


def films(generator: np.random.Generator, n: int, features: int = 0, share: float = 0.7) -> Films:
    """Return films of a model with an AUC of about .94; a share of them are of class 1."""
    return with_labels(generator, n, features, share)[0]


def with_labels(
    generator: np.random.Generator, n: int, features: int = 0, share: float = 0.7
) -> tuple[Films, NDArray[np.uint8]]:
    """Return films and their classes."""
    labels = (generator.random(n) < share).astype(np.uint8)
    logits = 1.3 * generator.normal(size=n) + np.where(labels, 1.5, -1.5)
    black = np.where(generator.random(n) < 0.5, 0.0, generator.exponential(0.02, n))  # half of them have none
    pictures = np.stack([np.full(n, 64.0), np.full(n, 64.0), generator.normal(140, 15, n), generator.normal(50, 5, n),
                         black, generator.exponential(0.01, n), generator.normal(0.3, 0.04, n)], 1)  # fmt: skip
    of_head = (generator.normal(size=(n, features)) + labels[:, None]).astype(np.float32) if features else None
    calibrated = 1 / (1 + np.exp(-logits / TEMPERATURE))
    return Films(1 / (1 + np.exp(-logits)), calibrated, pictures, of_head), labels


def reference(seed: int, n: int = 500, features: int = 0) -> Reference:
    """Return validation rows, with the grey levels of 400 training rows."""
    generator = np.random.default_rng([seed, 0])
    known, labels = with_labels(generator, n, features)
    return Reference(known, labels, THRESHOLD, TEMPERATURE, Lookalike.of(films(generator, 400).pictures))
