"""Promotion: the best run becomes a registered version, is proven to predict as the run did, and takes the alias."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.data_file import has_test_split
from mobilenet_chest.data.dataset import load_train_val, stored_validation_images
from mobilenet_chest.errors import DataError, PromotionRefused, TrackingError
from mobilenet_chest.registry import digests, package
from mobilenet_chest.registry.card import model_card, version_tags
from mobilenet_chest.registry.classifier import file_metadata, file_preparation, whole_model_predictions, write_onnx
from mobilenet_chest.registry.gates import GateResult, check_promotable, gate_tags, judge_run
from mobilenet_chest.registry.promotion import Promotion, check_names, previous_tag
from mobilenet_chest.registry.queue import QueueSlot, alias_version, queue_slot, revoke_dead
from mobilenet_chest.selection.evaluate import check_same_rows, evaluate_run, stored_intervals, stored_test_metrics
from mobilenet_chest.selection.ledger import accesses, check_unopened
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, why_no_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate, find_run, short_id
from mobilenet_chest.tracking.store import as_tracking_lost, connect

TOLERANCE = 1e-4
"""Largest difference allowed in probability between a run's stored predictions and the registered model. ONNX Runtime
rounds float32 sums in another order, which changes about 1e-6."""


Judge = Callable[[str | None], tuple[list[str], list[GateResult]]]
"""Judges the run against the version that the alias points to, as :func:`check_promotable` does; it may refuse."""


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

    1. The gates judge the run, and it is compared with the champion.
    2. The promotion queues behind all others to this model; then the comparison is made again.
    3. The model is packed and registered with the digests of its files. A fresh process without this project loads it
       from the registry, and must predict the validation images as the run did.
    4. The sealed test split is evaluated, once for a run. Tags and model card are written. The alias moves.

    A refusal deletes the new version. Where the process was killed, the next promotion to this model deletes it.

    Args:
        reference: Study or run id.
        name: Registered model; by default the experiment file's name.
        alias: The alias to move.
        dry_run: Only report what would happen.
        even_if_worse: Promote although the alias points to a better run, or the run's trial violates a constraint of
            its study.
        again: Open the test split although it was opened for the same study before.

    Raises:
        UserError: There is no such run; or the data file is gone, changed, or without a test split; or the test split
            was opened before.
        PromotionRefused: A gate failed; aliases and versions are as they were.
        OwnershipLost: This process was stopped for so long that another promotion went ahead.
    """
    client = connect()
    candidate = find_run(client, reference)
    config = run_config(client, candidate.run)
    model_name = name or config.name
    check_names(model_name, alias)
    _check_finished(candidate, even_if_worse)
    _check_data(candidate, config)
    if not dry_run:
        revoke_dead(client, model_name)
    current = alias_version(client, model_name, alias)
    if (promotion := _already_promoted(client, candidate, model_name, alias, current)) is not None:
        return promotion
    earlier, test = accesses(client, candidate.run), stored_test_metrics(client, candidate.run_id)
    run_results = judge_run(client, candidate, config, len(earlier) + (not test))

    def judge(current: str | None) -> tuple[list[str], list[GateResult]]:
        return check_promotable(client, candidate, config, model_name, current, run_results, even_if_worse)

    comparison, results = judge(current)
    if not test:
        check_unopened(candidate.run, earlier, again)
    if dry_run:
        steps = _planned_steps(candidate, model_name, alias, current, len(earlier), bool(test))
        return Promotion(model_name, None, alias, candidate.run_id, False, steps + comparison, openings=earlier,
                         gates=results)  # fmt: skip
    with queue_slot(client, model_name, candidate.run_id) as slot:
        return _promote(slot, candidate, config, alias, judge, again)


def _check_finished(candidate: Candidate, even_if_worse: bool) -> None:
    run, reasons = candidate.run, []
    if run.info.status != "FINISHED":
        reasons.append(f"the run is {run.info.status}, not FINISHED")
    if run.data.tags.get(tags.TRIAL_STATE, "COMPLETE") != "COMPLETE":
        reasons.append(f"its trial is {run.data.tags[tags.TRIAL_STATE]}, not COMPLETE")
    verdict = run.data.tags.get(tags.CONSTRAINTS, "")
    if verdict.startswith(tags.VIOLATED) and not even_if_worse:
        reasons.append(
            f"its trial violates a constraint of its study: {verdict.removeprefix(tags.VIOLATED)}; promote the study, "
            "whose best meets them all, or add --even-if-worse"
        )
    if tags.FOLDS in run.data.tags:
        reasons.append(why_no_model(run))
    for metric in ("val_auc", "threshold"):
        if not math.isfinite(metrics_of(run).get(metric, math.nan)):
            reasons.append(f"{metric} is missing or not finite")
    if reasons:
        raise PromotionRefused(reasons)


def _check_data(candidate: Candidate, config: Config) -> None:
    check_same_rows(candidate.run, config)
    if not has_test_split(config.data):
        raise DataError(
            f"{config.data.path or config.data.title}: has no rows in test_images and test_labels, which promotion "
            "evaluates once; add the test split to the file, and promote again"
        )


def _already_promoted(
    client: MlflowClient, candidate: Candidate, name: str, alias: str, current: str | None
) -> Promotion | None:
    """Return the promotion that made the current version, where that is of this run and its files are unchanged."""
    version = None if current is None else client.get_model_version(name, current)
    if version is None or version.run_id != candidate.run_id:
        return None
    try:
        with digests.verified_copy(client, version):
            test = stored_test_metrics(client, candidate.run_id)
            reasons = [f"the alias '{alias}' already points to this run"]
            intervals = stored_intervals(client, candidate.run, "test", test)
            return Promotion(name, current, alias, candidate.run_id, True, reasons, test,
                             accesses(client, candidate.run), intervals)  # fmt: skip
    except TrackingError:
        return None  # changed, or without digests: promoting again is what its refusal tells the user to do


