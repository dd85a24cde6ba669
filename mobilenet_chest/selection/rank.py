"""Which of two runs is better: the check that keeps a champion from being replaced by a worse run."""

from __future__ import annotations

import math

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.errors import PromotionRefused
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate, existing_run, rows_digest, short_id

DEFAULT_RANKING = ("val_auc", "maximize")
"""Metric and direction that rank runs without a study; ``compare`` uses the same."""


def compare_with_champion(
    client: MlflowClient, candidate: Candidate, name: str, current: str | None, even_if_worse: bool = False
) -> list[str]:
    """Compare a run with the run that a registered version was made from.

    The metric is that of the candidate's study, or ``val_auc`` without a study. Both runs must have been scored on the
    same images. Equal is not worse.

    Args:
        client: Client of tracking store and registry.
        candidate: The run that would take the alias.
        name: Registered model.
        current: The version that the alias points to; ``None`` for none, which any run is better than.
        even_if_worse: Report a worse run instead of refusing it.

    Returns:
        The result in one line; empty without a current version.

    Raises:
        PromotionRefused: The candidate is worse.
    """
    if current is None:
        return []
    champion = existing_run(client, client.get_model_version(name, current).run_id)
    metric, direction = _ranking(client, candidate)
    reason = _incomparable(candidate.run, champion, metric)
    if reason is not None or champion is None:
        return [f"not compared with version {current}: {reason}"]
    ours, theirs = metrics_of(candidate.run)[metric], metrics_of(champion)[metric]
    word = "worse than" if as_score(ours, direction) < as_score(theirs, direction) else "better than"
    if ours == theirs:
        word = "as good as"
    line = (
        f"the run is {word} version {current}: {metric} {ours:.10g}; version {current} (run "
        f"{short_id(champion.info.run_id)}) "
        f"has {theirs:.10g}"
    )
    if word == "worse than" and not even_if_worse:
        raise PromotionRefused([f"{line}; add --even-if-worse to promote it anyway"])
    return [line]


def _ranking(client: MlflowClient, candidate: Candidate) -> tuple[str, Direction]:
    study, run = candidate.study, candidate.run
    if run.data.tags.get(tags.KIND) == tags.COMPRESSED_KIND:  # it is ranked as its original
        run = existing_run(client, run.data.tags.get(tags.PARENT_RUN)) or run
    if study is None and run.data.tags.get(tags.KIND) in (tags.TRIAL_KIND, tags.CONFIRM_KIND):
        study = existing_run(client, run.data.tags.get(tags.PARENT_RUN))
    metric, direction = DEFAULT_RANKING
    if study is not None:
        metric, direction = study.data.tags[tags.METRIC], study.data.tags[tags.DIRECTION]
    return metric, "maximize" if direction == "maximize" else "minimize"


def _incomparable(run: Run, champion: Run | None, metric: str) -> str | None:
    """Return why two runs cannot be compared by a metric; ``None`` where they can."""
    if champion is None:
        return "its run was deleted, or it was made without a run"
    digest, champion_digest = rows_digest(run), rows_digest(champion)
    if digest != champion_digest:
        return f"its run was scored on rows with digest {champion_digest}, this run on rows with digest {digest}"
    if champion.data.tags.get(tags.SCORED_ON) != run.data.tags.get(tags.SCORED_ON):
        return "its run and this run were not scored on the same images"
    for scored, owner in ((run, "this run"), (champion, "its run")):
        if not math.isfinite(metrics_of(scored).get(metric, math.nan)):
            return f"{owner} has no {metric}"
    return None
