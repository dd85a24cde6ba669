"""The gates of an experiment: what each asks of a run, what was found, and whether it lets the run pass.

Everything is judged on the run's stored predictions of the validation images, never on test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.config.gates import NotInferior
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.paired import paired_difference
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import not_inferior
from mobilenet_chest.selection.rank import compare_with_champion, existing_run
from mobilenet_chest.tracking.artifacts import trained_model
from mobilenet_chest.tracking.runs import Candidate, find_run, rows_digest
from mobilenet_chest.tracking.scored import load_scored
from mobilenet_chest.tracking.tags import SCORED_ON
from mobilenet_chest.training.predict import latency


@dataclass(frozen=True)
class GateResult:
    """What a gate found.

    Attributes:
        gate: Its name in the experiment file.
        figure: What was judged; ``None`` where there is no such figure.
        bound: What it was held against.
        passed: Whether the run may pass.
        detail: The same for a reader, with where it comes from.
    """

    gate: str
    figure: float | str | None
    bound: float | str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"gate {self.gate} {'passed' if self.passed else 'failed'}: {self.detail}"


def judge_run(client: MlflowClient, candidate: Candidate, config: Config, openings: int) -> list[GateResult]:
    """The gates that a run passes or fails whatever the alias stands at.

    Args:
        client: Of the tracking store.
        candidate: The run that would be promoted.
        config: Its experiment, whose gates these are.
        openings: Of the test split, once it is promoted.

    Raises:
        TrackingError: The baseline is not to be found, or the run's predictions cannot be read.
    """
    gates, run = config.gates, candidate.run
    verdicts = []
    if gates.baseline is not None:
        try:
            other = find_run(client, gates.baseline.reference)
        except TrackingError as error:
            raise TrackingError(f"gates.baseline.reference: {error}") from error
        what = f"baseline {gates.baseline.reference}"
        verdicts.append(_not_inferior("baseline", gates.baseline, run, other.run, what))
    if gates.sensitivity is not None or gates.specificity is not None or gates.ece is not None:
        own = _predictions(run)
        for gate, least in (("sensitivity", gates.sensitivity), ("specificity", gates.specificity)):
            if least is not None:
                verdicts.append(_recognised(gate, own, least))
        if gates.ece is not None:
            found = reliability(own.predictions.label, own.predictions.probability_tta)
            detail = f"{found.ece:.4f}, of which {found.bias:.4f} chance alone would give; at most {gates.ece:g}"
            verdicts.append(GateResult("ece", found.ece, gates.ece, found.ece <= gates.ece, detail))
    if gates.latency_ms is not None:
        images = load_train_val(config.data).val.images[:1]
        took = latency(trained_model(client, run, config), images)
        detail = f"{took:.1f} ms for one image on this machine's CPU; at most {gates.latency_ms:g}"
        verdicts.append(GateResult("latency_ms", took, gates.latency_ms, took <= gates.latency_ms, detail))
    if gates.clean_git:
        dirty = run.data.tags.get("git_dirty", "unknown")
        said = {"true": "had uncommitted changes", "false": "was committed"}.get(dirty, "is of no known commit")
        detail = f"the run's code {said}"
        verdicts.append(GateResult("clean_git", dirty, "false", dirty == "false", detail))
    if gates.test_openings is not None:
        detail = f"{openings} with this promotion's; at most {gates.test_openings}"
        passed = openings <= gates.test_openings
        verdicts.append(GateResult("test_openings", float(openings), float(gates.test_openings), passed, detail))
    return verdicts


def check_promotable(
    client: MlflowClient,
    candidate: Candidate,
    config: Config,
    name: str,
    current: str | None,
    known: Sequence[GateResult],
    even_if_worse: bool,
) -> tuple[list[str], list[GateResult]]:
    """Hold a run against what the alias stands at, and see that every gate lets it pass.

    Args:
        client: Of tracking store and registry.
        candidate: The run that would take the alias.
        config: Its experiment.
        name: Registered model.
        current: The version that the alias stands at; ``None`` for none.
        known: What :func:`judge_run` found.
        even_if_worse: A worse figure alone is no reason to refuse; the gates stand.

    Returns:
        What was found of the comparison, a line; and all verdicts.

    Raises:
        PromotionRefused: With every gate that says no.
    """
    verdicts = [*_of_the_alias(client, candidate.run, config, name, current), *known]
    said: list[str] = []
    reasons: list[str] = []
    try:
        said = compare_with_champion(client, candidate, name, current, even_if_worse)
    except PromotionRefused as refusal:
        reasons += refusal.reasons
    reasons += [str(verdict) for verdict in verdicts if not verdict.passed]
    if reasons:
        raise PromotionRefused(reasons, verdicts)
    return said, verdicts


def gate_tags(verdicts: Sequence[GateResult]) -> dict[str, str]:
    """Tags of a version, one for each gate."""
    return {
        f"gate_{one.gate}": f"{'passed' if one.passed else 'failed'}: {_short(one.figure)}, bound {_short(one.bound)}"
        for one in verdicts
    }


def gate_table(verdicts: Sequence[GateResult]) -> str:
    """A section of a model card, in Markdown; empty without gates."""
    if not verdicts:
        return ""
    rows = [f"| {one.gate} | {_short(one.figure)} | {_short(one.bound)} | {'passed' if one.passed else 'failed'} | "
            f"{one.detail} |" for one in verdicts]  # fmt: skip
    return (
        "Gates of the run's experiment file:\n\n"
        + "\n".join(["| gate | figure | bound | verdict | |", "|---|---|---|---|---|", *rows])
        + "\n"
    )


def _short(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _of_the_alias(client: MlflowClient, run: Run, config: Config, name: str, current: str | None) -> list[GateResult]:
    gates, verdicts = config.gates, []
    version = None if current is None else client.get_model_version(name, current)
    if gates.champion is not None:
        if version is None:
            detail = "there is no version yet to be inferior to"
            verdicts.append(GateResult("champion", None, -gates.champion.margin, True, detail))
        else:
            what = f"version {current}"
            verdicts.append(_not_inferior("champion", gates.champion, run, existing_run(client, version.run_id), what))
    if gates.same_data:
        own = run.data.tags["data_digest"]
        expected = own if version is None else version.tags.get("data_digest", "unknown")
        where = "there is no version yet to differ from" if version is None else f"version {current} has {expected}"
        verdicts.append(GateResult("same_data", own, expected, own == expected, f"rows with digest {own}; {where}"))
    return verdicts


def _not_inferior(gate: str, asked: NotInferior, run: Run, other: Run | None, what: str) -> GateResult:
    def refused(why: str) -> GateResult:
        return GateResult(gate, None, -asked.margin, False, f"cannot be compared with {what}: {why}")

    if other is None:
        return refused("its run is gone, or it was made from none")
    if other.info.run_id == run.info.run_id:
        return GateResult(gate, 0.0, -asked.margin, True, f"{what} is this run")
    digest, others_digest = rows_digest(run), rows_digest(other)
    if digest != others_digest:
        return refused(f"it was scored on rows with digest {others_digest}, this run on {digest}")
    parts = [one.data.tags.get(SCORED_ON) for one in (other, run)]
    if parts[0] != parts[1]:
        return refused(f"its {SCORED_ON} is {parts[0]}, this run's {parts[1]}")
    own, others = _predictions(run), load_scored([other])[str(other.info.run_id)]
    if isinstance(others, str):
        return refused(others)
    for column in ("row", "label"):
        if not np.array_equal(getattr(own.predictions, column), getattr(others.predictions, column)):
            return refused("the two were not scored on the same images")
    # one-sided confidence is the lower end of a two-sided interval with twice the error
    found = paired_difference(asked.metric, own, others, level=2 * asked.confidence - 1)
    detail = (
        f"{asked.metric} {found.value:+.4f} against {what}, with {asked.confidence:.0%} confidence above "
        f"{found.low:+.4f}; must be above {-asked.margin:g}"
    )
    return GateResult(gate, found.low, -asked.margin, not_inferior(found, asked.margin), detail)


def _recognised(gate: str, own: RunPredictions, least: float) -> GateResult:
    right = own.correct(gate)
    found = metric_intervals("val", {f"val_{gate}": float(right.mean())}, own)[f"val_{gate}"]
    detail = (
        f"{right.sum()} of {len(right)} images, {found.value:.4f}, 95% interval {found.low:.4f} to {found.high:.4f}; "
        f"the lower end must reach {least:g}"
    )
    return GateResult(gate, found.low, least, found.low >= least, detail)


def _predictions(run: Run) -> RunPredictions:
    found = load_scored([run])[str(run.info.run_id)]
    if isinstance(found, str):
        raise TrackingError(f"run {run.info.run_id}: {found}; its gates cannot be judged without")
    return found
