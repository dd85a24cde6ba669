"""Calibration of the probability of class 1: reliability diagram, ECE and its bias, temperature, proper scores.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.bootstrap import Statistic, Weights, bootstrap_distributions
from mobilenet_chest.evaluation.crossfit import crossfit_folds
from mobilenet_chest.evaluation.intervals import LEVEL, Interval, wilson
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

BINS = 10

TEMPERATURES = (0.05, 20.0)
"""Range in which a temperature is sought. If a threshold separates the classes without error, the log-loss is least at
a temperature of 0, where every probability becomes 0 or 1."""

FOURIER_FROM = 1000
"""Numbers of successes from which on chances are combined by Fourier transforms, which are faster there."""

CLOSEST = 1e-15
"""Distance that a probability keeps from 0 and 1, so that its logit is finite."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram and its calibration error.

    Attributes:
        count: int64 (bins,), images of each bin; no bin is empty.
        predicted: float64 (bins,), mean probability of class 1.
        observed: float64 (bins,), share of class 1.
        low, high: float64 (bins,), Wilson's 95% interval of ``observed``.
        ece: Expected calibration error: the mean over images of the distance between ``predicted`` and ``observed`` in
            the image's bin.
        bias: The ``ece`` that a perfectly calibrated model with these probabilities would average. It is above 0,
            because shares of few images are never exactly as predicted. Of the error of a model that is not calibrated,
            a smaller part is bias.
    """

    count: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    ece: float
    bias: float


def reliability(labels: Labels, probabilities: Probabilities, bins: int = BINS) -> Reliability:
    """Return predicted and observed shares of class 1 in bins of equally many images.

    Bins of equal width would leave most of them with a handful of images, and the error with more bias (Roelofs et al.,
    Mitigating Bias in Calibration Error Estimation, AISTATS 2022). Equal probabilities stay in one bin.

    The bias is exact: the number of images of class 1 in a bin is Poisson-binomial. That an error must be compared with
    such a value: Bröcker and Smith, Weather and Forecasting 22, 2007.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
        bins: Number of bins, fewer where many probabilities are equal.
    """
    bin_of_image = _bins(probabilities, bins)
    masks = [bin_of_image == number for number in range(bin_of_image.max() + 1)]
    count = np.array([mask.sum() for mask in masks])
    positive = [int(labels[mask].sum()) for mask in masks]
    predicted = np.array([probabilities[mask].mean() for mask in masks])
    intervals = [wilson(k, int(n)) for k, n in zip(positive, count, strict=True)]
    observed = np.array(positive) / count
    return Reliability(
        count=count,
        predicted=predicted,
        observed=observed,
        low=np.array([interval.low for interval in intervals]),
        high=np.array([interval.high for interval in intervals]),
        ece=float((count * np.abs(observed - predicted)).sum() / len(labels)),
        bias=sum(_mean_deviation(probabilities[mask]) for mask in masks) / len(labels),
    )


def _bins(probabilities: Probabilities, bins: int) -> NDArray[np.int64]:
    edges = np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1])
    return np.asarray(np.unique(np.searchsorted(edges, probabilities), return_inverse=True)[1])


def _mean_deviation(probabilities: Probabilities) -> float:
    """Return the expected distance between the number of successes and its mean, by their exact distribution."""
    chances = [np.array([1 - p, p]) for p in probabilities]
    while len(chances) > 1:  # of two images, of four and so on: one after the other takes the square of their number
        pairs = [_convolved(*pair) for pair in zip(chances[::2], chances[1::2], strict=False)]
        chances = pairs + chances[2 * len(pairs) :]
    return float(chances[0] @ np.abs(np.arange(len(chances[0])) - probabilities.sum()))


def _convolved(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    length = len(first) + len(second) - 1
    if length < FOURIER_FROM:
        return np.convolve(first, second)
    size = 1 << (length - 1).bit_length()
    product: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)
    return product[:length]


def fit_temperature(labels: Labels, probabilities: Probabilities) -> float:
    """Return the temperature whose division of the logits gives the least log-loss; above 1 for a model too confident.

    With TTA the logit is that of the mean probability of the image and its mirror image.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    logits = logits_of(probabilities)
    # over the temperature's logarithm: half and twice the confidence are then equally far
    minimum = minimize_scalar(
        lambda log: _cross_entropies(labels, logits / np.exp(log)).mean(),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(minimum.x))


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return the probabilities whose logits are the given ones divided by ``temperature``."""
    from scipy.special import expit

    scaled: Probabilities = expit(logits_of(probabilities) / temperature)
    return scaled


def crossfit_calibrated(labels: Labels, probabilities: Probabilities, folds: int, seed: int) -> Probabilities:
    """Return every probability at the temperature that was fitted on the other folds.

    Calibration scores of these are honest: no image had a say in its own temperature.
    """
    calibrated = np.empty_like(probabilities)
    for fitting, judged in crossfit_folds(labels, folds, seed):
        temperature = fit_temperature(labels[fitting], probabilities[fitting])
        calibrated[judged] = apply_temperature(probabilities[judged], temperature)
    return calibrated


def log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean cross-entropy, in nats."""
    return float(image_losses("log_loss", labels, probabilities).mean())


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean squared distance between probability and label (Brier, Monthly Weather Review 78, 1950)."""
    return float(image_losses("brier", labels, probabilities).mean())


def image_losses(name: str, labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the loss of each image, (n,): squared distances for ``brier``, cross-entropies for every other name."""
    if name == "brier":
        return np.asarray(np.square(probabilities - labels))
    return _cross_entropies(labels, logits_of(probabilities))


