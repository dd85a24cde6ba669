"""Model soups: averages of the weights of fine-tuned networks that share one start (Wortsman et al., 2022)."""

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
from mobilenet_chest.combine.members import Member, about_combined, load_members
from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import STRESS_METRICS, as_score, best_direction
from mobilenet_chest.data.dataset import Split
from mobilenet_chest.errors import DataError, UserError
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.thresholds import choose_threshold
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import artifact, trained_model
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.tracking.parents import parent_weights
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.epoch import recompute_batchnorm
from mobilenet_chest.training.features import state_digest
from mobilenet_chest.training.predict import predict, predict_logits
from mobilenet_chest.training.stages import Prepared, build_setup, prepare
from mobilenet_chest.training.stress import choosing_predictions, final_stress_metrics, stress_inputs

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Averages:
    """Builds networks from averages of weights, and scores them.

    Attributes:
        prepared: What a training of the networks' experiment begins with; its model becomes each average in turn.
        config: Their experiment.
        choosing: The rows of val that choose among averages.
    """

    prepared: Prepared
    config: Config
    choosing: Split

    def model(self, states: Sequence[State]) -> Classifier:
        """Return the average as a network."""
        model = self.prepared.model
        model.load_state_dict(average(states))
        model.freeze(0)
        model.fixed_statistics = self.config.stage2.batchnorm == "frozen"
        if len(states) > 1:
            # the mean of BatchNorm statistics does not fit the averaged weights: compute them on the training rows
            recompute_batchnorm(model, build_setup(self.config, self.prepared, self.config.data.image_size))
        return model.eval()

    def score(self, states: Sequence[State]) -> float:
        """Return the average's score by the experiment's metric; greater is better."""
        rows, model, metric = self.choosing, self.model(states), self.config.evaluation.metric
        logits = predict_logits(model, rows.images)
        if metric in STRESS_METRICS:
            value = stress_inputs(model, rows, 0, torch.device("cpu")).record(model, logits)[metric]
        else:
            value = epoch_metrics(rows.labels.numpy(), logits.double().numpy())[metric]
        return as_score(value, best_direction(metric))

    def metrics(self, model: Classifier, rows: Split, predictions: Predictions) -> dict[str, float]:
        """Return the metrics of a network on the rows that report; where stress chooses the threshold, it does so on
        copies of the rows that choose."""
        evaluation, cpu, threshold = self.config.evaluation, torch.device("cpu"), None
        if evaluation.threshold_on == "stress":
            copies = choosing_predictions(model, self.choosing, cpu)
            threshold = choose_threshold(copies.label, copies.probability_tta, evaluation)
        stress = {} if evaluation.stress is None else final_stress_metrics(model, rows, cpu)
        return selection_metrics(predictions, evaluation, self.config.seed, (), threshold) | stress