def _planned_steps(
    candidate: Candidate, name: str, alias: str, current: str | None, earlier: int, tested: bool
) -> list[str]:  # fmt: skip
    """Return what a promotion would do, a step a line."""
    test = "the stored test metrics would be used" if tested else "the test split would be opened and evaluated"
    before = "no version" if current is None else f"version {current}"
    return [
        f"run {short_id(candidate.run_id)} ({candidate.name}) would be registered as a new version of '{name}'",
        "a fresh process would load it and compare its predictions on the validation images with the run's",
        f"{test} (accesses so far: {earlier})",
        f"the alias '{alias}' would move from {before} to it",
    ]


def _promote(
    slot: QueueSlot, candidate: Candidate, config: Config, alias: str, judge: Judge, again: bool
) -> Promotion:  # fmt: skip
    """Fill the version of the queue slot, prove it, and move the alias to it."""
    client, name, version, run_id = slot.client, slot.name, slot.version, candidate.run_id
    # while this promotion waited, an earlier one may have moved the alias: to a better run, or to this very run
    current = alias_version(client, name, alias)
    if (promotion := _already_promoted(client, candidate, name, alias, current)) is not None:
        return promotion
    _, results = judge(current)
    _pack(slot, candidate, config)
    difference, compared = _verify(slot, candidate, config)
    test = stored_test_metrics(client, run_id)
    if not test:
        test = evaluate_run(client, candidate.run, config, "test", again=again, command="promote").metrics
    opened, intervals = accesses(client, candidate.run), stored_intervals(client, candidate.run, "test", test)
    val_intervals = stored_intervals(client, candidate.run, "val", metrics_of(candidate.run))
    classes, preparation = load_train_val(config.data).classes, file_preparation(config.data)
    for key, value in version_tags(candidate, test, difference, opened).items():
        client.set_model_version_tag(name, version, key, value)

    def record(results: list[GateResult]) -> None:
        for key, value in gate_tags(results).items():
            client.set_model_version_tag(name, version, key, value)
        card = model_card(
            candidate, config, classes, preparation, test, difference, opened, results, intervals | val_intervals
        )
        client.update_model_version(name, version, description=card)
        client.log_text(run_id, card, "model_card.md")

    record(results)
    comparison, results = _move_alias(slot, alias, results, judge, record)
    slot.complete()
    verified = (
        f"predictions of the registered model equal the run's on {compared} validation images (largest difference "
        f"{difference:.1e})"
    )
    return Promotion(name, version, alias, run_id, True, [verified, *comparison], test, opened, intervals, results)


def _pack(slot: QueueSlot, candidate: Candidate, config: Config) -> None:
    """Write the model folder, put its digests into the registry, and upload it."""
    client, run = slot.client, candidate.run
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / slot.folder
        network, metadata = Path(folder) / "network.onnx", file_metadata(client, run, config)
        write_onnx(client, run, config, metadata, network)
        package.build(network, metadata, path)
        file_digests = digests.digests_tag(digests.folder_digests(path))
        client.set_model_version_tag(slot.name, slot.version, tags.FILE_DIGESTS, file_digests)
        client.log_artifacts(candidate.run_id, str(path), slot.folder)


def _verify(slot: QueueSlot, candidate: Candidate, config: Config) -> tuple[float, int]:
    """Compare the registered model's probabilities with the run's on the validation images.

    Returns:
        Largest difference, and number of images.

    Raises:
        PromotionRefused: The difference exceeds :data:`TOLERANCE`.
    """
    client = slot.client
    table = whole_model_predictions(client, candidate.run)
    stored, images = table["probability_tta"].to_numpy(), stored_validation_images(config.data, table["row"].to_numpy())
    with digests.verified_copy(client, client.get_model_version(slot.name, slot.version)) as folder:
        served = package.predict_in_fresh_process(folder, images)
    if served.shape != stored.shape:
        raise PromotionRefused([f"the registered model gives {served.shape} probabilities for {stored.shape} images"])
    difference = float(np.abs(served - stored).max())
    if not difference <= TOLERANCE:
        raise PromotionRefused(
            [
                f"the registered model's predictions differ from the run's by up to {difference:.2g} on the "
                f"{len(stored)} validation images (allowed: {TOLERANCE:g})"
            ]
        )
    return difference, len(stored)


def _move_alias(
    slot: QueueSlot,
    alias: str,
    recorded: list[GateResult],
    judge: Judge,
    record: Callable[[list[GateResult]], None],
) -> tuple[list[str], list[GateResult]]:
    """Move the alias by compare and set, and return the final comparison and gate results.

    Tools that do not queue (MLflow's pages, scripts) may move the alias at any time: then the run is judged again.
    """
    client, name = slot.client, slot.name
    while True:
        current = alias_version(client, name, alias)
        comparison, results = judge(current)
        if results != recorded:
            record(recorded := results)
        client.set_model_version_tag(name, slot.version, previous_tag(alias), current or "")
        slot.check_held()
        if alias_version(client, name, alias) != current:
            continue
        client.set_registered_model_alias(name, alias, slot.version)
        if alias_version(client, name, alias) == slot.version:
            return comparison, results
