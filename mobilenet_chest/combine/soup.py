"""Averages of the weights of fine-tuned networks that share one stage-1 start (Wortsman et al., Model soups, 2022)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.combine.ensemble import Combined
from mobilenet_chest.combine.members import Member, load_members
from mobilenet_chest.config import Config, best_direction
from mobilenet_chest.data.dataset import Split
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import artifact, trained_model
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tags import SCORED_ON
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.epoch import recompute_batchnorm
from mobilenet_chest.training.features import state_digest
from mobilenet_chest.training.predict import predict, predict_logits
from mobilenet_chest.training.stages import Prepared, build_setup, prepare

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Kitchen:
    """What averages are tried with: the network they go into, and the half of val that chooses."""

    prepared: Prepared
    config: Config
    half: NDArray[np.intp]

    def model(self, states: Sequence[State]) -> Classifier:
        """The average as a network; BatchNorm's statistics, which are nobody's average, come from the training rows."""
        model = self.prepared.model
        model.load_state_dict(average(states))
        model.freeze(0)
        model.fixed_statistics = self.config.stage2.batchnorm == "frozen"
        if len(states) > 1:
            recompute_batchnorm(model, build_setup(self.config, self.prepared, self.config.data.image_size))
        return model.eval()

    def score(self, states: Sequence[State]) -> float:
        """Of the average on that half, by the experiment's metric; more is better."""
        images, labels = self.prepared.data.val.images[self.half], self.prepared.data.val.labels.numpy()[self.half]
        metric = self.config.evaluation.metric
        value = epoch_metrics(labels, predict_logits(self.model(states), images).double().numpy())[metric]
        return -value if best_direction(metric) == "minimize" else value


def soup(candidates: Sequence[Candidate]) -> Combined:
    """The better of the uniform and the greedy average, chosen on one half of val, as a run with figures of the other.

    Greedy: from the best on, each is added if the average does not get worse by it.

    Raises:
        UserError: The runs do not start stage 2 from the same weights, or are of different data or architecture.
        TrackingError: A checkpoint is gone.
    """
    parts = load_members(candidates)
    client, config = connect(), parts[0].config
    _share_a_start(parts)
    states = [trained_model(client, part.run, part.config).state_dict() for part in parts]
    prepared = prepare(config.model_copy(update={"model": config.model.model_copy(update={"weights": "none"})}))
    choosing, reporting = stratified_halves(prepared.data.val, config.seed)
    kitchen = _Kitchen(prepared, config, choosing)
    alone = [kitchen.score([state]) for state in states]
    order = sorted(range(len(states)), key=lambda index: -alone[index])
    greedy, best = [order[0]], alone[order[0]]
    for index in order[1:]:
        found = kitchen.score([states[i] for i in [*greedy, index]])
        if found >= best:
            greedy, best = [*greedy, index], found
    chosen = greedy if best >= kitchen.score(states) else order
    val = prepared.data.val
    rest = Split(val.images[reporting], val.labels[reporting], val.rows[reporting], val.digest)
    strongest = predict(kitchen.model([states[order[0]]]), rest, torch.device("cpu"))
    model = kitchen.model([states[index] for index in chosen])
    predictions = predict(model, rest, torch.device("cpu"))
    metrics = selection_metrics(predictions, config.evaluation, config.seed) | {
        "parameters": float(parameter_counts(model)[0]),
        "train_seconds": sum(part.run.data.metrics["train_seconds"] for part in parts),
        "soup_size": float(len(chosen)),
        "best_member_val_auc": selection_metrics(strongest, config.evaluation, config.seed)["val_auc"],
    }
    taken = [parts[index] for index in chosen]
    tags = {
        "members": ",".join(part.run_id for part in taken),
        "soup": "greedy" if chosen is greedy else "uniform",
        SCORED_ON: "the half of val that did not choose",
    }
    tracker = MlflowTracker("soup", name=f"{config.name}, soup of {len(chosen)}", tags=tags)
    with tracker.run(config, prepared.data), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
        folder = Path(name)
        tracker.log_metrics(metrics, step=1)
        predictions_table(predictions).to_parquet(folder / "val.parquet", index=False)
        tracker.log_file(folder / "val.parquet", "predictions")
        checkpoint.save(folder / "best.pt", {"model": model.state_dict(), "threshold": metrics["threshold"]})
        tracker.log_file(folder / "best.pt", "checkpoints")
    assert tracker.run_id is not None
    intervals = metric_intervals("val", metrics, RunPredictions(predictions, metrics, config.evaluation, config.seed))
    return Combined(tracker.run_id, tuple(part.run_id for part in taken), metrics, intervals)


def average(states: Sequence[State]) -> dict[str, Tensor]:
    """Means of weights and statistics, of each by its name; counters are the first one's."""
    return {
        name: value.clone()
        if len(states) == 1 or not value.is_floating_point()
        else torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }


def stratified_halves(val: Split, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two stratified halves of the validation rows, each in ascending order: to choose on, and to report."""
    from sklearn.model_selection import train_test_split

    parts = train_test_split(np.arange(len(val)), test_size=0.5, stratify=val.labels.numpy(), random_state=seed)
    return np.sort(parts[0]), np.sort(parts[1])


def _share_a_start(parts: Sequence[Member]) -> None:
    client, first = connect(), parts[0]
    starts = []
    for part in parts:
        model, own = (
            member.config.model.model_copy(update={"dropout": 0, "drop_path": None}) for member in (first, part)
        )
        if model != own or part.run.data.tags.get("data_digest") != first.run.data.tags.get("data_digest"):
            raise UserError(
                f"runs {first.run_id} and {part.run_id} are of different models or data: their weights have no average"
            )
        with artifact(client, part.run, "checkpoints/stage1_best.pt") as path:
            starts.append(state_digest(checkpoint.load(path)["model"]))
        if starts[-1] != starts[0]:
            raise UserError(
                f"runs {first.run_id} and {part.run_id} begin stage 2 with different weights; a soup needs one start: "
                "the same seed and the same settings of everything but stage2"
            )
