"""The command ``ensemble``, and what ``soup`` shares with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import interval_ends, line, metrics_table, print_json
from mobilenet_chest.cli.live import live_training
from mobilenet_chest.cli.options import Json, Top, load_experiment
from mobilenet_chest.combine.ensemble import fold_ensemble, run_ensemble, seed_ensemble
from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking.runs import find_runs, find_study, short_id, top_trials
from mobilenet_chest.tracking.store import connect

if TYPE_CHECKING:
    from mobilenet_chest.combine.ensemble import Combined
    from mobilenet_chest.tracking.runs import Candidate


def ensemble(
    arguments: Annotated[list[str], typer.Argument(metavar="EXPERIMENT.yaml [key=value ...] | STUDY | RUN_ID ...")],
    seeds: Annotated[int | None, typer.Option(min=2, help="Train with this many consecutive seeds.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Train on all folds but one, for each of so many.")] = None,
    top: Top = None,
    as_json: Json = False,
) -> None:
    """Average the probabilities of several trainings.

    They are seeds or folds of an experiment, which are trained, or a study's best trials, or finished runs.

    Example: mobilenet-chest ensemble quickstart --top 3
    """
    with exit_codes():
        if [seeds, folds, top].count(None) < 2:
            raise UserError("--seeds, --folds and --top exclude each other; give one")
        if seeds is not None:
            result = seed_ensemble(load_experiment(arguments), seeds, live_training)
        elif folds is not None:
            result = fold_ensemble(load_experiment(arguments), folds, live_training)
        else:
            result = run_ensemble(find_candidates(arguments, top))
        print_combination(result, "ensemble", as_json)


def find_candidates(references: list[str], top: int | None) -> list[Candidate]:
    """Find the finished runs to combine.

    Args:
        references: Studies or runs.
        top: Take so many best trials of the one study instead.

    Raises:
        UserError: An experiment file is among the references, or there are several and ``top`` is given.
        TrackingError: There is no such run or study.
    """
    if any(reference.endswith((".yaml", ".yml")) for reference in references):
        raise UserError("an experiment file needs --seeds N or --folds N; give a study with --top N, or finished runs")
    client = connect()
    if top is None:
        return [candidate for reference in references for candidate in find_runs(client, reference)]
    if len(references) != 1:
        raise UserError(f"--top takes one study, not {len(references)}: {', '.join(references)}")
    return top_trials(client, find_study(client, references[0]), top)


def print_combination(result: Combined, kind: str, as_json: bool) -> None:
    """Print a run that was made of several, and the next command."""
    if as_json:
        print_json(
            {
                "run_id": result.run_id,
                "members": result.members,
                "metrics": result.metrics,
                "intervals": interval_ends(result.intervals),
            }
        )
        return
    metrics_table(f"{kind} of {len(result.members)}, run {short_id(result.run_id)}", result.metrics, result.intervals)
    line(f"members: {', '.join(map(short_id, result.members))}")
    line(f"promote: mobilenet-chest promote {short_id(result.run_id)}")
