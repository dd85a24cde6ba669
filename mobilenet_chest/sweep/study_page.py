"""What a study leaves in MLflow: leaderboard, importances and interactive plots in one page."""

from __future__ import annotations

import statistics
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from jinja2 import Environment, PackageLoader, StrictUndefined
from optuna.trial import TrialState

from mobilenet_chest.config import Config, StudyConfig
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import best_trial, value_of
from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.splits import scored_on
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.tracking.tags import CONFIRMED_RUN
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.progress import StageCost

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


def log(
    config: Config,
    study: optuna.Study,
    parent: MlflowTracker,
    importance: dict[str, float],
    known: Ties,
) -> None:
    """Log ``leaderboard.csv``, ``plots/study.html``, counts and the best trial to the study's run."""
    table = leaderboard(study, config.study)
    states = table["state"].value_counts()
    metrics = {f"trials_{name.lower()}": float(states.get(name, 0)) for name in ("COMPLETE", "PRUNED", "FAIL")}
    metrics |= {f"importance.{path}": value for path, value in importance.items()}
    metrics |= stage1_totals(study)
    best = best_trial(study)
    assert best is not None
    parent.log_metrics(metrics | {f"best_{config.study.metric}": best.values[0]}, step=len(table))
    tags = {"best_trial": str(best.number), "best_run": str(best.user_attrs["run_id"])}
    if study.user_attrs.get(attributes.CONFIRMED):
        tags[CONFIRMED_RUN] = ""  # it was chosen among fewer trials
    parent.log_tags(tags | ({"pareto_front": ",".join(map(str, front(study)))} if config.study.also else {}))
    with tempfile.TemporaryDirectory() as folder:
        csv, page = Path(folder) / "leaderboard.csv", Path(folder) / PAGE
        with_ties(table, known, config.study.metric).to_csv(csv, index=False)
        page.write_text(_page(config, study, table, importance), encoding="utf-8")
        parent.log_file(csv)
        parent.log_file(page, "plots")


def log_confirmation(
    config: Config, study: optuna.Study, parent: MlflowTracker, importance: dict[str, float], found: Confirmation | None
) -> None:
    """Log what the leaders came to on fresh seeds: figures and the chosen run, ``confirmation.csv``, the page anew.

    ``None``, since of each leader a training has failed: the study stands for its best trial.
    """
    if found is None:
        parent.log_tags({CONFIRMED_RUN: ""})
        return
    confirmed = f"confirmed_{config.study.metric}"
    step = len(study.get_trials(deepcopy=False))
    figures = {confirmed: found.value, f"{confirmed}_crossfit": found.crossfit, "optimism": found.optimism.value}
    figures |= {"optimism_low": found.optimism.low, "optimism_high": found.optimism.high}
    parent.log_metrics(figures, step=step)
    table = confirmation_table(found, config.study.metric)
    with tempfile.TemporaryDirectory() as folder:
        csv, page = Path(folder) / "confirmation.csv", Path(folder) / PAGE
        table.to_csv(csv, index=False)
        page.write_text(_page(config, study, leaderboard(study, config.study), importance, found), encoding="utf-8")
        parent.log_file(csv)
        parent.log_file(page, "plots")
    # last: from here on the study stands for that run
    parent.log_tags({"confirmed_trial": str(found.trial), CONFIRMED_RUN: found.run_id})


def confirmation_table(found: Confirmation, metric: str) -> pd.DataFrame:
    """One row for each leader, the best mean first: trial, what it claimed, mean and SD of the fresh seeds, each of
    them, the median run."""
    import pandas as pd

    return pd.DataFrame(
        {
            "trial": leader.number,
            f"claimed_{metric}": leader.claimed,
            "mean": leader.mean,
            "sd": statistics.stdev(leader.values),
            **{f"seed_{seed}": value for seed, value in zip(found.seeds, leader.values, strict=True)},
            "median_run": leader.median_run,
        }
        for leader in found.leaders
    )


def stage1_totals(study: optuna.Study) -> dict[str, float]:
    """Epochs of stage 1 that all trials together trained and took over, and the seconds that saved."""
    spent = [trial.user_attrs.get(attributes.STAGE1, {}) for trial in study.get_trials(deepcopy=False)]
    return {name: sum(one.get(name, 0.0) for one in spent) for name in StageCost().metrics()}