def soup(candidates: Sequence[Candidate]) -> Combined:
    """Log the better of the uniform and the greedy average as a run.

    One half of val chooses, the other half gives the run's metrics. The greedy average starts with the best network,
    and adds each further network that does not make the average worse.

    Raises:
        UserError: The runs do not start stage 2 with the same weights, or are of different data or architectures.
        TrackingError: A checkpoint is gone.
    """
    parts = load_members(candidates)
    client, config = connect(), parts[0].config
    _check_shared_start(parts)
    states = [trained_model(client, part.run, part.config).state_dict() for part in parts]
    unloaded = config.model_copy(update={"model": config.model.model_copy(update={"weights": "none"})})
    prepared = prepare(unloaded, parent=parent_weights(config))
    choosing, reporting = stratified_halves(prepared.data.val, config.seed)
    averages = Averages(prepared, config, part_of(prepared.data.val, choosing))
    order, chosen, recipe = _choose(averages, states)
    report_rows = part_of(prepared.data.val, reporting)
    strongest = predict(averages.model([states[order[0]]]), report_rows, torch.device("cpu"))
    model = averages.model([states[index] for index in chosen])
    predictions = predict(model, report_rows, torch.device("cpu"))
    metrics = averages.metrics(model, report_rows, predictions) | {
        "parameters": float(parameter_counts(model)[0]),
        "train_seconds": sum(metrics_of(part.run)["train_seconds"] for part in parts),
        "soup_size": float(len(chosen)),
        "best_member_val_auc": auc(strongest.label, strongest.probability),
    }
    run_ids = tuple(parts[index].run_id for index in chosen)
    run_tags = {
        tags.MEMBERS: ",".join(run_ids),
        tags.SOUP: recipe,
        tags.SCORED_ON: "the half of val that did not choose",
    }
    how = f"the {recipe} average of the weights; one half of val chose it, and its metrics are of the other half"
    about = about_combined(f"Soup of {len(chosen)} of {len(parts)} runs", how, [parts[index] for index in chosen],
                           prepared.data.name)  # fmt: skip
    tracker = MlflowTracker(tags.SOUP_KIND, name=f"{config.name}, soup of {len(chosen)}", tags=run_tags, about=about)
    with tracker.run(config, prepared.data), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
        folder = Path(name)
        tracker.log_metrics(metrics)
        predictions_table(predictions).to_parquet(folder / "val.parquet", index=False)
        tracker.log_file(folder / "val.parquet", "predictions")
        checkpoint.save(folder / "best.pt", {"model": model.state_dict(), "threshold": metrics["threshold"]})
        tracker.log_file(folder / "best.pt", "checkpoints")
        tracker.log_outcome(Outcome("finished", metrics, len(chosen), len(chosen), predictions, "members"))
    assert tracker.run_id is not None
    run_predictions = RunPredictions(predictions, metrics, config.evaluation, config.seed)
    return Combined(tracker.run_id, run_ids, metrics, metric_intervals("val", metrics, run_predictions))


def average(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of each weight and statistic, in its own type; counters are the first network's."""
    return {
        name: value.clone()
        if len(states) == 1 or not value.is_floating_point()
        else torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }


def part_of(val: Split, chosen: NDArray[np.intp]) -> Split:
    """Return some validation rows, given by position."""
    return Split(val.images[chosen], val.labels[chosen], val.rows[chosen], val.digest, stored=val.stored)


def stratified_halves(val: Split, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return two stratified halves of the validation rows, as ascending positions: to choose on, and to report.

    Raises:
        DataError: A class has fewer than two rows.
    """
    labels = val.labels.numpy()
    fewest = min(int((labels == 0).sum()), int((labels == 1).sum()))
    if fewest < 2:
        raise DataError(
            f"a class has {fewest} validation rows, and a soup needs two of each: one half chooses the average, "
            "the other half gives its metrics; make an ensemble of the runs instead"
        )
    from sklearn.model_selection import train_test_split

    parts = train_test_split(np.arange(len(val)), test_size=0.5, stratify=labels, random_state=seed)
    return np.sort(parts[0]), np.sort(parts[1])


def _choose(averages: Averages, states: Sequence[State]) -> tuple[list[int], list[int], str]:
    """Return the networks from best to worst, those of the better average, and whether it is greedy or uniform."""
    scores = [averages.score([state]) for state in states]
    order = sorted(range(len(states)), key=lambda index: -scores[index])
    greedy, best = [order[0]], scores[order[0]]
    for index in order[1:]:
        score = averages.score([states[member] for member in [*greedy, index]])
        if score >= best:
            greedy, best = [*greedy, index], score
    if best >= averages.score(states):
        return order, greedy, "greedy"
    return order, order, "uniform"


def _check_shared_start(parts: Sequence[Member]) -> None:
    client, first = connect(), parts[0]
    starts = []
    for part in parts:
        # dropout has no weights: networks that differ only in it can be averaged
        first_model, model = (
            member.config.model.model_copy(update={"dropout": 0, "drop_path": None}) for member in (first, part)
        )
        digests = [member.run.data.tags.get(tags.DATA_DIGEST) for member in (first, part)]
        if model != first_model or digests[0] != digests[1]:
            raise UserError(
                f"runs {short_id(first.run_id)} and {short_id(part.run_id)} are of different models or data: "
                "their weights have no average"
            )
        with artifact(client, part.run, "checkpoints/stage1_best.pt") as path:
            starts.append(state_digest(checkpoint.load(path)["model"]))
        if starts[-1] != starts[0]:
            raise UserError(
                f"runs {short_id(first.run_id)} and {short_id(part.run_id)} start stage 2 with different "
                "weights; a soup needs one start: "
                "the same seed, and the same settings of everything but stage2"
            )
