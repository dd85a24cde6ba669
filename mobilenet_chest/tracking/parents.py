"""The parent of a compressed network: the finished run whose weights it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor

from mobilenet_chest.config import Config, ModelConfig
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.pruning_target import find_ratio
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, trained_network
from mobilenet_chest.tracking.runs import find_run, full_id, get_run, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.features import state_digest

MAY_DIFFER = ("weights", "dropout", "drop_path")
"""Fields of ``model`` that say nothing of the network's layers."""


def training_labels(config: Config) -> dict[str, str]:
    """Return the tags that say what a single training of an experiment is: its kind, and how it compresses."""
    if not config.compress.active:
        return {tags.KIND: tags.TRAIN_KIND}
    settings = config.compress
    labels = {tags.KIND: tags.COMPRESSED_KIND, tags.COMPRESSION: settings.method}
    if settings.target.given:
        # the ratio that was measured to reach it is no part of what the training is, and another time it is another
        return labels | {f"{tags.COMPRESSION}_target": str(settings.target)}
    return labels if settings.quantizes else labels | {f"{tags.COMPRESSION}_ratio": f"{settings.share:g}"}


def training_tracker(
    config: Config, resume: str | None = None, labels: Mapping[str, str] | None = None
) -> MlflowTracker:
    """Return the tracker of a single training; the run of a compressed network is nested under its parent's.

    It belongs to its parent's study, whose accesses to the test split count for it.

    Args:
        config: As :func:`with_parent` returns it.
        resume: Id of a run to continue.
        labels: Further tags.
    """
    own = training_labels(config)
    name = None
    if config.compress.active:
        settings = config.compress
        share = "" if settings.quantizes else f" {settings.target if settings.target.given else f'{settings.share:g}'}"
        name = f"{config.name}, {settings.method}{share}"
        if settings.reached is not None:
            own |= {
                f"{tags.COMPRESSION}_ratio": f"{settings.share:g}",
                f"{tags.COMPRESSION}_reached": f"{settings.reached:.4g}",
            }
        parent = get_run(connect(), str(config.compress.parent)).data.tags
        own |= {tags.STUDY: parent[tags.STUDY]} if tags.STUDY in parent else {}
    further = {name: value for name, value in own.items() if name != tags.KIND} | dict(labels or {})
    return MlflowTracker(own[tags.KIND], name=name, tags=further, parent=config.compress.parent, resume=resume)


def with_parent(config: Config) -> Config:
    """Return the experiment with what is filled in when its run begins, where it has a parent.

    That is the parent's run id, the digest of its weights, and the ratio that reaches a target.

    Raises:
        TrackingError: There is no such run, or it has no network to make smaller.
        ConfigError: The parent is of another architecture; or it cannot be pruned to the target.
        MissingExtraError: torch-pruning is needed and not installed.
    """
    settings = config.compress
    searched = settings.target.given and settings.reached is None
    if not settings.active or not (searched or settings.weights_sha256 is None):
        return config
    client = connect()
    run = find_run(client, settings.parent or "").run
    network = _network(client, run, config)
    found: dict[str, Any] = {"parent": run.info.run_id}
    if not settings.quantizes and "compress.method" not in config.search:  # not every method has one
        found["ratio"] = settings.share
    if settings.weights_sha256 is None:  # a given one is checked when the weights are read
        found["weights_sha256"] = state_digest(network.state_dict())
    if searched:
        found["ratio"], found["reached"] = find_ratio(network, config.data.image_size, settings.target)
    return config.model_copy(update={"compress": settings.model_copy(update=found)})


def as_begun(config: Config, run_id: str) -> Config:
    """Return the experiment with the ratio that an unfinished run has begun with: measured again, it is another one.

    Args:
        config: As :func:`with_parent` returns it.
        run_id: A run of the same experiment, whole or its beginning.
    """
    if not config.compress.target.given:
        return config
    client = connect()
    begun = run_config(client, get_run(client, full_id(client, run_id))).compress
    found = {"ratio": begun.ratio, "reached": begun.reached}
    return config.model_copy(update={"compress": config.compress.model_copy(update=found)})


def parent_weights(config: Config) -> dict[str, Tensor] | None:
    """Return the state dict of the parent's network; ``None`` where the experiment compresses nothing.

    Args:
        config: As :func:`with_parent` returns it.

    Raises:
        TrackingError: The run is gone, or was validated on other rows than the experiment's.
        ConfigError: Its weights are not those that the experiment was begun with.
    """
    settings = config.compress
    if not settings.active:
        return None
    client = connect()
    run = find_run(client, settings.parent or "").run
    _check_rows(run, config)
    state = _network(client, run, config).state_dict()
    if (digest := state_digest(state)) != settings.weights_sha256:
        raise ConfigError(
            [
                f"compress.weights_sha256: {settings.weights_sha256}, but run {short_id(run.info.run_id)} has weights "
                f"with {digest}; leave the field out to begin with these"
            ]
        )
    return state


def _network(client: MlflowClient, run: Run, config: Config) -> Classifier:
    if run.info.status != "FINISHED":
        raise TrackingError(
            f"compress.parent: run {short_id(run.info.run_id)} is {run.info.status}, not FINISHED; choose another"
        )
    parent_config = run_config(client, run)
    model = trained_network(client, run, parent_config)
    if not isinstance(model, Classifier):
        raise TrackingError(
            f"compress.parent: run {short_id(run.info.run_id)} is no single network but "
            f"{run.data.tags.get(tags.KIND)}; choose one of its members"
        )
    _check_architecture(run, parent_config.model, config.model)
    return model


def _check_architecture(run: Run, of_parent: ModelConfig, own: ModelConfig) -> None:
    differing = [
        f"model.{name}: {value!r}, but compress.parent {short_id(run.info.run_id)} has {getattr(of_parent, name)!r}; "
        "give the parent's"
        for name, value in own
        if name not in MAY_DIFFER and value != getattr(of_parent, name)
    ]
    if differing:
        raise ConfigError(differing)


def _check_rows(run: Run, config: Config) -> None:
    digest = load_train_val(config.data).digest
    if run.data.tags.get(tags.DATA_DIGEST) != digest:
        raise TrackingError(
            f"compress.parent: run {short_id(run.info.run_id)} was trained and validated on rows with digest "
            f"{run.data.tags.get(tags.DATA_DIGEST)}, the experiment has {digest}; give the parent's data section"
        )
