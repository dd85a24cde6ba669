"""The gates of an experiment: what each requires of a run, and whether the run passes.

Gates read the run's stored predictions of the validation images, never the test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.config.formats import times
from mobilenet_chest.config.gates import NotInferior
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.paired import paired_difference
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import not_inferior
from mobilenet_chest.selection.rank import compare_with_champion
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import trained_model
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.runs import Candidate, existing_run, find_run, rows_digest, short_id
from mobilenet_chest.training.predict import latency


@dataclass(frozen=True)
class GateResult:
    """The result of one gate. The attributes are the keys of ``promote --json``.

    Attributes:
        gate: Its name in the experiment file.
        figure: The value that was judged; ``None`` where there is none.
        bound: The limit.
        passed: Whether the run passes.
        detail: Value, limit and what they are, for a reader.
    """

    gate: str
    figure: float | str | None
    bound: float | str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"gate {self.gate} {self._word}: {self.detail}"

    @property
    def tag(self) -> str:
        """Value of the version's tag."""
        return f"{self._word}: {_short(self.figure)}, bound {_short(self.bound)}"

    @property
    def table_row(self) -> str:
        """Row of the model card's table, in Markdown."""
        return f"| {self.gate} | {_short(self.figure)} | {_short(self.bound)} | {self._word} | {self.detail} |"

    @property
    def _word(self) -> str:
        return "passed" if self.passed else "failed"


def judge_run(client: MlflowClient, candidate: Candidate, config: Config, accesses: int) -> list[GateResult]:
    """Judge a run by the gates that do not depend on the version that the alias points to.

    Args:
        client: Client of the tracking store.
        candidate: The run that would be promoted.
        config: Its experiment, with the gates.
        accesses: Number of accesses to the test split, the promotion's own included.

    Raises:
        TrackingError: The baseline is not found, or the run's predictions cannot be read.
    """
    gates, run = config.gates, candidate.run
    results = []
    if gates.baseline is not None:
        results.append(_baseline(client, run, gates.baseline.reference, gates.baseline))
    if gates.sensitivity is not None or gates.specificity is not None or gates.ece is not None:
        predictions = _predictions(run)
        if gates.sensitivity is not None:
            results.append(_recognised("sensitivity", predictions, gates.sensitivity))
        if gates.specificity is not None:
            results.append(_recognised("specificity", predictions, gates.specificity))
        if gates.ece is not None:
            results.append(_calibration(predictions, gates.ece))
    if gates.latency_ms is not None:
        results.append(_latency(client, run, config, gates.latency_ms))
    if gates.clean_git:
        results.append(_clean_git(run))
    if gates.test_openings is not None:
        detail = f"test split opened {times(accesses)}, this promotion included; limit {gates.test_openings}"
        passed = accesses <= gates.test_openings
        results.append(GateResult("test_openings", float(accesses), float(gates.test_openings), passed, detail))
    return results


def check_promotable(
    client: MlflowClient,
    candidate: Candidate,
    config: Config,
    name: str,
    current: str | None,
    run_results: Sequence[GateResult],
    even_if_worse: bool,
) -> tuple[list[str], list[GateResult]]:
    """Compare a run with the current champion, and check that every gate passes.

    Args:
        client: Client of tracking store and registry.
        candidate: The run that would take the alias.
        config: Its experiment.
        name: Registered model.
        current: The version that the alias points to; ``None`` for none.
        run_results: What :func:`judge_run` returned.
        even_if_worse: A worse metric alone is no reason to refuse; the gates still are.

    Returns:
        The result of the comparison in one line, and the results of all gates.

    Raises:
        PromotionRefused: The run is worse, or gates failed; it names each.
    """
    results = [*_judge_against_alias(client, candidate.run, config, name, current), *run_results]
    lines: list[str] = []
    reasons: list[str] = []
    try:
        lines = compare_with_champion(client, candidate, name, current, even_if_worse)
    except PromotionRefused as refusal:
        reasons += refusal.reasons
    reasons += [str(result) for result in results if not result.passed]
    if reasons:
        raise PromotionRefused(reasons, results)
    return lines, results


def gate_tags(results: Sequence[GateResult]) -> dict[str, str]:
    """Return the tags of a version, one for each gate."""
    return {f"{tags.GATE_PREFIX}{result.gate}": result.tag for result in results}


