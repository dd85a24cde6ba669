"""Which of two runs is the better one: the gate that keeps a champion from being replaced by a worse run."""

from __future__ import annotations

import math

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import PromotionRefused
from mobilenet_chest.tracking.runs import Candidate, rows_digest
from mobilenet_chest.tracking.tags import SCORED_ON

DEFAULT_RANKING = ("val_auc", "maximize")
"""What runs of no study are ranked by, as ``compare`` does."""


def compare_with_champion(
    client: MlflowClient, candidate: Candidate, name: str, current: str | None, even_if_worse: bool = False
) -> list[str]:
    """Hold a run against the one that a registered version was made from.

    They are compared by the metric of the candidate's study (``val_auc`` for a run of no study), where both were
    scored on the same images. Equal is not worse.

    Args:
        client: Of tracking store and registry.
        candidate: The run that would take the alias.
        name: Registered model.
        current: The version that the alias stands at; ``None`` for none, which anything is better than.
        even_if_worse: Say so instead of refusing.

    Returns:
        What was found, a line; none without a current version.

    Raises:
        PromotionRefused: The candidate is worse.
    """
    if current is None:
        return []
    champion = existing_run(client, client.get_model_version(name, current).run_id)
    metric, direction = _metric(client, candidate)
    why = _incomparable(candidate.run, champion, metric)
    if why is not None or champion is None:
        return [f"not compared with version {current}: {why}"]
    own, others = candidate.run.data.metrics[metric], champion.data.metrics[metric]
    worse = own < others if direction == "maximize" else own > others
    values = f"{metric} {own:.10g}, version {current} (run {champion.info.run_id}) has {others:.10g}"
    if worse and not even_if_worse:
        raise PromotionRefused([f"the run is worse than what the alias stands at: {values}; --even-if-worse promotes "
                                "it all the same"])  # fmt: skip
    return [f"the run is {'worse' if worse else 'equal' if own == others else 'better'}: {values}"]


def _metric(client: MlflowClient, candidate: Candidate) -> tuple[str, str]:
    study = candidate.study
    if study is None and candidate.run.data.tags.get("kind") in ("trial", "confirm"):
        study = existing_run(client, candidate.run.data.tags.get("mlflow.parentRunId"))
    return DEFAULT_RANKING if study is None else (study.data.tags["metric"], study.data.tags["direction"])


def _incomparable(run: Run, champion: Run | None, metric: str) -> str | None:
    if champion is None:
        return "the run it was made from is gone, or it was made from none"
    own, others = rows_digest(run), rows_digest(champion)
    if own != others:
        return f"its run was scored on rows with digest {others}, this one on {own}"
    if champion.data.tags.get(SCORED_ON) != run.data.tags.get(SCORED_ON):
        return "its run and this one were not scored on the same images"
    for one, whose in ((run, "this run"), (champion, "its run")):
        if not math.isfinite(one.data.metrics.get(metric, math.nan)):
            return f"{whose} has no {metric}"
    return None


def existing_run(client: MlflowClient, run_id: str | None) -> Run | None:
    """A run; ``None`` where it was deleted for good, or there never was one."""
    try:
        return client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
