"""The model card and the tags: what a registered version says of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry.gates import GateResult, gate_table
from mobilenet_chest.selection.ledger import Access, access_lines
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.tracking.tags import SCORED_ON, TEST_EVALUATIONS


def model_card(
    candidate: Candidate,
    config: Config,
    classes: tuple[str, str],
    test: dict[str, float],
    difference: float,
    openings: Sequence[Access],
    verdicts: Sequence[GateResult],
    intervals: Mapping[str, Interval],
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
        return " | ".join(figure(f"{prefix}_{name}") for name in names)

    def figure(name: str) -> str:
        interval = intervals.get(name)
        ends = f" ({interval.low:.3f}–{interval.high:.3f})" if interval else ""
        return f"{metrics.get(name, test.get(name, math.nan)):.4f}{ends}"

    opened = "\n".join(f"- {line}" for line in access_lines(openings))
    return f"""# {config.name}

{what} tells **{classes[1]}** (label 1) from **{classes[0]}** (label 0).
Input: uint8 images of any size, shape (n, height, width) or (n, height, width, 3) for colour. Output: probability of
{classes[1]}, label name, label. Resize to {config.data.image_size}×{config.data.image_size}, normalisation, mirror
averaging and the threshold {metrics["threshold"]:.2f} are inside.

| split | AUC | accuracy | sensitivity | specificity |
|---|---|---|---|---|
| validation ({scored}) | {figures("val")} |
| test (openings: {len(openings)}) | {figures("test")} |

In brackets: 95% intervals, of what other images of the same kind would change.

Every opening of the test split for this {"study" if run.data.tags.get("study") else "run"}:

{opened}

{gate_table(verdicts)}
Cross-fitted validation accuracy: {metrics["val_accuracy_crossfit"]:.4f}{_crossfit_all(metrics)}.{_calibration(metrics)}

Run `{candidate.run_id}`, experiment digest
`{run.data.tags.get("config_digest")}`, data digest `{run.data.tags.get("data_digest")}`, commit
`{run.data.tags.get("git_commit")}` (uncommitted changes: {run.data.tags.get("git_dirty")}).

Checked at promotion: loaded from the registry in a fresh process, its probabilities on the validation images equal
the run's to within {difference:.1e}.

A research model, measured on {config.data.dataset} only: not a medical device, not for diagnosis.
"""


def _crossfit_all(metrics: Mapping[str, float]) -> str:
    """Nothing of runs that have no epochs of their own, or are older than the figure."""
    if "val_accuracy_crossfit_all" not in metrics:
        return ""
    return f", {metrics['val_accuracy_crossfit_all']:.4f} with the epoch and TTA left to the other folds as well"


def version_tags(
    candidate: Candidate, test: Mapping[str, float], difference: float, openings: Sequence[Access]
) -> dict[str, str]:
    """The version's tags: its figures, where it comes from, and who has opened the test split."""
    run = candidate.run
    chosen = ("val_", "threshold", "temperature")
    metrics = {name: value for name, value in run.data.metrics.items() if name.startswith(chosen)}
    tags = {name: f"{value:.6g}" for name, value in {**metrics, **test}.items()}
    kept = ("model", "weights", "dataset", "config_digest", "data_digest", "git_commit", "git_dirty", "study", "trial")
    tags |= {name: run.data.tags[name] for name in kept if name in run.data.tags}
    tags |= {"run_id": candidate.run_id, "verified_difference": f"{difference:.3g}"}
    own = sum(opening.run_id == candidate.run_id for opening in openings)
    return tags | {TEST_EVALUATIONS: str(own), "test_openings": "; ".join(access_lines(openings))}


def _calibration(metrics: Mapping[str, float]) -> str:
    """Nothing of runs that are older than these figures."""
    if "temperature" not in metrics:
        return ""
    return f""" The probabilities are given as trained; divided by the
temperature {metrics["temperature"]:.3f}, fitted on validation, their logits have an expected calibration error there of
{metrics["val_ece_calibrated"]:.4f} instead of {metrics["val_ece"]:.4f}."""