def gate_table(results: Sequence[GateResult]) -> str:
    """Return a section of a model card, in Markdown; empty without gates."""
    if not results:
        return ""
    head = ["Gates of the run's experiment file:", "", "| gate | value | limit | result | |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(result.table_row for result in results)]) + "\n"


def _short(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _judge_against_alias(
    client: MlflowClient, run: Run, config: Config, name: str, current: str | None
) -> list[GateResult]:  # fmt: skip
    """Judge a run by the gates that depend on the version that the alias points to."""
    gates, results = config.gates, []
    version = None if current is None else client.get_model_version(name, current)
    if gates.champion is not None:
        if version is None:
            detail = "there is no earlier version to compare with"
            results.append(GateResult("champion", None, -gates.champion.margin, True, detail))
        else:
            champion = existing_run(client, version.run_id)
            if_gone = (
                f"; go back to an earlier version (mobilenet-chest promote --rollback {name}), or delete the alias in "
                "MLflow to promote without this comparison"
            )
            results.append(_not_inferior("champion", gates.champion, run, champion, f"version {current}", if_gone))
    if gates.same_data:
        digest = run.data.tags[tags.DATA_DIGEST]
        expected = digest if version is None else version.tags.get(tags.DATA_DIGEST, "unknown")
        other = "there is no earlier version" if version is None else f"version {current} has {expected}"
        detail = f"rows with digest {digest}; {other}"
        results.append(GateResult("same_data", digest, expected, digest == expected, detail))
    return results


def _baseline(client: MlflowClient, run: Run, reference: str, gate: NotInferior) -> GateResult:
    try:
        baseline = find_run(client, reference)
    except TrackingError as error:
        raise TrackingError(f"gates.baseline.reference: {error}") from error
    return _not_inferior("baseline", gate, run, baseline.run, f"baseline {reference}")


def _not_inferior(
    name: str, gate: NotInferior, run: Run, other: Run | None, what: str, if_gone: str = ""
) -> GateResult:
    """Judge whether a run is not inferior to another; ``if_gone`` follows where that or its predictions are gone."""
    if other is None:
        paired: tuple[RunPredictions, RunPredictions] | str = (
            f"its run was deleted, or it was made without a run{if_gone}"
        )
    elif other.info.run_id == run.info.run_id:
        return GateResult(name, 0.0, -gate.margin, True, f"{what} is this run")
    else:
        paired = _paired_predictions(run, other, if_gone)
    if isinstance(paired, str):
        return GateResult(name, None, -gate.margin, False, f"cannot be compared with {what}: {paired}")
    # a one-sided bound is the lower end of the two-sided interval with twice the error
    found = paired_difference(gate.metric, *paired, level=2 * gate.confidence - 1)
    detail = (
        f"{gate.metric} {abs(found.value):.4f} {'lower' if found.value < 0 else 'higher'} than {what}; one-sided "
        f"{gate.confidence:.0%} lower bound {found.low:.4f}, required above {-gate.margin:g}"
    )
    return GateResult(name, found.low, -gate.margin, not_inferior(found, gate.margin), detail)


def _paired_predictions(run: Run, other: Run, if_gone: str) -> tuple[RunPredictions, RunPredictions] | str:
    """Return the predictions of two runs for the same images, or why there are none."""
    digest, other_digest = rows_digest(run), rows_digest(other)
    if digest != other_digest:
        return f"it was scored on rows with digest {other_digest}, this run on rows with digest {digest}"
    part, other_part = run.data.tags.get(tags.SCORED_ON), other.data.tags.get(tags.SCORED_ON)
    if part != other_part:
        return f"its {tags.SCORED_ON} is {other_part}, that of this run {part}"
    predictions, other_predictions = _predictions(run), load_run_predictions([other])[str(other.info.run_id)]
    if isinstance(other_predictions, str):
        return other_predictions + if_gone
    for column in ("row", "label"):
        if not np.array_equal(getattr(predictions.predictions, column), getattr(other_predictions.predictions, column)):
            return "the two were not scored on the same images"
    return predictions, other_predictions


def _recognised(name: str, run_predictions: RunPredictions, limit: float) -> GateResult:
    correct = run_predictions.correct(name)
    interval = metric_intervals("val", {f"val_{name}": float(correct.mean())}, run_predictions)[f"val_{name}"]
    detail = (
        f"{name} {interval.value:.4f} ({correct.sum()} of {len(correct)} images), 95% interval {interval.low:.4f} to "
        f"{interval.high:.4f}; its lower end must reach {limit:g}"
    )
    return GateResult(name, interval.low, limit, interval.low >= limit, detail)


def _calibration(run_predictions: RunPredictions, limit: float) -> GateResult:
    found = reliability(run_predictions.predictions.label, run_predictions.predictions.probability_tta)
    detail = f"ECE {found.ece:.4f} (a perfectly calibrated model would average {found.bias:.4f}), limit {limit:g}"
    return GateResult("ece", found.ece, limit, found.ece <= limit, detail)


def _latency(client: MlflowClient, run: Run, config: Config, limit: float) -> GateResult:
    images = load_train_val(config.data).val.images[:1]
    milliseconds = latency(trained_model(client, run, config), images)
    detail = f"{milliseconds:.1f} ms for one image on this machine's CPU, limit {limit:g} ms"
    return GateResult("latency_ms", milliseconds, limit, milliseconds <= limit, detail)


def _clean_git(run: Run) -> GateResult:
    dirty = run.data.tags.get(tags.GIT_DIRTY, "unknown")
    detail = {
        "true": "the run's code had uncommitted changes",
        "false": "the run's code was committed",
    }.get(dirty, "the commit of the run's code is unknown")
    return GateResult("clean_git", dirty, "false", dirty == "false", detail)


def _predictions(run: Run) -> RunPredictions:
    predictions = load_run_predictions([run])[str(run.info.run_id)]
    if isinstance(predictions, str):
        raise TrackingError(f"run {short_id(run.info.run_id)}: {predictions}; its gates need these predictions")
    return predictions
