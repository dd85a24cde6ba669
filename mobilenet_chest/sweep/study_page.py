"""What a study leaves in MLflow: leaderboard, importances and interactive plots in one page."""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from jinja2 import Environment, PackageLoader, StrictUndefined

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import shown_numbers
from mobilenet_chest.sweep.claims import best_trial
from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.findings import Finding
from mobilenet_chest.sweep.leaderboard import front, leaderboard, metric_target, stage1_totals, with_ties
from mobilenet_chest.sweep.live_note import write_note
from mobilenet_chest.sweep.splits import scored_on
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.sweep.trial_state import PAUSED
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.tracker import MlflowTracker

if TYPE_CHECKING:  # both take long, and are needed when a sweep has ended
    import pandas as pd
    import plotly.graph_objects as go

PAGE = "study.html"

TEMPLATES = Environment(
    loader=PackageLoader("mobilenet_chest.sweep"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def log_trials(
    config: Config,
    study: optuna.Study,
    parent: MlflowTracker,
    importance: dict[str, float],
    ties: Ties,
    findings: Sequence[Finding] = (),
) -> None:
    """Log counts, the best trial, ``leaderboard.csv`` and ``plots/study.html`` to the study's run.

    Args:
        config: The experiment.
        study: Its study, with a complete trial.
        parent: The study's run.
        importance: Share of each parameter in the metric's variance.
        ties: Intervals of the trials' values, and ties with the best.
        findings: What the trials say about the search itself.
    """
    table = leaderboard(study, config.study)
    states = table["state"].value_counts()
    metrics = {f"trials_{name.lower()}": float(states.get(name, 0)) for name in ("COMPLETE", "PRUNED", "FAIL")}
    if config.study.scheduler != "none":
        metrics["trials_paused"] = float(states.get(PAUSED, 0))
    metrics |= {f"importance.{path}": value for path, value in importance.items()}
    metrics |= stage1_totals(study)
    best = best_trial(study)
    assert best is not None
    parent.log_metrics(metrics | {f"best_{config.study.metric}": best.values[0]})
    labels = {tags.BEST_TRIAL: str(best.number), tags.BEST_RUN: str(best.user_attrs[attributes.RUN_ID])}
    if study.user_attrs.get(attributes.CONFIRMED):
        labels[tags.CONFIRMED_RUN] = ""  # it was chosen among fewer trials
    if config.study.also:
        labels[tags.PARETO_FRONT] = ",".join(map(str, front(study)))
    parent.log_tags(labels)
    _log_files(
        parent, "leaderboard.csv", with_ties(table, ties, config.study.metric), _page(config, study, table, importance)
    )
    parent.log_tags({tags.FINDINGS: "\n".join(map(str, findings))})
    write_note(config, study, parent, ties, ended=True, findings=findings)


def log_confirmation(
    config: Config,
    study: optuna.Study,
    parent: MlflowTracker,
    importance: dict[str, float],
    confirmation: Confirmation | None,
    findings: Sequence[Finding] = (),
) -> None:
    """Log the results on fresh seeds to the study's run: metrics, chosen run, ``confirmation.csv``, the page again.

    Args:
        config: The experiment.
        study: Its study.
        parent: The study's run.
        importance: Share of each parameter in the metric's variance.
        confirmation: ``None`` where a training of each leader has failed: the best trial stays the study's model.
        findings: What the trials say about the search itself.
    """
    if confirmation is None:
        parent.log_tags({tags.CONFIRMED_RUN: ""})
        return
    name, optimism = f"confirmed_{config.study.metric}", confirmation.optimism
    metrics = {
        name: confirmation.value,
        f"{name}_crossfit": confirmation.crossfit,
        "optimism": optimism.value,
        "optimism_low": optimism.low,
        "optimism_high": optimism.high,
    }
    parent.log_metrics(metrics)
    page = _page(config, study, leaderboard(study, config.study), importance, confirmation)
    table = confirmation_table(confirmation, config.study.metric, shown_numbers(study))
    _log_files(parent, "confirmation.csv", table, page)
    write_note(config, study, parent, confirmation=confirmation, ended=True, findings=findings)
    # last: from here on that run is the study's model
    parent.log_tags({tags.CONFIRMED_TRIAL: str(confirmation.trial), tags.CONFIRMED_RUN: confirmation.run_id})


def confirmation_table(confirmation: Confirmation, metric: str, shown: Mapping[int, str]) -> pd.DataFrame:
    """Return one row for each leader, the best mean first.

    Columns: trial as people know it, Optuna's number, the value that it claimed, mean and SD of the fresh seeds, each
    of them, the median run.

    Args:
        confirmation: Of a study.
        metric: The study's.
        shown: What a person reads of each of its trials, by number.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "trial": shown[leader.number],
            "number": leader.number,
            f"claimed_{metric}": leader.claimed,
            "mean": leader.mean,
            "sd": statistics.stdev(leader.values),
            **{f"seed_{seed}": value for seed, value in zip(confirmation.seeds, leader.values, strict=True)},
            "median_run": leader.median_run,
        }
        for leader in confirmation.leaders
    )


def confirmation_lines(confirmation: Confirmation, metric: str, shown: Mapping[int, str]) -> list[str]:
    """Return a confirmation in sentences: the choice, the optimism, and the trials that were left out.

    Args:
        confirmation: Of a study.
        metric: The study's.
        shown: What a person reads of each of its trials, by number.
    """
    claimant = next(leader for leader in confirmation.leaders if leader.number == confirmation.claimant)
    optimism, leaders = confirmation.optimism, len(confirmation.leaders)
    lines = [
        f"confirmed: trial {shown[confirmation.trial]}, {metric} {confirmation.value:.4f} on average over "
        f"{len(confirmation.seeds)} fresh seeds ({confirmation.crossfit:.4f} if each seed scores the choice that the "
        f"others make among {leaders}); run {short_id(confirmation.run_id)}",
        f"optimism: trial {shown[claimant.number]} claimed {claimant.claimed:.4f}, and its fresh seeds average "
        f"{claimant.mean:.4f}: {optimism.value:+.4f}, 95% interval {optimism.low:+.4f} to {optimism.high:+.4f}",
    ]
    if confirmation.left_out:
        left_out = "; ".join(shown[number] for number in confirmation.left_out)
        lines.append(f"left out because a training failed: trial {left_out}")
    return lines


def _page(
    config: Config, study: optuna.Study, table: pd.DataFrame, importance: dict[str, float],
    confirmation: Confirmation | None = None,
) -> str:  # fmt: skip
    """Return the HTML of a page that opens offline: plotly.js is inside."""
    best, shown = best_trial(study), shown_numbers(study)
    assert best is not None
    confirmed = None if confirmation is None else {
        "sentences": confirmation_lines(confirmation, config.study.metric, shown),
        "table": _table(confirmation_table(confirmation, config.study.metric, shown).drop(columns="number")),
    }  # fmt: skip
    return TEMPLATES.get_template("study.html.j2").render(
        config=config,
        best=best,
        shown=shown,
        scored_on=scored_on(config),
        confirmation=confirmed,
        leaderboard=_table(table.drop(columns="number")),
        plots=_plots(config, study, importance),
    )


def _log_files(parent: MlflowTracker, name: str, table: pd.DataFrame, page: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        csv, html = Path(folder) / name, Path(folder) / PAGE
        table.to_csv(csv, index=False)
        html.write_text(page, encoding="utf-8")
        parent.log_file(csv)
        parent.log_file(html, "plots")


def _plots(config: Config, study: optuna.Study, importance: dict[str, float]) -> list[tuple[str, go.Figure]]:
    """Return the interactive plots with their titles."""
    import plotly.graph_objects as go

    metric = config.study.metric
    shown = {"target_name": metric, **metric_target(study)}
    plots: list[tuple[str, go.Figure]] = []
    if config.study.also:
        names = [metric, *config.study.also]
        plots.append(("Pareto front", optuna.visualization.plot_pareto_front(study, target_names=names)))
    plots.append(("History", optuna.visualization.plot_optimization_history(study, **shown)))
    if importance:
        bars = go.Figure(go.Bar(x=list(importance.values())[::-1], y=list(importance)[::-1], orientation="h"))
        plots.append(("Importance of each parameter", bars.update_layout(xaxis_title=f"share in variance of {metric}")))
    with warnings.catch_warnings():
        # plots of conditional parameters warn about the trials that lack them
        warnings.simplefilter("ignore")
        plots.append(("Parallel coordinates", optuna.visualization.plot_parallel_coordinate(study, **shown)))
        plots.append(("Slices", optuna.visualization.plot_slice(study, **shown)))
    for _, plot in plots:
        plot.update_layout(title=None)  # the page has it as a heading
    return plots


def _table(table: pd.DataFrame) -> str:
    """Return the HTML of a table; pandas escapes what is in it."""
    return str(table.to_html(index=False, float_format=lambda value: f"{value:.4g}", na_rep="", border=0))