def ece_statistic(labels: Labels, probabilities: Probabilities) -> Statistic:
    """Return the ECE as a statistic of resampled images, in the bins of the images themselves."""
    gaps = _gaps(labels, probabilities)
    return lambda weights: np.asarray(abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1))


def ece_interval(
    labels: Labels, probabilities: Probabilities, groups: NDArray[np.int64] | None = None
) -> Interval:  # fmt: skip
    """Return the ECE with a 95% interval.

    The ECE of few images is too large, and that of resampled images is larger still. So the lower end is the ECE minus
    the 97.5% quantile of what chance adds in a bootstrap; it is 0 where chance may be all of it. The upper end is the
    97.5% quantile of the resampled errors. The interval is wide: with 305 images it held the error of 200,000 images in
    97% of samples of a calibrated model, and in 98 to 100% of samples of others.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
        groups: Patient of each image, as in :func:`~mobilenet_chest.evaluation.bootstrap.bootstrap`.
    """
    gaps = _gaps(labels, probabilities)
    mean_gaps = gaps.mean(axis=0)

    def chance(weights: Weights) -> NDArray[np.float64]:
        return np.asarray(abs(weights @ gaps / weights.sum(axis=1, keepdims=True) - mean_gaps).sum(axis=1))

    error, added = bootstrap_distributions(labels, [ece_statistic(labels, probabilities), chance], groups)
    low = error.value - float(np.quantile(added.values, (1 + LEVEL) / 2))
    high = float(np.quantile(error.values, (1 + LEVEL) / 2))
    return Interval(error.value, max(0.0, low), max(error.value, high))


def _gaps(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return label minus probability of each image, in the column of its bin, (n, bins)."""
    bin_of_image = _bins(probabilities, BINS)
    gaps = np.zeros((len(labels), bin_of_image.max() + 1))
    gaps[np.arange(len(labels)), bin_of_image] = labels - probabilities
    return gaps


def ece_growth(labels: Labels, before: Probabilities, after: Probabilities) -> float:
    """Return how much greater the ECE of ``after`` is than that of ``before``, for the same images.

    Both are in the bins of ``before``: where an image changes its bin, an ECE jumps although no probability does. So
    the growth is at most the mean change of probability.
    """
    bin_of_image = _bins(before, BINS)
    errors = [np.abs(np.bincount(bin_of_image, labels - p)).sum() / len(labels) for p in (before, after)]
    return float(errors[1] - errors[0])


def calibration_scores(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Return ``ece``, its ``ece_bias``, ``brier`` and ``log_loss``."""
    diagram = reliability(labels, probabilities)
    return {
        "ece": diagram.ece,
        "ece_bias": diagram.bias,
        "brier": brier(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
    }


def calibration_metrics(
    labels: Labels, probabilities: Probabilities, config: EvaluationConfig, seed: int
) -> dict[str, float]:
    """Return ``temperature``, the scores of the validation split as it is (``val_ece``, …) and at that temperature,
    cross-fitted (``val_ece_calibrated``, …)."""
    calibrated = crossfit_calibrated(labels, probabilities, config.folds, seed)
    metrics = {"temperature": fit_temperature(labels, probabilities)}
    metrics |= {f"val_{name}": value for name, value in calibration_scores(labels, probabilities).items()}
    return metrics | {f"val_{name}_calibrated": v for name, v in calibration_scores(labels, calibrated).items()}


def logits_of(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the logits (n,) of probabilities (n,), finite also of 0 and 1."""
    from scipy.special import logit  # slow to import

    logits: NDArray[np.float64] = logit(probabilities.clip(CLOSEST, 1 - CLOSEST))
    return logits


def _cross_entropies(labels: Labels, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.logaddexp(0, np.where(labels == 1, -logits, logits)))
