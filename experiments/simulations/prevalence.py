"""Simulate ``data check``: how often its intervals hold the share of class 1, and how often its p reject the truth.

``python experiments/simulations/prevalence.py coverage`` and ``… tests`` write the tables of
``experiments/results/prevalence.md``. Validation rows and images are drawn from the same classes; only the prevalence
of the images differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation import comparability
from mobilenet_chest.evaluation.comparability import Rows, compare_kinds
from mobilenet_chest.evaluation.drift import bbse_shares
from mobilenet_chest.evaluation.em import em_shares

Floats = NDArray[np.float64]

ONES, ZEROS = 150, 60
"""Validation rows of each class."""

IMAGES = (100, 300, 1000, 10_000)

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)

AT_ONCE = 2_000_000
"""Logits that are drawn at a time, at most."""

FEATURES = 12


def logits(labels: NDArray[np.uint8], kind: str, generator: np.random.Generator) -> Floats:
    """Return logits of rows of two classes, float64 of the shape of ``labels``.

    Args:
        labels: 0 or 1, of any shape.
        kind: ``equal``: normal scores of equal spread, whose logarithm of the likelihood ratio is a line.
            ``unequal``: class 1 spreads 1.6 times as far, so no line is right.
        generator: Of the scores.
    """
    spread = np.where(labels == 1, 1.6 if kind == "unequal" else 1.0, 1.0)
    return np.asarray(5.0 * (generator.standard_normal(labels.shape) * spread + 2.5 * labels) - 6.2)


def coverage(kind: str, images: int, share: float, repetitions: int) -> tuple[float, float, float, float]:
    """Return how often the intervals of BBSE and EM held the share, and the mean of EM's value and width."""
    generator = np.random.default_rng([images, round(100 * share)])
    labels = np.repeat([1, 0], [ONES, ZEROS]).astype(np.uint8)
    held, values, widths = [0, 0], 0.0, 0.0
    at_once = max(1, AT_ONCE // (images + len(labels)))
    for first in range(0, repetitions, at_once):
        count = min(at_once, repetitions - first)
        rows = logits(np.broadcast_to(labels, (count, len(labels))), kind, generator)
        shown = logits((generator.random((count, images)) < share).astype(np.uint8), kind, generator)
        calls = [(part >= 0).sum(axis=1) for part in (shown, rows[:, :ONES], -rows[:, ONES:])]
        _, low, high, _ = bbse_shares(*calls, images, ONES, ZEROS)
        em = em_shares(rows, labels, shown)
        for place, (lower, upper) in enumerate(((low, high), (em.low, em.high))):
            held[place] += int(((lower <= share) & (share <= upper)).sum())
        values, widths = values + float(em.value.sum()), widths + float((em.high - em.low).sum())
    return held[0] / repetitions, held[1] / repetitions, values / repetitions, widths / repetitions


def rejections(images: int, share: float, repetitions: int) -> tuple[float, float]:
    """Return how often *as before* was rejected where the share is validation's, and *prevalence alone* at ``share``.

    Both are true, so 5% is right. One repetition compares two sets of images with one set of validation rows.
    """
    rejected = [0, 0]
    for seed in range(repetitions):
        generator = np.random.default_rng([images, seed])
        validation, labels = _drawn(ONES, ZEROS, generator)
        for place, prevalence in enumerate((ONES / (ONES + ZEROS), share)):
            ones = int(generator.binomial(images, prevalence))
            shown, _ = _drawn(ones, images - ones, generator)
            found = compare_kinds(validation, labels, 0.5, shown, seed)
            tests = (found.as_before, found.prevalence_alone)[place]
            rejected[place] += min(p.value for p in tests.values()) < comparability.ALPHA / len(tests)
    return rejected[0] / repetitions, rejected[1] / repetitions


def _drawn(ones: int, zeros: int, generator: np.random.Generator) -> tuple[Rows, NDArray[np.uint8]]:
    labels = generator.permutation(np.repeat([1, 0], [ones, zeros])).astype(np.uint8)
    scores = logits(labels, "equal", generator)
    features = generator.standard_normal((len(labels), FEATURES)).astype(np.float32)
    features[:, 0] = scores
    return Rows(1 / (1 + np.exp(-scores)), features), labels


def print_coverage(repetitions: int) -> None:
    """Print a row for each kind of scores and number of images: BBSE / EM, then EM's mean value and width."""
    for kind in ("equal", "unequal"):
        print(f"\n{kind} spread\n\n| images | {' | '.join(map(str, SHARES))} |\n|{'---|' * (len(SHARES) + 1)}")
        for images in IMAGES:
            cells = [coverage(kind, images, share, repetitions) for share in SHARES]
            texts = [f"{bbse:.1%} / {em:.1%} ({value:.3f}, {width:.3f})" for bbse, em, value, width in cells]
            print(f"| {images:,} | {' | '.join(texts)} |", flush=True)


def print_tests(repetitions: int) -> None:
    """Print, for each number of images, how often a true hypothesis was rejected."""
    print("| images | as before | prevalence alone, at 30% |\n|---|---|---|")
    for images in IMAGES:
        before, alone = rejections(images, 0.3, repetitions)
        print(f"| {images:,} | {before:.1%} | {alone:.1%} |", flush=True)


def main() -> None:
    """Print the tables that the command names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("coverage", "tests"))
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=comparability.PERMUTATIONS, help="of each p")
    arguments = parser.parse_args()
    comparability.PERMUTATIONS = arguments.permutations
    tables: dict[str, Callable[[int], None]] = {"coverage": print_coverage, "tests": print_tests}
    tables[arguments.table](arguments.repetitions)


if __name__ == "__main__":
    main()
