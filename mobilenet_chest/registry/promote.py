"""Promotion: the best run becomes a registered version, is proven to predict as the run did, and takes the alias."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import has_test_split, load_train_val, stored_validation_images
from mobilenet_chest.errors import DataError, PromotionRefused, TrackingError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry import digests, package
from mobilenet_chest.registry.card import model_card, version_tags
from mobilenet_chest.registry.gates import GateResult, check_promotable, gate_tags, judge_run
from mobilenet_chest.registry.queue import QueueSlot, alias_version, queue_slot, revoke_dead
from mobilenet_chest.selection.evaluate import check_same_rows, evaluate_run, stored_intervals, stored_test_metrics
from mobilenet_chest.selection.ledger import Access, accesses, check_unopened
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, trained_model, why_no_model
from mobilenet_chest.tracking.runs import Candidate, find_run
from mobilenet_chest.tracking.store import as_tracking_lost, connect
from mobilenet_chest.tracking.tags import FOLDS

TOLERANCE = 1e-4
"""Largest difference in probability between a run's stored predictions and the registered model's: the exported
program rounds float32 sums in another order, which is about 1e-6."""


Judge = Callable[[str | None], tuple[list[str], list[GateResult]]]
"""What is found, and the gates' verdicts, where the alias stands at a version; it refuses."""


@dataclass(frozen=True)
class Promotion:
    """What came of a promotion.

    Attributes:
        name: Registered model.
        version: Its version; ``None`` for a dry run.
        alias: The alias, moved if ``promoted``.
        run_id: The promoted run.
        promoted: Whether the alias now stands at ``version``.
        reasons: For a dry run, what would happen; otherwise what was done.
        test: Figures on the sealed test split.
        openings: Every opening of the test split for the run's study, or the run itself where it has none.
        intervals: 95% intervals of the test figures, by their names.
        gates: Verdicts of the experiment's gates.
    """

    name: str
    version: str | None
    alias: str
    run_id: str
    promoted: bool
    reasons: list[str] = field(default_factory=list)
    test: dict[str, float] = field(default_factory=dict)
    openings: list[Access] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    gates: list[GateResult] = field(default_factory=list)


@as_tracking_lost()
def promote(
    reference: str,
    name: str | None = None,
    alias: str = "champion",
    dry_run: bool = False,
    even_if_worse: bool = False,
    again: bool = False,
) -> Promotion:
    """Register the best finished run of a study, or a given run, and move the alias once the version is proven.

    In order: gates on the run, those of its own experiment included; the turn among all who promote to this model; the
    run is held against the one that the alias stands at, again; the model is packed and registered with the digests of
    its files; a fresh process without this project loads it from the registry and must predict the validation images as
    the run did; the sealed test split is evaluated, once for a run; tags and model card are written; the alias moves.
    A refusal takes the new version back, and so does the next promotion to this model where this one was killed.

    Args:
        reference: Study or run id.
        name: Registered model; the experiment file's name by default.
        alias: The alias to move.
        dry_run: Only say what would happen.
        even_if_worse: Promote although the alias stands at a better run.
        again: Open the test split although it was opened for the same study before.

    Raises:
        UserError: No such run, or the data file is gone, changed, or without a test split; or that was opened before.
        PromotionRefused: A gate said no; aliases and versions are as they were.
        OwnershipLost: This process was stopped for so long that another promotion went ahead.
    """
    client = connect()
    candidate = find_run(client, reference)
    config = run_config(client, candidate.run)
    model_name = name or config.name
    check_names(model_name, alias)
    _refuse_unfit(candidate)
    check_same_rows(candidate.run, config)
    if not has_test_split(config.data):
        raise DataError(
            f"{config.data.path or config.data.dataset}: has no test_images and test_labels, which promotion evaluates "
            "once; add the test split to the file, and promote again"
        )
    if not dry_run:
        revoke_dead(client, model_name)
    current = alias_version(client, model_name, alias)
    if (already := _already(client, candidate, model_name, alias, current)) is not None:
        return already
    opened, known = accesses(client, candidate.run), stored_test_metrics(client, candidate.run_id)
    own = judge_run(client, candidate, config, len(opened) + (not known))

    def judge(current: str | None) -> tuple[list[str], list[GateResult]]:
        return check_promotable(client, candidate, config, model_name, current, own, even_if_worse)

    said, verdicts = judge(current)
    if not known:
        check_unopened(candidate.run, opened, again)
    if dry_run:
        steps = [
            f"run {candidate.run_id} ({candidate.name}) would be registered as a new version of '{model_name}'",
            "a fresh process would load it and compare its predictions on the validation images with the run's",
            f"the test split would be evaluated (openings so far: {len(opened)})" if not known
            else f"the test figures of the opening on record would be used (openings so far: {len(opened)})",
            f"the alias '{alias}' would move from {'no version' if current is None else f'version {current}'} to it",
        ]  # fmt: skip
        return Promotion(model_name, None, alias, candidate.run_id, False, steps + said, openings=opened,
                         gates=verdicts)  # fmt: skip
    with queue_slot(client, model_name, candidate.run_id) as mine:
        # again, now that nobody else can move it: the one before may have promoted a better run, or this very one
        current = alias_version(client, model_name, alias)
        if (already := _already(client, candidate, model_name, alias, current)) is not None:
            return already
        _, verdicts = judge(current)
        return _promote(mine, candidate, config, alias, verdicts, judge, again)


