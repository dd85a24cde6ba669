"""The model card and the tags: what a registered version says about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry.gates import GateResult, gate_table
from mobilenet_chest.selection.access import Access, access_lines
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate

_COPIED_TAGS = (
    tags.MODEL, tags.WEIGHTS, tags.DATASET, tags.CONFIG_DIGEST, tags.DATA_DIGEST, tags.GIT_COMMIT, tags.GIT_DIRTY,
    tags.STUDY, tags.TRIAL,
)  # fmt: skip
"""Tags of the run that its version carries too."""


def model_card(
    candidate: Candidate,
    config: Config,
    classes: tuple[str, str],
    preparation: Preparation | None,
    test: dict[str, float],
    difference: float,
    accesses: Sequence[Access],
    gate_results: Sequence[GateResult],
    intervals: Mapping[str, Interval],
) -> str:
    """Return the version's description, in Markdown: what it is, how it was measured, what it must not be used for.

    Args:
        candidate: The promoted run.
        config: Its experiment.
        classes: Names of class 0 and class 1.
        preparation: What was done to the pictures of its data file, where the file says it.
        test: Its ``test_*`` metrics.
        difference: Largest difference in probability between the registered model and the run.
        accesses: Every access to the test split for the run's study.
        gate_results: Results of the experiment's gates.
        intervals: 95% intervals of the ``val_*`` and ``test_*`` metrics, by name.
    """
    run, metrics = candidate.run, metrics_of(candidate.run)
    scored_on = run.data.tags.get(tags.SCORED_ON, "chose epoch and threshold")
    access_list = "\n".join(f"- {line}" for line in access_lines(accesses))
    return f"""# {config.name}

{_network(run, config)} tells **{classes[1]}** (label 1) from **{classes[0]}** (label 0).
Input: uint8 images of any size, shape (n, height, width) or (n, height, width, 3) for colour. Output: probability of
{classes[1]}, label name, label. Resize to {config.data.image_size}×{config.data.image_size}, normalisation, mirror
averaging and the threshold {metrics["threshold"]:.2f} are inside.{_prepared(preparation)}

| split | AUC | accuracy | sensitivity | specificity |
|---|---|---|---|---|
| validation ({scored_on}) | {_metrics("val", metrics, intervals)} |
| test (accesses: {len(accesses)}) | {_metrics("test", test, intervals)} |

In brackets: 95% intervals. They show how much other images of the same kind would change the value.

Every access to the test split for this {"study" if run.data.tags.get(tags.STUDY) else "run"}:

{access_list}

{gate_table(gate_results)}
Cross-fitted validation accuracy: {metrics["val_accuracy_crossfit"]:.4f}{_crossfit_all(metrics)}.{_calibration(metrics)}

Run `{candidate.run_id}`, experiment digest
`{run.data.tags.get(tags.CONFIG_DIGEST)}`, data digest `{run.data.tags.get(tags.DATA_DIGEST)}`, commit
`{run.data.tags.get(tags.GIT_COMMIT)}` (uncommitted changes: {run.data.tags.get(tags.GIT_DIRTY)}).

Checked at promotion: a fresh process loaded the model from the registry, and its probabilities on the validation
images equal the run's to within {difference:.1e}.

A research model, measured on {run.data.tags[tags.DATASET]} only: not a medical device, not for diagnosis.
"""


def run_card(run: Run, config: Config) -> str:
    """Return what a file of a run's classifier says in Markdown: what it is, and its validation metrics."""
    metrics = metrics_of(run)
    classes = load_train_val(config.data).classes
    names = ("val_auc_tta", "val_accuracy_tta_threshold", "val_sensitivity", "val_specificity")
    measured = ", ".join(f"{name} {metrics[name]:.4f}" for name in names if name in metrics)
    return f"""# {config.name}

{_network(run, config)} tells **{classes[1]}** (label 1) from **{classes[0]}** (label 0).
Threshold {metrics["threshold"]:.2f}. Of run `{run.info.run_id}`: {measured}.

A research model, measured on {run.data.tags[tags.DATASET]} only: not a medical device, not for diagnosis.
"""


def _prepared(preparation: Preparation | None) -> str:
    """Return nothing for a data file that was not imported."""
    if preparation is None:
        return ""
    size = preparation.size
    bits = f", 16-bit files read as {preparation.bits} bits" if preparation.bits else ""
    return f"""

The pictures of its data were prepared: {size}×{size} ({preparation.fit}){bits}, DICOM window {preparation.window}.
`mobilenet-chest predict` and `serve` do this to picture files. Arrays must be prepared so before they are given."""


def _network(run: Run, config: Config) -> str:
    network = f"{run.data.tags.get(tags.MODEL, config.model.name)} ({config.model.weights} weights)"
    if tags.MEMBERS in run.data.tags:
        kind = {tags.ENSEMBLE_KIND: "An ensemble", tags.SOUP_KIND: "A soup"}[run.data.tags[tags.KIND]]
        network = f"{kind} of {len(run.data.tags[tags.MEMBERS].split(','))} runs of {network}"
    if tags.COMPRESSION in run.data.tags:
        network = (
            f"{network}, compressed ({run.data.tags[tags.COMPRESSION]}) from run `{run.data.tags[tags.PARENT_RUN]}`,"
        )
    return network


def version_tags(
    candidate: Candidate, test: Mapping[str, float], difference: float, accesses: Sequence[Access]
) -> dict[str, str]:
    """Return the version's tags: its metrics, its origin, and every access to the test split."""
    run = candidate.run
    chosen = ("val_", "threshold", "temperature")
    metrics = {name: value for name, value in metrics_of(run).items() if name.startswith(chosen)}
    return {
        **{name: f"{value:.6g}" for name, value in {**metrics, **test}.items()},
        **{name: run.data.tags[name] for name in _COPIED_TAGS if name in run.data.tags},
        tags.RUN_ID: candidate.run_id,
        tags.VERIFIED_DIFFERENCE: f"{difference:.3g}",
        tags.TEST_EVALUATIONS: str(sum(access.run_id == candidate.run_id for access in accesses)),
        tags.TEST_OPENINGS: "; ".join(access_lines(accesses)),
    }


def _metrics(split: str, metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> str:
    """Return the cells of a row of the card's table."""
    cells = []
    for name in ("auc_tta", "accuracy_tta_threshold", "sensitivity", "specificity"):
        interval = intervals.get(f"{split}_{name}")
        ends = f" ({interval.low:.3f}–{interval.high:.3f})" if interval else ""
        cells.append(f"{metrics.get(f'{split}_{name}', math.nan):.4f}{ends}")
    return " | ".join(cells)


def _crossfit_all(metrics: Mapping[str, float]) -> str:
    """Return nothing for runs that have no epochs (ensembles, soups), or that are older than this metric."""
    if "val_accuracy_crossfit_all" not in metrics:
        return ""
    value = metrics["val_accuracy_crossfit_all"]
    return f"; {value:.4f} where the other folds choose the epoch and TTA as well"


def _calibration(metrics: Mapping[str, float]) -> str:
    """Return nothing for runs that are older than these metrics."""
    if "temperature" not in metrics:
        return ""
    return f""" The probabilities are not calibrated. Divide their
logits by the temperature {metrics["temperature"]:.3f}, fitted on validation: the expected calibration error there is
then {metrics["val_ece_calibrated"]:.4f} instead of {metrics["val_ece"]:.4f}."""
