"""The command ``sweep``: run trials, print the leaderboard."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobilenet_chest.cli.browse import browse_hint
from mobilenet_chest.cli.dry_run import print_dry_run
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import error_line, interval_ends, line, out, print_json
from mobilenet_chest.cli.leaderboard import SHOWN_TRIALS, leaderboard
from mobilenet_chest.cli.live import announce, live_sweep
from mobilenet_chest.cli.logged_report import log_sweep_report
from mobilenet_chest.cli.options import (
    EXPERIMENTS,
    DryRun,
    Json,
    OptionalExperiment,
    Storage,
    load_experiment,
    split_arguments,
)
from mobilenet_chest.cli.typed import typed_command
from mobilenet_chest.config.formats import duration, seconds_of
from mobilenet_chest.errors import UserError
from mobilenet_chest.fork_server import fork_server
from mobilenet_chest.sweep import check, kept, remaining_confirmations, remaining_trials, run_sweep
from mobilenet_chest.sweep.local_workers import run_workers
from mobilenet_chest.sweep.preflight import begins_with, sampler
from mobilenet_chest.sweep.ray_workers import on_ray
from mobilenet_chest.sweep.splits import scored_on
from mobilenet_chest.sweep.study_page import confirmation_lines
from mobilenet_chest.tracking.parents import with_parent
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import Confirmation, SweepResult
    from mobilenet_chest.sweep.local_workers import Launcher
    from mobilenet_chest.sweep.summary import Kept

QUICKSTART = EXPERIMENTS / "quickstart.yaml"


def sweep(
    arguments: OptionalExperiment = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the study in all.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the trials; study.workers by default.")
    ] = None,
    timeout: Annotated[str | None, typer.Option(help="Start no trial after this time: 90s, 30m, 2h, 1d.")] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study; the experiment's name by default.")] = None,
    storage: Storage = None,
    launcher: Annotated[
        Literal["local", "ray"], typer.Option(help="Run workers as processes of this machine, or on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The Ray cluster; by default one on this machine.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Start a sweep, or resume it.

    Without arguments: experiments/quickstart.yaml. The same command run again resumes the same study.

    Example: mobilenet-chest sweep experiments/quickstart.yaml --workers 2
    """
    with exit_codes():
        if address is not None and launcher != "ray":
            raise UserError(f"--address {address} names a Ray cluster; add --launcher ray, or leave --address out")
        announce(next(iter(split_arguments(arguments)[0]), QUICKSTART))
        extra = [f"study.trials={trials}"] if trials is not None else []
        extra += [f"study.name={json.dumps(study)}"] if study is not None else []
        seconds = _seconds(timeout)
        config = load_experiment(arguments, default=QUICKSTART, extra=extra)
        workers = config.study.workers if workers is None else workers
        # the launcher first: what comes after it imports torch, and a process that has done so is not forked
        with _launcher(launcher, config, workers, storage, address, dry_run) as launch:
            config = with_parent(config)
            if dry_run:
                prepared, to_come = check(config, storage), remaining_trials(config, storage)
                proposes, first = sampler(config, storage), begins_with(config, storage)
                confirmations = remaining_confirmations(config, storage)
            else:
                with _interrupts_explained(config, storage), live_sweep(config, quiet=as_json) as on_status:
                    result = run_sweep(
                        config, workers=workers, timeout=seconds, storage=storage, launch=launch, on_status=on_status
                    )
        # a launcher for Ray sends stdout to stderr: results are printed after it has closed
        if dry_run:
            print_dry_run(config, prepared, as_json, to_come, confirmations, proposes, first)
        else:
            try:
                print_sweep(config, result, as_json)
            finally:  # a pipe may be closed before all is printed, as by head
                log_sweep_report(config, result)


def _launcher(
    launcher: str, config: Config, workers: int, storage: str | None, address: str | None, dry_run: bool
) -> AbstractContextManager[Launcher | None]:
    if launcher == "ray":
        return on_ray(config, workers, storage=storage, address=address)
    return nullcontext() if dry_run else _forking()


@contextmanager
def _forking() -> Iterator[Launcher | None]:
    """Give what runs workers that are forked from a process with everything imported, where that can be had."""
    with fork_server() as server:
        yield None if server is None else partial(run_workers, server=server)


@contextmanager
def _interrupts_explained(config: Config, storage: str | None) -> Iterator[None]:
    """Say what an interrupted sweep has kept, and the line that continues it."""
    try:
        yield
    except KeyboardInterrupt:
        if (found := kept(config, storage)) is not None:
            for text in kept_lines(config, found):
                error_line(text, logging.WARNING)
            if config.study.confirm is not None and (to_come := remaining_confirmations(config, storage)):
                error_line(f"trainings to confirm the best that are still to come: {to_come}", logging.WARNING)
            error_line(f"interrupted; run the same command to continue: {typed_command()}")
            sys.exit(130)
        raise


