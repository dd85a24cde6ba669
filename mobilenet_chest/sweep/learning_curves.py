"""What trials will be worth at their end, predicted from the learning curves of a study.

A Gaussian process over configuration and epoch (Swersky, Snoek and Adams, 2014, "Freeze-Thaw Bayesian Optimization").
A trial's curve is its end value, less a gap that closes with the epochs, plus a drift that forgets itself, plus noise.
Similar configurations have similar end values and gaps; each trial also has its own part of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior, Scales, usual_scales

Floats = NDArray[np.float64]

FITTED = 40
"""Most trials that the scales are fitted to: more say little more, and cost the third power."""

ITERATIONS = 40

FARTHEST = 4 * math.log(2)
"""How far from its prior's centre the logarithm of a scale is looked for."""

BAND = 0.9
"""Share of scores that the bands are to hold."""

MISSED = 1.9
"""By what bands of a few short curves have to be multiplied; measured: ``experiments/results/schedulers.md``."""

DOUBT = 20
"""Scores that stand for :data:`MISSED`: the study's own, with which bands are checked, come beside them."""


class Curve(NamedTuple):
    """What is known of a trial.

    Attributes:
        place: float64 (d,): its configuration, each coordinate from 0 to 1.
        epochs: float64 (n,): epochs that were scored, ascending; none of a trial that has not begun.
        scores: float64 (n,): its scores there; higher is better.
    """

    place: Floats
    epochs: Floats
    scores: Floats


class Prediction(NamedTuple):
    """A score that is not known yet: a normal distribution.

    Attributes:
        mean: float64 (n,), one for each trial.
        deviation: float64 (n,), with the noise of an epoch in it.
    """

    mean: Floats
    deviation: Floats


MEAN_END, MEAN_GAP = 3.0, 1.0
"""Prior standard deviations of the mean end value and of the mean gap, whose prior mean is 1: curves rise."""


class CurveModel:
    """The curves of a study, and what they say of later epochs.

    Args:
        curves: Of trials that have begun, two scores or more in all.
        total: The last epoch.
        prior: What is known of their scales from earlier studies.
    """

    def __init__(self, curves: Sequence[Curve], total: float, prior: ScalePrior = USUAL) -> None:
        scores = np.concatenate([curve.scores for curve in curves])
        self._middle = float(scores.mean())
        self._unit = float(scores.std()) or 1.0
        self._total = total
        self._curves = [curve._replace(scores=(curve.scores - self._middle) / self._unit) for curve in curves]
        step = max(1, math.ceil(len(curves) / FITTED))
        self.scales = _fit(self._curves[::step], total, prior)
        self.widening = _widening(self._curves, self.scales)

    def predict(self, trials: Sequence[Curve], epoch: float | None = None) -> Prediction:
        """Return the scores of trials at an epoch, the last one where none is given.

        Args:
            trials: Each is one of the curves that the model was made of, the same ``place`` object, or of a trial that
                has not begun.
            epoch: Which one.
        """
        known = list(self._curves)
        numbers = {id(curve.place): number for number, curve in enumerate(known)}
        for trial in trials:
            if id(trial.place) not in numbers:
                numbers[id(trial.place)] = len(known)
                known.append(trial)
        posterior = _posterior(known, self.scales)
        at = np.array([self._total if epoch is None else epoch])
        each = [_scores(posterior, number, known[number], at, self.scales)
                for number in (numbers[id(trial.place)] for trial in trials)]  # fmt: skip
        mean, deviation = (np.array([part[number][0] for part in each]) for number in (0, 1))
        return Prediction(self._middle + self._unit * mean, self._unit * self.widening * deviation)


def expected_gain(mean: Floats, deviation: Floats, reached: Floats, best: float) -> Floats:
    """Return by how much trials are expected to raise the best score (expected improvement).

    A trial is worth the better of what it has reached and of its score at the end.

    Args:
        mean: float64 (n,), of the normal distribution of the score at the end.
        deviation: float64 (n,), of the same.
        reached: float64 (n,), the best score of each so far; minus infinity before the first.
        best: The best score of a complete trial.
    """
    threshold = np.maximum(reached, best)
    z = (mean - threshold) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    rise: Floats = (mean - threshold) * ndtr(z) + deviation * density
    return np.maximum(rise, 0) + np.maximum(threshold - best, 0)


