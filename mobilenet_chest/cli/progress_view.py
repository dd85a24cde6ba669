"""What a live view shows: renderables of a running sweep and a running training, for the width that there is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mobilenet_chest.config.formats import duration, number

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import RunningTrial, SweepStatus, TrialSummary
    from mobilenet_chest.training.epochs import Epochs

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-~=+*#"

SPARKLINE_WIDTH, LEAST_SPARKLINE = 40, 6
"""Most and fewest columns of a sparkline; where there is room for fewer, it is left out."""

WIDE = 120
"""Columns from which on the values of the searched fields are shown."""

COLUMN_GAP = 2

VALUE = "value"
"""Column of the metric's latest value; its heading is the metric's name."""

COLUMNS = ("epoch", "stage", "loss", VALUE, "best", "images/s", "left")

NARROW_TRIAL = 10
"""Columns of a trial's name in a narrow terminal, where "0, second attempt" is written in two lines."""

LEFT_OUT_FIRST = ("images/s", "stage", "loss", "best")
"""Columns that a narrow terminal goes without, the first first."""

LEAST_NAME = 8
"""Columns that a study's name has at least; a longer one is cut before the counts behind it are."""

LEAST_ENDED = 3
"""Ended trials that are shown, however low the terminal."""


def sparkline(values: Sequence[float], width: int, ascii_only: bool = False) -> str:
    """Return values as signs from low to high, at most ``width`` of them; more values share a sign by their mean."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    parts = [values[len(values) * n // count : len(values) * (n + 1) // count] for n in range(count)]
    shown = [fmean(part) for part in parts]
    blocks, low, high = ASCII_BLOCKS if ascii_only else BLOCKS, min(shown), max(shown)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((value - low) * scale)] for value in shown)


def sweep_view(
    status: SweepStatus, study: str, metric: str, width: int, height: int, ascii_only: bool = False
) -> RenderableType:
    """Return the view of a running sweep: two lines of summary, a line for each running trial, the ended trials.

    Args:
        status: The sweep's state.
        study: Name of the study.
        metric: The study's.
        width: Columns of the terminal.
        height: Its lines; ended trials that have no room are counted only.
        ascii_only: Draw with signs that every terminal has.
    """
    counts = counts_line(status)
    name = _cut(study, max(LEAST_NAME, width - len(f"study : {counts}")), "..." if ascii_only else "…")
    parts: list[RenderableType] = [_line(f"study {name}: {counts}"), _line(_times_line(status, metric))]
    if status.running:
        parts += [Text(), _running(status.running, metric, width, ascii_only)]
    room = height - len(parts) - len(status.running) - 5
    if status.ended:
        parts += [Text(), _ended(status, metric, width, max(LEAST_ENDED, room))]
    return Group(*parts)


def training_view(epochs: Epochs, width: int, ascii_only: bool = False) -> RenderableType:
    """Return the view of a single training: one line, with headings."""
    row = {**_cells(epochs), "left": _left(epochs.seconds_left({}))}
    return _progress_table([row], [epochs], epochs.metric, width, ascii_only)


def epoch_line(epochs: Epochs, left: float | None) -> str:
    """Return the state of a trial in a line, for a log."""
    if epochs.loss is None:
        return f"epoch {epochs.done}/{epochs.total}"
    cells = _cells(epochs)
    return (
        f"epoch {cells['epoch']}  stage {cells['stage']}  train_loss {cells['loss']}  {epochs.metric} {cells[VALUE]}  "
        f"best {cells['best']}  {cells['images/s']} images/s  {duration(left)} left"
    )


def counts_line(status: SweepStatus) -> str:
    """Return how many trials are done, running, paused, pruned and failed."""
    states, what = status.states, "trainings" if status.confirming else "trials"
    pruned = "" if status.confirming else f"{states.get('PRUNED', 0)} pruned, "
    waiting = states.get("PAUSED", 0)
    paused = f"{waiting} paused, " if waiting else ""
    held = "paused; " if status.paused else ""
    what_is_done = f"{sum(states.values()) - waiting}/{status.total} {what} done"
    return (
        f"{held}{'confirmation: ' if status.confirming else ''}{what_is_done}, "
        f"{len(status.running)} running, {paused}{pruned}{states.get('FAIL', 0)} failed"
    )


def best_line(status: SweepStatus, metric: str) -> str:
    """Return the best value so far, and the trial that has it."""
    best = status.best
    return "best none yet" if best is None else f"best {metric} {number(best.value, 4)} (trial {best.label})"


def _times_line(status: SweepStatus, metric: str) -> str:
    times = f"{duration(status.seconds)} so far, {duration(status.seconds_left)} left"
    return times if status.confirming else f"{best_line(status, metric)}; {times}"


def _cut(name: str, width: int, sign: str) -> str:
    return name if cell_len(name) <= width else set_cell_size(name, width - len(sign)) + sign


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _cells(epochs: Epochs) -> dict[str, str]:
    fold = f"fold {epochs.fold + 1}/{epochs.folds} " if epochs.folds > 1 else ""
    rate = epochs.images_per_second
    return {
        "epoch": f"{fold}{epochs.done}/{epochs.total}",
        "stage": str(epochs.stage),
        "loss": number(epochs.loss, 4),
        VALUE: number(epochs.values[-1], 4) if epochs.values else "",
        "best": number(epochs.best, 4),
        "images/s": number(rate, 0),
    }


def _running(trials: Sequence[RunningTrial], metric: str, width: int, ascii_only: bool) -> Table:
    rows = [
        {"trial": trial.label, **_state(trial), "left": _left(trial.seconds_left), "values": _values(trial)}
        for trial in trials
    ]
    epochs = [trial.epochs for trial in trials]
    followed = next((each.metric for each in epochs if each is not None), metric)
    return _progress_table(rows, epochs, followed, width, ascii_only)


def _progress_table(
    rows: Sequence[dict[str, str]], epochs: Sequence[Epochs | None], metric: str, width: int, ascii_only: bool
) -> Table:
    """Return a line for each training, with as many columns as fit."""
    names = [name for name in ("trial", *COLUMNS) if any(name in row for row in rows)]
    headings = {name: metric if name == VALUE else name for name in names}
    widths = {name: max(len(headings[name]), *(len(row.get(name, "")) for row in rows)) for name in names}

    def room() -> int:
        return width - sum(widths[name] + COLUMN_GAP for name in names)

    if "trial" in names and room() < LEAST_SPARKLINE:
        widths["trial"] = min(widths["trial"], NARROW_TRIAL)  # in two lines
    for name in LEFT_OUT_FIRST:
        if room() < LEAST_SPARKLINE:
            names.remove(name)
    with_values = width >= WIDE and any("values" in row for row in rows)
    signs = min(SPARKLINE_WIDTH, (room() - COLUMN_GAP) // 2 if with_values else room())
    table = Table(box=None, padding=(0, COLUMN_GAP, 0, 0), pad_edge=False, width=width if with_values else None)
    for name in names:
        # only the trial's name may need two lines
        side: Literal["left", "right"] = "left" if name == "trial" else "right"
        table.add_column(headings[name], justify=side, no_wrap=name != "trial", max_width=widths[name])
    table.add_column("", no_wrap=True, width=max(0, signs))
    if with_values:
        table.add_column("values", no_wrap=True, overflow="ellipsis", ratio=1)
    for row, state in zip(rows, epochs, strict=True):
        cells = [row.get(name, "") for name in names]
        cells.append(sparkline(state.values, signs, ascii_only) if state is not None else "")
        table.add_row(*map(Text, [*cells, *([row["values"]] if with_values else [])]))
    return table


def _state(trial: RunningTrial) -> dict[str, str]:
    return {"epoch": "starting"} if trial.epochs is None else _cells(trial.epochs)


def _left(seconds: float | None) -> str:
    return duration(seconds, missing="")


def _values(trial: TrialSummary) -> str:
    return ", ".join(f"{path} {number(value)}" for path, value in trial.params.items())


def _ended(status: SweepStatus, metric: str, width: int, room: int) -> Table:
    """Return the ended trials, the latest first."""
    table = Table(box=None, padding=(0, COLUMN_GAP, 0, 0), pad_edge=False, width=width)
    table.add_column("ended", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(metric, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("values", no_wrap=True, overflow="ellipsis", ratio=1)
    best = status.best
    for trial in status.ended[: -room - 1 : -1]:
        mark = "best" if best is not None and trial.number == best.number else ""
        text = trial.reason or _values(trial)
        table.add_row(*map(Text, [trial.label, trial.state.lower(), number(trial.value, 4), mark, text]))
    if (more := len(status.ended) - room) > 0:
        table.add_row(Text(f"{more} earlier"))
    return table


def shown_before_the_first_status(config: Config) -> RenderableType:
    """Return what is shown while data, weights and stores are checked."""
    return _line(f"study {config.study_name}: checking data, weights and stores")
