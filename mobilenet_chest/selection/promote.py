"""Promotion: the best run becomes a registered version, is proven to predict as the run did, and takes the alias."""

from __future__ import annotations

import math
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import has_test_split, load_train_val, stored_validation_images
from mobilenet_chest.errors import DataError, PromotionRefused
from mobilenet_chest.selection import package
from mobilenet_chest.selection.evaluate import OPENINGS, evaluate_run, same_rows
from mobilenet_chest.selection.runs import (
    SCORED_ON,
    Candidate,
    find_one,
    run_config,
    stored_predictions,
    trained_model,
)
from mobilenet_chest.tracking.store import connect, sqlite_path, tracking_uri

TOLERANCE = 1e-4
"""Largest difference in probability between a run's stored predictions and the registered model's: the exported
program rounds float32 sums in another order, which is about 1e-6."""


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
    """

    name: str
    version: str | None
    alias: str
    run_id: str
    promoted: bool
    reasons: list[str] = field(default_factory=list)
    test: dict[str, float] = field(default_factory=dict)


def promote(reference: str, name: str | None = None, alias: str = "champion", dry_run: bool = False) -> Promotion:
    """Register the best finished run of a study, or a given run, and move the alias once the version is proven.

    In order: gates on the run; the model is packed and registered; a fresh process without this project loads it
    from the registry and must predict the validation images as the run did; the sealed test split is evaluated, once
    for a run; tags and model card are written; the alias moves. A refusal takes the new version back.

    Args:
        reference: Study or run id.
        name: Registered model; the experiment file's name by default.
        alias: The alias to move.
        dry_run: Only say what would happen.

    Raises:
        UserError: No such run, or the data file is gone, changed, or without a test split.
        PromotionRefused: A gate said no; aliases and versions are as they were.
    """
    client = connect()
    candidate = find_one(client, reference)
    config = run_config(client, candidate.run)
    model_name = name or config.name
    _refuse_unfit(candidate)
    same_rows(candidate.run, config)
    if not has_test_split(config.data):
        raise DataError(
            f"{config.data.path or config.data.dataset}: has no test_images and test_labels, which promotion evaluates "
            "once; add the test split to the file, and promote again"
        )
    current = _alias_version(client, model_name, alias)
    if current is not None and client.get_model_version(model_name, current).run_id == candidate.run_id:
        return Promotion(model_name, current, alias, candidate.run_id, True, [f"{alias} already is this run"],
                         _test_figures(client, candidate.run_id))  # fmt: skip
    if dry_run:
        opened = int(candidate.run.data.tags.get(OPENINGS, 0))
        steps = [
            f"run {candidate.run_id} ({candidate.name}) would be registered as a new version of '{model_name}'",
            "a fresh process would load it and compare its predictions on the validation images with the run's",
            f"the test split would be evaluated (openings so far: {opened})" if not opened
            else f"the test figures of the opening on record would be used (openings so far: {opened})",
            f"the alias '{alias}' would move from {'no version' if current is None else f'version {current}'} to it",
        ]  # fmt: skip
        return Promotion(model_name, None, alias, candidate.run_id, False, steps)
    return _promote(client, candidate, config, model_name, alias)


def _promote(client: MlflowClient, candidate: Candidate, config: Config, name: str, alias: str) -> Promotion:
    # a folder for each promotion: taking back a refused one must not touch what an earlier version points at
    model_folder = f"model-{secrets.token_hex(4)}"
    run_id, threshold = candidate.run_id, candidate.run.data.metrics["threshold"]
    data = load_train_val(config.data)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / model_folder
        model = trained_model(client, candidate.run, config)
        package.build(model, config.data.image_size, data.channels, data.classes, threshold, path)
        client.log_artifacts(run_id, str(path), model_folder)
    is_new = _create_registered_model(client, name)
    version = str(client.create_model_version(name, f"runs:/{run_id}/{model_folder}", run_id=run_id).version)
    try:
        difference, compared = _verify(client, candidate, config, f"models:/{name}/{version}")
        test = _test_figures(client, run_id)
        if not test:
            test = evaluate_run(client, candidate.run, config, "test").metrics
        run = client.get_run(run_id)
        for key, value in _version_tags(candidate, test, difference, run.data.tags[OPENINGS]).items():
            client.set_model_version_tag(name, version, key, value)
        card = model_card(candidate, config, data.classes, test, difference, run.data.tags[OPENINGS])
        client.update_model_version(name, version, description=card)
        client.log_text(run_id, card, "model_card.md")
        client.set_registered_model_alias(name, alias, version)
    except BaseException:
        client.delete_model_version(name, version)
        if is_new:
            client.delete_registered_model(name)
        get_artifact_repository(candidate.run.info.artifact_uri).delete_artifacts(model_folder)
        raise
    done = [f"predictions of the registered model equal the run's on {compared} validation images "
            f"(largest difference {difference:.1e})"]  # fmt: skip
    return Promotion(name, version, alias, run_id, True, done, test)


def _refuse_unfit(candidate: Candidate) -> None:
    run, reasons = candidate.run, []
    if run.info.status != "FINISHED":
        reasons.append(f"the run is {run.info.status}, not FINISHED")
    if run.data.tags.get("trial_state", "COMPLETE") != "COMPLETE":
        reasons.append(f"its trial is {run.data.tags['trial_state']}, not COMPLETE")
    for metric in ("val_auc", "threshold"):
        if not math.isfinite(run.data.metrics.get(metric, math.nan)):
            reasons.append(f"{metric} is missing or not finite")
    if reasons:
        raise PromotionRefused(reasons)


def _verify(client: MlflowClient, candidate: Candidate, config: Config, model_uri: str) -> tuple[float, int]:
    """Largest difference in probability on the validation images that the run has predictions of, and how many those
    are; refuses more than the tolerance."""
    # the validation rows of an ensemble of folds were scored by one member each, not by what is registered
    split = "served" if candidate.run.data.tags.get("members_are") == "folds" else "val"
    table = stored_predictions(client, candidate.run, split)
    stored, images = table["probability_tta"].to_numpy(), stored_validation_images(config.data, table["row"].to_numpy())
    found = package.predict_in_fresh_process(model_uri, images, _absolute_uri())
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


def _absolute_uri() -> str:
    """The tracking address for a process in another folder."""
    uri = tracking_uri()
    return f"sqlite:///{sqlite_path(uri).absolute()}" if urlsplit(uri).scheme == "sqlite" else uri


def _test_figures(client: MlflowClient, run_id: str) -> dict[str, float]:
    """What a finished opening of the test split left on the run; empty if there was none."""
    run = client.get_run(run_id)
    if "test_digest" not in run.data.tags:
        return {}
    return {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}


def _version_tags(candidate: Candidate, test: dict[str, float], difference: float, openings: str) -> dict[str, str]:
    run = candidate.run
    metrics = {name: value for name, value in run.data.metrics.items() if name.startswith(("val_", "threshold"))}
    tags = {name: f"{value:.6g}" for name, value in (metrics | test).items()}
    kept = ("model", "weights", "dataset", "config_digest", "data_digest", "git_commit", "git_dirty", "study", "trial")
    tags |= {name: run.data.tags[name] for name in kept if name in run.data.tags}
    return tags | {"run_id": candidate.run_id, OPENINGS: openings, "verified_difference": f"{difference:.3g}"}


def model_card(
    candidate: Candidate,
    config: Config,
    classes: tuple[str, str],
    test: dict[str, float],
    difference: float,
    openings: str,
) -> str:
    """The version's description, in Markdown: what it is, on what it was measured, and what it must not be used for."""
    run, metrics = candidate.run, candidate.run.data.metrics
    what = f"{run.data.tags.get('model', config.model.name)} ({config.model.weights} weights)"
    if "members" in run.data.tags:
        kind = {"ensemble": "An ensemble", "soup": "A soup"}[run.data.tags["kind"]]
        what = f"{kind} of {len(run.data.tags['members'].split(','))} runs of {what}"
    scored = run.data.tags.get(SCORED_ON, "chose epoch and threshold")

    def figures(prefix: str) -> str:
        names = ("auc_tta", "accuracy_tta_threshold", "sensitivity", "specificity")
        return " | ".join(f"{metrics.get(f'{prefix}_{n}', test.get(f'{prefix}_{n}', math.nan)):.4f}" for n in names)

    return f"""# {config.name}

{what} tells **{classes[1]}** (label 1) from **{classes[0]}** (label 0).
Input: uint8 images of any size, shape (n, height, width) or (n, height, width, 3) for colour. Output: probability of
{classes[1]}, label name, label. Resize to {config.data.image_size}×{config.data.image_size}, normalisation, mirror
averaging and the threshold {metrics["threshold"]:.2f} are inside.

| split | AUC | accuracy | sensitivity | specificity |
|---|---|---|---|---|
| validation ({scored}) | {figures("val")} |
| test (openings: {openings}) | {figures("test")} |

Cross-fitted validation accuracy: {metrics["val_accuracy_crossfit"]:.4f}. Run `{candidate.run_id}`, experiment digest
`{run.data.tags.get("config_digest")}`, data digest `{run.data.tags.get("data_digest")}`, commit
`{run.data.tags.get("git_commit")}` (uncommitted changes: {run.data.tags.get("git_dirty")}).

Checked at promotion: loaded from the registry in a fresh process, its probabilities on the validation images equal
the run's to within {difference:.1e}.

A research model, measured on {config.data.dataset} only: not a medical device, not for diagnosis.
"""


def _alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None  # no such model, or no such alias of it
        raise


def _create_registered_model(client: MlflowClient, name: str) -> bool:
    """Whether it was created: a refusal takes it back only then."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True
