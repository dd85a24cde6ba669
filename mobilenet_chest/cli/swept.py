"""What ``sweep`` prints: the leaderboard, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mobilenet_chest.cli.output import duration, ends, line, number, out, print_json, with_interval

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import Confirmation, SweepResult


def sweep(config: Config, result: SweepResult, as_json: bool) -> None:
    """Leaderboard, importances, and the next two commands."""
    if as_json:
        best = {
            key: value for key, value in asdict(result.best).items() if key in ("number", "value", "run_id", "params")
        }
        print_json(
            {
                "study": result.study,
                "run_id": result.run_id,
                "trials": [asdict(trial) for trial in result.trials],
                "best": best,
                **({"front": result.front} if config.study.also else {}),
                "importances": result.importances,
                "complete": result.complete,
                "intervals": ends({str(number): one for number, one in result.ties.intervals.items()}),
                "tied": result.ties.tied,
                **result.stage1,
                **_confirmed(result.confirmed),
            }
        )
        return
    from mobilenet_chest.sweep.splits import scored_on

    table = Table(title=f"study {result.study}: {len(result.trials)} trials, {result.new_trials} of them now")
    paths, known = list(config.search), result.ties
    for heading in ("trial", "state", config.study.metric, "", *config.study.also, *paths, "run"):
        table.add_column(heading, no_wrap=heading == "run")
    sign = -1 if config.study.direction == "maximize" else 1
    order = {"COMPLETE": 0, "PRUNED": 1}
    ranked = sorted(result.trials, key=lambda t: (order.get(t.state, 2), sign * (t.value or 0), t.number))
    for trial in ranked[:20]:
        further = [number(value) for value in trial.also] or [""] * len(config.study.also)
        values = [*further, *(number(trial.params.get(path)) for path in paths)]
        value = with_interval(trial.value, known.intervals.get(trial.number))
        mark = "best" if trial.number == result.best.number else "tied" if trial.number in known.tied else ""
        table.add_row(str(trial.number), trial.state.lower(), value, mark, *values, trial.run_id or "none")
    out.print(table)
    if known.intervals:
        tied = "; tied: cannot be told from the best on these images" if known.tied else ""
        line(f"in brackets: 95% intervals{tied}")
    if len(ranked) > 20:
        line(f"and {len(ranked) - 20} more in leaderboard.csv of run {result.run_id}")
    if result.importances:
        line("importance: " + ", ".join(f"{path} {share:.0%}" for path, share in result.importances.items()))
    if result.stage1["stage1_epochs_reused"]:
        trained, reused = (f"{result.stage1[f'stage1_epochs_{how}']:.0f}" for how in ("trained", "reused"))
        saved = duration(result.stage1["saved_seconds"])
        line(f"stage 1: {trained} epochs trained, {reused} shared between trials, which saved {saved}")
    if not result.complete:
        confirmed = " and their confirmation" if config.study.confirm else ""
        line(f"not complete: the same command goes on to {config.study.trials} trials{confirmed}")
    complete = sum(trial.state == "COMPLETE" for trial in result.trials)
    flattered = f"; chosen as the best of {complete}, it looks better than it is" if complete > 1 else ""
    line(f"best: trial {result.best.number}, {config.study.metric} {result.best.value:.4f} {scored_on(config)}"
         f"{flattered}")  # fmt: skip
    if result.confirmed is not None:
        from mobilenet_chest.sweep.study_page import confirmation_lines

        for text in confirmation_lines(result.confirmed, config.study.metric):
            line(text)
    if config.study.also:
        line(f"Pareto front of {config.study.metric}, {', '.join(config.study.also)}: "
             f"trials {', '.join(map(str, result.front))}")  # fmt: skip
    line("next: mlflow ui")
    # a trial of folds has no model before they are made one
    line(f"      mobilenet-chest {'ensemble' if config.study.trainings > 1 else 'promote'} {result.study}")


def _confirmed(found: Confirmation | None) -> dict[str, Any]:
    if found is None:
        return {}
    fields = asdict(found)
    return {"optimism": {"trial": fields.pop("claimant"), **fields.pop("optimism")}, "confirmed": fields}