def _basis(epochs: Floats, scales: Scales) -> Floats:
    """Return how end value and gap add up at each epoch: float64 (n, 2)."""
    return np.stack([np.ones_like(epochs), -((1 + epochs / scales.half) ** -scales.power)], axis=1)


def _drift(epochs: Floats, others: Floats, scales: Scales) -> Floats:
    """Return the covariance of a curve's drift between epochs: float64 (n, m), of an Ornstein-Uhlenbeck process."""
    covariance: Floats = scales.drift**2 * np.exp(-np.abs(epochs[:, None] - others[None]) / scales.memory)
    return covariance


def _prior(places: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Return mean (2n,) and covariance (2n, 2n) of end values and gaps."""
    count = len(places)
    distance = np.sqrt(5 * ((places[:, None] - places[None]) ** 2).sum(-1)) / scales.width
    alike = (1 + distance + distance**2 / 3) * np.exp(-distance)  # Matérn 5/2
    covariance = np.zeros((2 * count, 2 * count))
    covariance[:count, :count] = MEAN_END**2 + scales.end**2 * alike + scales.own_end**2 * np.eye(count)
    covariance[count:, count:] = MEAN_GAP**2 + scales.gap**2 * alike + scales.own_gap**2 * np.eye(count)
    return np.repeat([0.0, 1.0], count), covariance


class _Sums(NamedTuple):
    """What the scores say, in the space of end values and gaps: it does not grow with the epochs."""

    mean: Floats
    root: Floats  # of the prior covariance
    products: Floats  # of the basis with itself, weighed by the inverse covariance of drift and noise
    projected: Floats  # residuals on the basis, weighed alike
    squares: float  # of residuals, weighed alike
    size: float  # logarithm of the determinant of that covariance


class _Posterior(NamedTuple):
    """End values and gaps of all trials: a normal distribution."""

    mean: Floats
    covariance: Floats


def _rest(epochs: Floats, scales: Scales) -> Floats:
    """Return the lower Cholesky factor of the covariance of a curve's drift and noise: float64 (n, n)."""
    covariance = _drift(epochs, epochs, scales) + scales.noise**2 * np.eye(len(epochs))
    factor: Floats = cholesky(covariance, lower=True, check_finite=False)
    return factor


def _alike(curves: Sequence[Curve]) -> Iterator[tuple[NDArray[np.intp], Floats, Floats]]:
    """Yield the numbers of curves that were scored after the same epochs, these, and their scores (epochs, curves)."""
    groups: dict[bytes, list[int]] = {}
    for number, curve in enumerate(curves):
        if len(curve.epochs):
            groups.setdefault(curve.epochs.tobytes(), []).append(number)
    for numbers in groups.values():
        scores = np.stack([curves[number].scores for number in numbers], axis=1)
        yield np.array(numbers), curves[numbers[0]].epochs, scores


def _sums(curves: Sequence[Curve], scales: Scales) -> _Sums:
    count = len(curves)
    mean, covariance = _prior(np.stack([curve.place for curve in curves]), scales)
    root = cholesky(covariance + 1e-8 * np.eye(2 * count), lower=True, check_finite=False)
    products, projected, squares, size = np.zeros((2 * count, 2 * count)), np.zeros(2 * count), 0.0, 0.0
    for numbers, epochs, scores in _alike(curves):
        ends, gaps, factor = numbers, numbers + count, _rest(epochs, scales)
        basis = _basis(epochs, scales)
        residuals = scores - basis[:, :1] * mean[ends] - basis[:, 1:] * mean[gaps]
        whitened = solve_triangular(factor, np.column_stack([basis, residuals]), lower=True, check_finite=False)
        basis, residuals = whitened[:, :2], whitened[:, 2:]
        product = basis.T @ basis
        products[ends, ends], products[gaps, gaps] = product[0, 0], product[1, 1]
        products[ends, gaps] = products[gaps, ends] = product[0, 1]
        projected[ends], projected[gaps] = basis.T @ residuals
        squares += float((residuals**2).sum())
        size += 2 * len(numbers) * float(np.log(np.diag(factor)).sum())
    return _Sums(mean, root, products, projected, squares, size)


def _inner(sums: _Sums) -> Floats:
    inner = np.eye(len(sums.mean)) + sums.root.T @ sums.products @ sums.root
    factor: Floats = cholesky(inner, lower=True, check_finite=False)
    return factor


def _posterior(curves: Sequence[Curve], scales: Scales) -> _Posterior:
    """Return mean and covariance of end values and gaps of all trials, given their curves."""
    sums = _sums(curves, scales)
    half: Floats = solve_triangular(_inner(sums), sums.root.T, lower=True, check_finite=False)
    covariance = half.T @ half
    return _Posterior(sums.mean + covariance @ sums.projected, covariance)


def _scores(
    posterior: _Posterior, number: int, curve: Curve, epochs: Floats, scales: Scales
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return mean and standard deviation of a trial's scores at some later epochs: float64 (n,) each."""
    rows, basis = [number, number + len(posterior.mean) // 2], _basis(epochs, scales)
    mean, covariance = posterior.mean[rows], posterior.covariance[np.ix_(rows, rows)]
    expected, unknown = np.zeros(len(epochs)), np.full(len(epochs), scales.drift**2)
    if len(curve.epochs):  # its drift so far goes on for a while
        known, factor = _basis(curve.epochs, scales), _rest(curve.epochs, scales)
        weights = cho_solve((factor, True), _drift(curve.epochs, epochs, scales), check_finite=False)
        expected = weights.T @ (curve.scores - known @ mean)
        unknown = unknown - (weights * _drift(curve.epochs, epochs, scales)).sum(0)
        middle, basis = basis @ mean, basis - weights.T @ known
    else:
        middle = basis @ mean
    variance = np.einsum("ni,ij,nj->n", basis, covariance, basis) + np.maximum(unknown, 0)
    return middle + expected, np.sqrt(np.maximum(variance, 0) + scales.noise**2)


def _widening(curves: Sequence[Curve], scales: Scales) -> float:
    """Return by what the deviations are multiplied so that bands hold what they promise, 1 or more.

    No curve has the model's form exactly, so the later part of each is predicted from the first parts of all: once from
    the first halves, once from the first thirds. Few short curves also make their own unit and scales too sure; they
    are too few to show it, so :data:`DOUBT` scores that were missed elsewhere are counted as well.
    """
    lengths = [[max(1, len(curve.epochs) // share) for curve in curves] for share in (2, 3)]
    return max(1.0, *(_miss(known, curves, scales) for known in lengths))


def _miss(known: Sequence[int], curves: Sequence[Curve], scales: Scales) -> float:
    """Return how much wider the bands of later scores are to be where only the ``known`` first ones are given."""
    first = [
        curve._replace(epochs=curve.epochs[:length], scores=curve.scores[:length])
        for curve, length in zip(curves, known, strict=True)
    ]
    posterior = _posterior(first, scales)
    off: list[float] = []
    for number, (curve, given) in enumerate(zip(curves, first, strict=True)):
        later = slice(len(given.epochs), None)
        mean, deviation = _scores(posterior, number, given, curve.epochs[later], scales)
        off.extend(np.abs(curve.scores[later] - mean) / deviation)
    off.extend(MISSED * ndtri((1 + (np.arange(DOUBT) + 0.5) / DOUBT) / 2))
    return float(np.quantile(off, BAND)) / float(ndtri((1 + BAND) / 2))


def _fit(curves: Sequence[Curve], total: float, prior: ScalePrior) -> Scales:
    """Return the most probable scales: those of the marginal likelihood and of a prior, both in logarithms."""
    usual = usual_scales(total, len(curves[0].place))
    centre, deviation = np.log(np.array(usual) * np.array(prior.ratio)), np.array(prior.deviation)

    def loss(logarithms: Floats) -> float:
        scales = Scales(*np.exp(logarithms))
        sums = _sums(curves, scales)
        factor, turned = _inner(sums), sums.root.T @ sums.projected
        fit = sums.squares - turned @ cho_solve((factor, True), turned, check_finite=False)
        size = 2 * np.log(np.diag(factor)).sum() + sums.size
        return 0.5 * float(fit + size + (((logarithms - centre) / deviation) ** 2).sum())

    bounds = list(zip(centre - FARTHEST, centre + FARTHEST, strict=True))
    found = minimize(loss, centre, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    return Scales(*np.exp(found.x))