def front(study: optuna.Study) -> list[int]:
    """Numbers of the trials on the Pareto front; none with a single objective."""
    return [trial.number for trial in study.best_trials] if len(study.directions) > 1 else []


def leaderboard(study: optuna.Study, objectives: StudyConfig) -> pd.DataFrame:
    """One row for each trial, the best first, then pruned and failed ones: number, state, objectives, whether it is on
    their front, run, parameters."""
    import pandas as pd

    order = {TrialState.COMPLETE: 0, TrialState.PRUNED: 1, TrialState.FAIL: 2}
    sign = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1
    on_front = front(study)
    trials = [
        t for t in study.get_trials(deepcopy=False) if t.state in order and not t.user_attrs.get("interrupted")
    ]  # fmt: skip
    trials.sort(key=lambda t: (order[t.state], sign * (value_of(t) or 0), t.number))
    return pd.DataFrame(
        {
            "trial": t.number,
            "state": t.state.name,
            objectives.metric: value_of(t),
            **{name: t.values[place] if t.values else None for place, name in enumerate(objectives.also, 1)},
            **({"on_front": t.number in on_front} if objectives.also else {}),
            "seconds": t.duration.total_seconds() if t.duration else None,
            "run_id": t.user_attrs.get("run_id"),
            **t.params,
        }
        for t in trials
    )


def with_ties(table: pd.DataFrame, known: Ties, metric: str) -> pd.DataFrame:
    """The leaderboard with the ends of each value's 95% interval, and which trials cannot be told from the best."""
    low, high = ({number: getattr(one, end) for number, one in known.intervals.items()} for end in ("low", "high"))
    place = list(table.columns).index(metric) + 1
    wider = table.copy()
    wider.insert(place, f"{metric}_low", table["trial"].map(low))
    wider.insert(place + 1, f"{metric}_high", table["trial"].map(high))
    wider.insert(place + 2, "tied", table["trial"].isin(known.tied))
    return wider


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of each parameter in the metric's variance (fANOVA, Hutter et al., 2014), largest first.

    Empty with fewer than four complete trials, or where all came out equal: there is nothing to share then.
    """
    values = {value_of(t) for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < 4:
        return {}
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), **_target(study)
    )
    return {path: float(share) for path, share in found.items()}


def _target(study: optuna.Study) -> dict[str, Any]:
    """What Optuna has to be told where it cannot guess which objective is meant."""
    return {} if len(study.directions) == 1 else {"target": lambda trial: trial.values[0]}


def _page(
    config: Config, study: optuna.Study, table: pd.DataFrame, importance: dict[str, float],
    confirmation: Confirmation | None = None,
) -> str:  # fmt: skip
    """Return the HTML of a page that opens offline: plotly.js is inside."""
    best = best_trial(study)
    assert best is not None
    confirmed = None if confirmation is None else {
        "sentences": confirmation_lines(confirmation, config.study.metric),
        "table": _table(confirmation_table(confirmation, config.study.metric)),
    }  # fmt: skip
    return TEMPLATES.get_template("study.html.j2").render(
        config=config,
        best=best,
        scored_on=scored_on(config),
        confirmation=confirmed,
        leaderboard=_table(table),
        plots=_plots(config, study, importance),
    )


def _plots(config: Config, study: optuna.Study, importance: dict[str, float]) -> list[tuple[str, go.Figure]]:
    """Return the interactive plots with their titles."""
    import plotly.graph_objects as go

    metric = config.study.metric
    shown = {"target_name": metric, **_target(study)}
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


def confirmation_lines(found: Confirmation, metric: str) -> list[str]:
    """What a confirmation says, in sentences: the choice, the optimism, and who was left out."""
    claimant = next(leader for leader in found.leaders if leader.number == found.claimant)
    one, seeds = found.optimism, len(found.seeds)
    lines = [
        f"confirmed: trial {found.trial}, {metric} {found.value:.4f} in the mean of {seeds} fresh seeds "
        f"({found.crossfit:.4f} cross-fitted over the choice among {len(found.leaders)}); run {found.run_id}",
        f"optimism: trial {found.claimant} claimed {claimant.claimed:.4f} and showed {claimant.mean:.4f}: "
        f"{one.value:+.4f}, 95% interval {one.low:+.4f} to {one.high:+.4f}",
    ]
    if found.left_out:
        left_out = ", ".join(map(str, found.left_out))
        lines.append(f"left out, as a training on a fresh seed failed: trial {left_out}")
    return lines
