"""The parent of a compressed network: the finished run whose weights it begins with."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor

from mobilenet_chest.config import Config, ModelConfig
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, trained_network
from mobilenet_chest.tracking.runs import find_run, get_run, short_id
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
    return {
        tags.KIND: tags.COMPRESSED_KIND,
        tags.COMPRESSION: settings.method,
        f"{tags.COMPRESSION}_ratio": f"{settings.ratio:g}",
    }


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
        name = f"{config.name}, {config.compress.method} {config.compress.ratio:g}"
        parent = get_run(connect(), str(config.compress.parent)).data.tags
        own |= {tags.STUDY: parent[tags.STUDY]} if tags.STUDY in parent else {}
    further = {name: value for name, value in own.items() if name != tags.KIND} | dict(labels or {})
    return MlflowTracker(own[tags.KIND], name=name, tags=further, parent=config.compress.parent, resume=resume)


def with_parent(config: Config) -> Config:
    """Return the experiment with its parent's run id and the digest of the parent's weights, where it has a parent.

    Raises:
        TrackingError: There is no such run, or it has no network to make smaller.
        ConfigError: The parent is of another architecture.
    """
    if not config.compress.active or config.compress.weights_sha256 is not None:
        return config
    client = connect()
    run = find_run(client, config.compress.parent or "").run
    found = {"parent": run.info.run_id, "weights_sha256": state_digest(_weights(client, run, config))}
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
    state = _weights(client, run, config)
    if (digest := state_digest(state)) != settings.weights_sha256:
        raise ConfigError(
            [
                f"compress.weights_sha256: {settings.weights_sha256}, but run {short_id(run.info.run_id)} has weights "
                f"with {digest}; leave the field out to begin with these"
            ]
        )
    return state


def _weights(client: MlflowClient, run: Run, config: Config) -> dict[str, Tensor]:
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
    return model.state_dict()


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
