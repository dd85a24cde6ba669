"""The command ``benchmark``: files of classifiers side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.formats import number, signed
from mobilenet_chest.deploy.benchmark.benchmark import benchmark as run_benchmark
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.deploy.benchmark.benchmark import Benchmark, Row
    from mobilenet_chest.deploy.benchmark.rounds import Spread

KEYS = ("model", "format")


def benchmark(
    references: Annotated[
        list[str],
        typer.Argument(metavar="MODEL ...", help="models:/NAME@champion, a run, a study, or a file of export."),
    ],
    formats: Annotated[
        list[str], typer.Option("--format", metavar="FORMAT", help="Format to measure models in; may be given again.")
    ] = ["onnx"],  # noqa: B006
    threads: Annotated[int | None, typer.Option(help="Threads of each engine; by default those of serve.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images at once for the throughput; by default the best of 1, 8 and 32.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds in which all models answer in turn.")] = 5,
    margin: Annotated[
        float, typer.Option(help="Loss of AUC or accuracy against the first model that is not inferior.")
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Measure the speed, cost and loss of models side by side.

    Example: mobilenet-chest benchmark models:/chest@champion --format onnx --format torch
    """
    with exit_codes():
        result = run_benchmark(references, formats, threads, batch, rounds, margin)
        if as_json:
            print_json(asdict(result))
        else:
            _print(result)


def _print(result: Benchmark) -> None:
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    title = f"whole answers with TTA, {threads}, {result.rounds} rounds"
    speed = Table([*KEYS, "ms: median, 95%, 99%", "times as fast", "images/s"], KEYS, title, key=2)
    cost = Table([*KEYS, "MB", "memory, MB", "start-up, s", "mJ an image"], KEYS, "size, and a fresh process", key=2)
    for row in result.rows:
        measured, name = row.speed, (row.name, row.format)
        times = ", ".join(number(ms, 2) for ms in (measured.p50_ms, measured.p95_ms, measured.p99_ms))
        rate = f"{measured.images_per_second.median:.0f}, {measured.batch} at once"
        speed.add_row(*name, times, _spread(measured.times_faster, 2), rate)
        energy = "–" if measured.millijoules is None else _spread(measured.millijoules, 1)
        memory = number(measured.peak_bytes / 1e6, 0)
        cost.add_row(*name, number(row.bytes / 1e6, 2), memory, _spread(measured.start_seconds, 2), energy)
    out.print(speed)
    out.print(cost)
    if len(result.rows) > 1:
        _print_differences(result)
    line(f"in brackets: least and greatest of the rounds; load {result.load[0]:.1f} before, {result.load[1]:.1f} after")
    line("not logged: no model is of a run of this store" if result.run_id is None
         else f"logged as run {short_id(result.run_id)}")  # fmt: skip


def _print_differences(result: Benchmark) -> None:
    first, others = result.rows[0], result.rows[1:]
    title = f"against {first.name}, {first.format}, on its validation images"
    table = Table([*KEYS, "Δ AUC", "Δ cross-fitted"], KEYS, title, key=2)
    for row in others:
        cells = [_difference(row, metric) for metric in ("val_auc", "val_accuracy_crossfit")]
        table.add_row(row.name, row.format, *cells)
    if any(row.differences for row in others):
        out.print(table)
    for row in others:
        line(f"{row.name}, {row.format}: {_verdict(row, result.margin)}")


def _difference(row: Row, metric: str) -> str:
    found = row.differences.get(metric)
    return "–" if found is None else f"{signed(found.value, 3)} ({signed(found.low, 3)} to {signed(found.high, 3)})"


def _verdict(row: Row, margin: float) -> str:
    if row.not_inferior is None:
        return f"not compared, {row.reason}"
    words = f"not inferior within {margin:g}" if row.not_inferior else f"may lose more than {margin:g}"
    return f"{words}; labels changed: {row.changed_labels}"


def _spread(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}–{spread.high:.{digits}f})"
