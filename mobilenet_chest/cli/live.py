"""Live views on stderr of what is running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mobilenet_chest.cli.output import duration, number
from mobilenet_chest.config import Config

if TYPE_CHECKING:
    from mobilenet_chest.sweep import SweepStatus
    from mobilenet_chest.training.epoch import Record

err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def live_training(config: Config) -> Iterator[Callable[[int, Record], None]]:
    """A line for each epoch on stderr."""
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
    """Trials done, running and pruned, the best so far, time left: a live table in a terminal, else changed lines."""
    metric = config.study.metric
    if not err.is_terminal or quiet:
        shown: list[str] = []

        def report(status: SweepStatus) -> None:
            text = _status_line(status, metric)
            if not shown or shown[-1] != text:
                shown.append(text)
                left = duration(status.seconds_left)
                err.print(f"{text}, {duration(status.seconds)} so far, {left} left", markup=False)

        yield report
        return
    with Live(console=err, refresh_per_second=2, transient=True) as live:

        def show(status: SweepStatus) -> None:
            table = Table(title=f"study {config.study_name}", caption=_status_line(status, metric))
            for heading in ("trial", "last " + metric, "values"):
                table.add_column(heading)
            for trial in status.running:
                values = ", ".join(f"{key}={number(value)}" for key, value in trial.params.items())
                table.add_row(str(trial.number), number(trial.value), values)
            table.add_row("", "", f"{duration(status.seconds)} so far, {duration(status.seconds_left)} left")
            live.update(table)

        yield show


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