def check_names(name: str, alias: str) -> None:
    """Refuse a registered model's name, or an alias, that could not stand in ``models:/NAME@ALIAS``.

    Raises:
        TrackingError: It says what is allowed.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,119}", name):
        raise TrackingError(
            f"--name {name!r}: not a name for a registered model; letters, digits, '_', '.', '-' and spaces are "
            "allowed, at most 120, the first a letter or digit"
        )
    if not re.fullmatch(r"(?![vV]\d+$|latest$)[A-Za-z][A-Za-z0-9_-]{0,99}", alias):
        raise TrackingError(
            f"--alias {alias!r}: not an alias; letters, digits, '_' and '-' are allowed, at most 100, the first a "
            "letter, and neither 'latest' nor 'v1' and the like"
        )


def _already(
    client: MlflowClient, candidate: Candidate, name: str, alias: str, current: str | None
) -> Promotion | None:
    version = None if current is None else client.get_model_version(name, current)
    if version is None or version.run_id != candidate.run_id:
        return None
    try:
        with digests.verified_copy(client, version):
            figures = stored_test_metrics(client, candidate.run_id)
            said, opened = [f"{alias} already is this run"], accesses(client, candidate.run)
            intervals = stored_intervals(client, candidate.run, "test", figures)
            return Promotion(name, current, alias, candidate.run_id, True, said, figures, opened, intervals)
    except TrackingError:
        return None  # changed, or without digests: packed again, which is what its refusal tells the user to do


def _promote(
    mine: QueueSlot,
    candidate: Candidate,
    config: Config,
    alias: str,
    verdicts: list[GateResult],
    judge: Judge,
    again: bool,
) -> Promotion:
    client, name, version = mine.client, mine.name, mine.version
    run_id, threshold = candidate.run_id, candidate.run.data.metrics["threshold"]
    data = load_train_val(config.data)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / mine.folder
        model = trained_model(client, candidate.run, config)
        package.build(model, config.data.image_size, data.channels, data.classes, threshold, path)
        client.set_model_version_tag(name, version, digests.DIGESTS, digests.digests_tag(digests.folder_digests(path)))
        client.log_artifacts(run_id, str(path), mine.folder)
    difference, compared = _verify(mine, candidate, config)
    test = stored_test_metrics(client, run_id)
    if not test:
        test = evaluate_run(client, candidate.run, config, "test", again=again, command="promote").metrics
    opened, intervals = accesses(client, candidate.run), stored_intervals(client, candidate.run, "test", test)
    known = intervals | stored_intervals(client, candidate.run, "val", candidate.run.data.metrics)
    for key, value in version_tags(candidate, test, difference, opened).items():
        client.set_model_version_tag(name, version, key, value)

    def record(verdicts: list[GateResult]) -> None:
        for key, value in gate_tags(verdicts).items():
            client.set_model_version_tag(name, version, key, value)
        card = model_card(candidate, config, data.classes, test, difference, opened, verdicts, known)
        client.update_model_version(name, version, description=card)
        client.log_text(run_id, card, "model_card.md")

    record(verdicts)
    said, verdicts = _move(mine, alias, verdicts, judge, record)
    mine.close()
    done = [f"predictions of the registered model equal the run's on {compared} validation images "
            f"(largest difference {difference:.1e})"]  # fmt: skip
    return Promotion(name, version, alias, run_id, True, done + said, test, opened, intervals, verdicts)


def _move(
    mine: QueueSlot, alias: str, recorded: list[GateResult], judge: Judge, record: Callable[[list[GateResult]], None]
) -> tuple[list[str], list[GateResult]]:
    """Compare and set. Who sets aliases without taking turns (MLflow's pages, other tools) makes it decide again."""
    client, name = mine.client, mine.name
    while True:
        current = alias_version(client, name, alias)
        said, verdicts = judge(current)
        if verdicts != recorded:
            record(recorded := verdicts)
        client.set_model_version_tag(name, mine.version, previous_tag(alias), current or "")
        mine.check()
        if alias_version(client, name, alias) != current:
            continue
        client.set_registered_model_alias(name, alias, mine.version)
        if alias_version(client, name, alias) == mine.version:
            return said, verdicts


def previous_tag(alias: str) -> str:
    """Version tag: the version that the alias stood at before; empty where there was none."""
    return f"previous_{alias}"


def _refuse_unfit(candidate: Candidate) -> None:
    run, reasons = candidate.run, []
    if run.info.status != "FINISHED":
        reasons.append(f"the run is {run.info.status}, not FINISHED")
    if run.data.tags.get("trial_state", "COMPLETE") != "COMPLETE":
        reasons.append(f"its trial is {run.data.tags['trial_state']}, not COMPLETE")
    if FOLDS in run.data.tags:
        reasons.append(why_no_model(run))
    for metric in ("val_auc", "threshold"):
        if not math.isfinite(run.data.metrics.get(metric, math.nan)):
            reasons.append(f"{metric} is missing or not finite")
    if reasons:
        raise PromotionRefused(reasons)


def _verify(mine: QueueSlot, candidate: Candidate, config: Config) -> tuple[float, int]:
    """Largest difference in probability on the validation images that the run has predictions of, and how many those
    are; refuses more than the tolerance."""
    client = mine.client
    # the validation rows of an ensemble of folds were scored by one member each, not by what is registered
    split = "served" if candidate.run.data.tags.get("members_are") == "folds" else "val"
    table = stored_predictions(client, candidate.run, split)
    stored, images = table["probability_tta"].to_numpy(), stored_validation_images(config.data, table["row"].to_numpy())
    with digests.verified_copy(client, client.get_model_version(mine.name, mine.version)) as folder:
        found = package.predict_in_fresh_process(folder, images)
    if found.shape != stored.shape:
        raise PromotionRefused([f"the registered model gives {found.shape} probabilities for {stored.shape} images"])
    difference = float(np.abs(found - stored).max())
    if not difference <= TOLERANCE:
        raise PromotionRefused(
            [
                f"the registered model's predictions differ from the run's by up to {difference:.2g} on the "
                f"{len(stored)} validation images (allowed: {TOLERANCE:g})"
            ]
        )
    return difference, len(stored)
