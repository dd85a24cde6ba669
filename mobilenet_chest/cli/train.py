"""The command ``train``: one training, its metrics printed."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.dry_run import print_dry_run
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import error_line, interval_ends, line, metrics_table, print_json
from mobilenet_chest.cli.live import announce, live_training
from mobilenet_chest.cli.options import DryRun, Json, OptionalExperiment, load_experiment, split_arguments
from mobilenet_chest.cli.typed import typed_command
from mobilenet_chest.data.warnings import log_data_warnings
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking.locations import check_experiment
from mobilenet_chest.tracking.parents import as_begun, parent_weights, training_tracker, with_parent
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import check_reachable
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.two_stage import train as run_training

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.training.epoch import Record
    from mobilenet_chest.two_stage import RunResult


def train(
    arguments: OptionalExperiment = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN_ID", help="Continue an interrupted run.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train one model.

    Example: mobilenet-chest train experiments/quickstart.yaml stage2.lr=1e-3
    """
    with exit_codes():
        if files := split_arguments(arguments)[0]:
            announce(files[0])
        config = load_experiment(arguments)
        check_reachable()
        check_experiment(config.experiment)
        config = with_parent(config)
        prepared = prepare(config, parent=parent_weights(config))
        log_data_warnings(config.data, prepared.data)
        if dry_run:
            print_dry_run(config, prepared, as_json)
            return
        print_training(config, _train(config, resume), as_json)


def _train(config: Config, resume: str | None) -> RunResult:
    resume_point, total, done = None, config.stage1.epochs + config.stage2.epochs, 0
    if resume is not None:
        resume_point = find_resume_point(resume, config)
        config = as_begun(config, resume)
        done = resume_point.progress.epoch if resume_point else 0
        again = f"resumes after epoch {done} of {total}" if done else "restarts: no epoch of it is kept"
        error_line(f"run {short_id(resume)} {again}", logging.INFO)
    tracker = training_tracker(config, resume)

    def on_epoch(epoch: int, record: Record) -> None:
        nonlocal done
        done = epoch
        show(epoch, record)

    try:
        with live_training(config, resume_point.progress.history if resume_point else ()) as show:
            return run_training(config, tracker, on_epoch, resume=resume_point)
    except (KeyboardInterrupt, WriteFailed) as error:
        kept = (
            f"kept: at least {done} of {total} epochs of run {short_id(tracker.run_id)}; "
            if done and tracker.run_id
            else ""
        )
        hint = f"; {kept}to continue: {typed_command('--resume', short_id(tracker.run_id))}" if tracker.run_id else ""
        error_line(f"{str(error) or 'interrupted'}{hint}")
        sys.exit(getattr(error, "exit_code", 130))


def print_training(config: Config, result: RunResult, as_json: bool) -> None:
    """Print the metrics of one training with their intervals, and the next two commands."""
    scored = RunPredictions(result.predictions, result.metrics, config.evaluation, config.seed)
    intervals = metric_intervals("val", result.metrics, scored)
    if as_json:
        print_json(
            {
                "run_id": result.run_id,
                "status": result.status,
                "metrics": result.metrics,
                "intervals": interval_ends(intervals),
            }
        )
        return
    metrics_table(f"{config.name}, run {short_id(result.run_id)}", result.metrics, intervals)
    line(f"browse:  mobilenet-chest browse {short_id(result.run_id)}")
    line(f"promote: mobilenet-chest promote {short_id(result.run_id)}")
