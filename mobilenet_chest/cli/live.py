"""Live views on stderr of what is running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mobilenet_chest.config.formats import duration, number
from mobilenet_chest.processor import use_free_cores

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import SweepStatus
    from mobilenet_chest.training.epoch import Record

err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def live_training(config: Config) -> Iterator[Callable[[int, Record], None]]:
    """Train on the free cores, and give a callback that prints a line for each epoch on stderr."""
    use_free_cores()
    total = config.stage1.epochs + config.stage2.epochs

    def on_epoch(epoch: int, record: Record) -> None:
        err.print(
            f"epoch {epoch}/{total} stage {record['stage']:.0f}  train_loss {record['train_loss']:.4f}  "
            f"val_loss {record['val_loss']:.4f}  val_accuracy {record['val_accuracy']:.4f}  "
            f"val_auc {record['val_auc']:.4f}  {record['images_per_second']:.0f} images/s"
        )

    yield on_epoch


@contextmanager
def live_sweep(config: Config, quiet: bool) -> Iterator[Callable[[SweepStatus], None]]:
    """Give a callback that shows a sweep's state on stderr: trials done, running and pruned, the best, the time left.

    Args:
        config: The experiment.
        quiet: Print changed lines in a terminal as well, where there is a live table otherwise.
    """
    metric = config.study.metric
    if quiet or not err.is_terminal:
        yield _changed_lines(metric)
        return
    # while it is shown, rich prints what is written to sys.stderr, such as the package's log, above the table
    with Live(console=err, refresh_per_second=2, transient=True) as live:
        yield lambda status: live.update(_status_table(status, config.study_name, metric))


def _changed_lines(metric: str) -> Callable[[SweepStatus], None]:
    last = ""

    def report(status: SweepStatus) -> None:
        nonlocal last
        text = _status_line(status, metric)
        if text != last:
            last = text
            left = duration(status.seconds_left)
            err.print(f"{text}, {duration(status.seconds)} so far, {left} left", markup=False)

    return report


def _status_table(status: SweepStatus, study: str, metric: str) -> Table:
    running = Table("trial", f"last {metric}", "values", title=f"study {study}", caption=_status_line(status, metric))
    for trial in status.running:
        values = ", ".join(f"{key}={number(value)}" for key, value in trial.params.items())
        running.add_row(str(trial.number), number(trial.value), values)
    running.add_row("", "", f"{duration(status.seconds)} so far, {duration(status.seconds_left)} left")
    return running


def _status_line(status: SweepStatus, metric: str) -> str:
    states = status.states
    if status.confirming:
        return (
            f"confirmation: {sum(states.values())}/{status.total} trainings done, {len(status.running)} running, "
            f"{states.get('FAIL', 0)} failed"
        )
    best = "none yet" if status.best is None else f"{metric} {status.best.value:.4f} (trial {status.best.number})"
    return (
        f"{sum(states.values())}/{status.total} trials done, {len(status.running)} running, "
        f"{states.get('PRUNED', 0)} pruned, {states.get('FAIL', 0)} failed, best {best}"
    )
