"""Live views on stderr of what is running; where stderr is no terminal, a line now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from mobilenet_chest.cli.format import err
from mobilenet_chest.cli.progress_view import (
    best_line,
    counts_line,
    epoch_line,
    shown_before_the_first_status,
    sweep_view,
    training_view,
)
from mobilenet_chest.config.formats import duration
from mobilenet_chest.processor import use_free_cores
from mobilenet_chest.sweep.findings import notes
from mobilenet_chest.training.epochs import summarize_epochs

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import SweepStatus
    from mobilenet_chest.training.epoch import Record

LINE_SECONDS = 10.0
"""Shortest time between two lines about epochs where stderr is no terminal."""


def announce(experiment: Path) -> None:
    """Print a first line in a terminal, before anything that takes long is imported."""
    if err.is_terminal:
        import mobilenet_chest

        shown = os.path.relpath(experiment) if experiment.is_absolute() else str(experiment)
        shorter = shown if len(shown) < len(str(experiment)) else str(experiment)
        err.print(f"mobilenet-chest {mobilenet_chest.__version__}: reading {shorter}", markup=False)


@contextmanager
def live_training(config: Config, history: Sequence[Record] = ()) -> Iterator[Callable[[int, Record], None]]:
    """Train on the free cores, and give a callback that shows each epoch on stderr.

    It is a line that changes in a terminal, else a line now and then.

    Args:
        config: The experiment.
        history: Records of the epochs that were done before a resume.
    """
    use_free_cores()
    known, metric = list(history), config.evaluation.metric
    if not err.is_terminal:
        yield _epoch_lines(config, known)
        return
    with Live(Text("preparing"), console=err, refresh_per_second=2) as live:

        def on_epoch(epoch: int, record: Record) -> None:
            known.append(record)
            epochs = summarize_epochs(config, epoch, known, metric)
            live.update(training_view(epochs, err.width, err.options.ascii_only))

        yield on_epoch


def _epoch_lines(config: Config, known: list[Record]) -> Callable[[int, Record], None]:
    total, printed = config.stage1.epochs + config.stage2.epochs, float("-inf")

    def on_epoch(epoch: int, record: Record) -> None:
        nonlocal printed
        known.append(record)
        if time.monotonic() - printed < LINE_SECONDS and epoch < total:
            return
        printed = time.monotonic()
        left = summarize_epochs(config, epoch, known, config.evaluation.metric).seconds_left({})
        err.print(
            f"epoch {epoch}/{total} stage {record['stage']:.0f}  train_loss {record['train_loss']:.4f}  "
            f"val_loss {record['val_loss']:.4f}  val_accuracy {record['val_accuracy']:.4f}  "
            f"val_auc {record['val_auc']:.4f}  {record['images_per_second']:.0f} images/s  {duration(left)} left"
        )

    return on_epoch


@contextmanager
def live_sweep(config: Config, quiet: bool) -> Iterator[Callable[[SweepStatus], None]]:
    """Give a callback that shows a sweep's state on stderr: its trials, their epochs, the best, the time left.

    Args:
        config: The experiment.
        quiet: Print lines in a terminal as well, where there is a live view otherwise.
    """
    metric = config.study.metric
    if quiet or not err.is_terminal:
        yield _with_note(config, _changed_lines(metric))
        return
    # while it is shown, rich prints what is written to sys.stderr, such as the package's log, above the view
    with Live(shown_before_the_first_status(config), console=err, refresh_per_second=2, transient=True) as live:

        def show(status: SweepStatus) -> None:
            view = sweep_view(status, config.study_name, metric, err.width, err.height - 1, err.options.ascii_only)
            # a terminal writes ^C behind the last line; behind a full one it begins another, and a line would stay
            live.update(Group(view, Text()))

        yield _with_note(config, show)


def _with_note(config: Config, report: Callable[[SweepStatus], None]) -> Callable[[SweepStatus], None]:
    """Say before the first state, when the experiment has been checked, what may not be meant."""
    to_say = notes(config)

    def report_with_note(status: SweepStatus) -> None:
        while to_say:
            err.print(f"note: {to_say.pop(0)}", markup=False)
        report(status)

    return report_with_note


def _changed_lines(metric: str) -> Callable[[SweepStatus], None]:
    """Print a line when a trial begins or ends, and every ten seconds at most a line for each trial's new epochs."""
    last, printed, done = "", float("-inf"), dict[tuple[str, int], int]()

    def report(status: SweepStatus) -> None:
        nonlocal last, printed
        text = _status_line(status, metric)
        if text != last:
            last = text
            left = duration(status.seconds_left)
            err.print(f"{text}, {duration(status.seconds)} so far, {left} left", markup=False)
        if status.seconds - printed < LINE_SECONDS:
            return
        for trial in status.running:
            epochs = trial.epochs
            if epochs is None or not epochs.done or done.get((trial.label, epochs.fold)) == epochs.done:
                continue
            done[trial.label, epochs.fold] = epochs.done
            printed = status.seconds
            err.print(f"trial {trial.label}: {epoch_line(epochs, trial.seconds_left)}", markup=False)

    return report


def _status_line(status: SweepStatus, metric: str) -> str:
    return counts_line(status) if status.confirming else f"{counts_line(status)}, {best_line(status, metric)}"