def kept_lines(config: Config, found: Kept) -> list[str]:
    """Return what is kept of an interrupted sweep, a line each."""
    lines = [f"kept: {found.finished} of {found.total or config.study.trials} trials finished"]
    if found.paused:
        lines.append(f"kept: {found.paused} trials paused at a rung, with their checkpoints")
    for trial in found.interrupted:
        epochs = trial.epochs
        if epochs is None or not epochs.done:
            lines.append(f"kept: the values of trial {trial.label}, which begins again")
            continue
        fold = f" of fold {epochs.fold + 1} of {epochs.folds}" if epochs.folds > 1 else ""
        # "at least": an interrupt may strike when an epoch is saved, but not told to the study yet
        lines.append(f"kept: at least {epochs.done} of {epochs.total} epochs{fold} of trial {trial.label}")
    return lines


def _seconds(timeout: str | None) -> float | None:
    if timeout is None:
        return None
    if (seconds := seconds_of(timeout)) is None:
        raise UserError(f"--timeout {timeout}: write a number and a unit, such as 90s, 30m, 2h or 1d")
    return seconds


def print_sweep(config: Config, result: SweepResult, as_json: bool) -> None:
    """Print the leaderboard, importances, and the next two commands."""
    if as_json:
        print_json(_document(config, result))
        return
    out.print(leaderboard(config, result))
    intervals, ties = result.ties.intervals, result.ties.tied
    if intervals:
        line("in brackets: 95% intervals" + ("; tied: indistinguishable from the best on these images" if ties else ""))
    for trial in result.trials[:SHOWN_TRIALS]:
        if trial.violates:
            line(f"trial {trial.label} violates {'; '.join(trial.violates)}")
    if len(result.trials) > SHOWN_TRIALS:
        line(f"and {len(result.trials) - SHOWN_TRIALS} more in leaderboard.csv of run {short_id(result.run_id)}")
    if result.importances:
        line("importance: " + ", ".join(f"{path} {share:.0%}" for path, share in result.importances.items()))
    _print_stage1(result)
    _print_best(config, result)
    _print_findings(result)
    line(f"next: {browse_hint(result.study)}")
    # a trial of folds has a model for each fold; promote needs the ensemble of them
    step = "ensemble" if config.study.resampling == "kfold" else "promote"
    line(f"      mobilenet-chest {step} {shlex.quote(result.study)}")


def _document(config: Config, result: SweepResult) -> dict[str, Any]:
    best = asdict(result.best)
    return {
        "study": result.study,
        "run_id": result.run_id,
        "trials": [asdict(trial) for trial in result.trials],
        "best": {key: best[key] for key in ("number", "value", "run_id", "params")},
        **({"front": result.front} if config.study.also else {}),
        "importances": result.importances,
        "complete": result.complete,
        "intervals": interval_ends({str(trial): ends for trial, ends in result.ties.intervals.items()}),
        "tied": result.ties.tied,
        "findings": [asdict(finding) for finding in result.findings],
        **result.stage1,
        **_confirmation(result.confirmed),
    }


def _confirmation(confirmation: Confirmation | None) -> dict[str, Any]:
    if confirmation is None:
        return {}
    fields = asdict(confirmation)
    return {"optimism": {"trial": fields.pop("claimant"), **fields.pop("optimism")}, "confirmed": fields}


def _print_stage1(result: SweepResult) -> None:
    if result.stage1["stage1_epochs_reused"]:
        trained, reused = (f"{result.stage1[f'stage1_epochs_{how}']:.0f}" for how in ("trained", "reused"))
        line(f"stage 1: {trained} epochs trained, {reused} reused from other trials; "
             f"time saved: {duration(result.stage1['saved_seconds'])}")  # fmt: skip


def _print_findings(result: SweepResult) -> None:
    for finding in result.findings:
        line(f"note: {finding}")
    # a study that was ended goes on with another study.stop_when
    if any(finding.kind != "ended_early" for finding in result.findings):
        line("      (another search is another study: add --study NAME)")


def _print_best(config: Config, result: SweepResult) -> None:
    metric = config.study.metric
    if not result.complete:
        confirmed = " and their confirmation" if config.study.confirm else ""
        total = result.total or config.study.trials
        line(f"not complete: run the same command to continue to {total} trials{confirmed}")
    complete = sum(trial.state == "COMPLETE" for trial in result.trials)
    optimistic = f"; best of {complete} trials, so this value is optimistic" if complete > 1 else ""
    line(f"best: trial {result.best.label}, {metric} {result.best.value:.4f} {scored_on(config)}{optimistic}")
    if result.confirmed is not None:
        for text in confirmation_lines(result.confirmed, metric, result.shown_numbers):
            line(text)
    if config.study.also:
        front = "; ".join(trial.label for trial in result.trials if trial.number in result.front)
        line(f"Pareto front of {metric}, {', '.join(config.study.also)}: trials {front}")
