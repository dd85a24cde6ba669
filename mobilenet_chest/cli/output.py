"""What commands print: tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mobilenet_chest.config import Config, flatten

if TYPE_CHECKING:
    from mobilenet_chest.cache import Entry
    from mobilenet_chest.cli.doctor import Finding
    from mobilenet_chest.evaluation.intervals import Interval
    from mobilenet_chest.registry.gates import GateResult
    from mobilenet_chest.registry.promote import Promotion
    from mobilenet_chest.selection.evaluate import Evaluation
    from mobilenet_chest.selection.ledger import Access
    from mobilenet_chest.training.stages import Prepared
    from mobilenet_chest.two_stage import RunResult

PLAIN_WIDTH = 300
"""Columns of a table that goes to a file or a pipe, where rich would cut cells to fit 80."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def line(text: str) -> None:
    """One line on stdout, as it is."""
    out.print(text, markup=False)


def print_json(document: Any) -> None:
    """One JSON document; NaN and infinity, which JSON does not have, become null."""
    sys.stdout.write(json.dumps(_plain(document), indent=2) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def dry_run(
    config: Config, prepared: Prepared, as_json: bool, trials: int | None = None, confirmations: int = 0
) -> None:
    """The resolved experiment, rows, parameters and what would be done."""
    from mobilenet_chest.models.zoo import parameter_counts

    parameters, parameters_stage1 = parameter_counts(prepared.model)
    document: dict[str, Any] = {
        "config": config.resolved(),
        "rows": prepared.data.counts(),
        "parameters": parameters,
        "parameters_stage1": parameters_stage1,
        "epochs": {"stage1": config.stage1.epochs, "stage2": config.stage2.epochs},
        "device": str(prepared.device),
        "data_digest": prepared.data.digest,
    } | ({} if trials is None else {"trials": trials})
    if config.data.drop_duplicates:
        document["dropped_duplicates"] = prepared.data.dropped
    if config.study.confirm is not None and trials is not None:
        document["confirmations"] = confirmations
    if as_json:
        print_json(document)
        return
    table = Table(title=f"{config.name}: nothing is trained or written", show_header=False)
    for key, value in flatten(config.training_fields()).items():
        table.add_row(key, json.dumps(value) if not isinstance(value, str) else value)
    out.print(table)
    for split, counts in prepared.data.counts().items():
        line(f"{split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    if config.data.drop_duplicates:
        line(f"left out of train as duplicates: {prepared.data.dropped}")
    line(f"parameters: {parameters:,} in all, {parameters_stage1:,} trained in stage 1; device {prepared.device}")
    line(f"epochs: {config.stage1.epochs} frozen, {config.stage2.epochs} of everything")
    if trials is not None:
        for path, distribution in config.search.items():
            shown = distribution.model_dump(exclude_defaults=True)
            line(f"search {path}: " + ", ".join(f"{key} {value}" for key, value in shown.items()))
        from mobilenet_chest.sweep.splits import rows_of_trials

        line(f"trials to come: {trials} of {config.study.trials}{rows_of_trials(config, prepared.data)}")
        if confirm := config.study.confirm:
            leaders = f"up to {confirm.top} leaders, each on {confirm.seeds} fresh seeds"
            line(f"then, to confirm: {confirmations} again ({leaders})")


def training(config: Config, result: RunResult, as_json: bool) -> None:
    """The figures of one training."""
    from mobilenet_chest.evaluation.metric_intervals import metric_intervals
    from mobilenet_chest.evaluation.run_predictions import RunPredictions

    scored = RunPredictions(result.predictions, result.metrics, config.evaluation, config.seed)
    intervals = metric_intervals("val", result.metrics, scored)
    if as_json:
        print_json({"run_id": result.run_id, "status": result.status, "metrics": result.metrics,
                    "intervals": ends(intervals)})  # fmt: skip
        return
    metrics_table(f"{config.name}, run {result.run_id}", result.metrics, intervals)
    line("browse:  mlflow ui")
    line(f"promote: mobilenet-chest promote {result.run_id}")


def metrics_table(title: str, metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> None:
    """A line for each figure, with its 95% interval where it has one."""
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, with_interval(value, intervals.get(name)))
    out.print(table)


def promotion(result: Promotion, as_json: bool) -> None:
    """What a promotion did, or would do."""
    if as_json:
        print_json(asdict(result) | {"intervals": ends(result.intervals)})
        return
    for reason in result.reasons:
        line(reason)
    gates(result.gates)
    if not result.promoted:
        return
    line(f"{result.alias} of '{result.name}' is version {result.version}, run {result.run_id}")
    _figures(result.test, result.intervals)
    openings(result.openings)
    line(f'use: mlflow.pyfunc.load_model("models:/{result.name}@{result.alias}").predict(uint8_images)')


def gates(verdicts: Sequence[GateResult]) -> None:
    """What each gate found, a line each."""
    for verdict in verdicts:
        line(str(verdict))


def evaluation(result: Evaluation, as_json: bool) -> None:
    """Figures of one split."""
    if as_json:
        print_json(asdict(result) | {"intervals": ends(result.intervals)})
        return
    line(f"run {result.run_id}, {result.split}: {result.rows} images; test openings so far: {len(result.openings)}")
    _figures(result.metrics, result.intervals)
    if result.split == "test":
        openings(result.openings)


def _figures(metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> None:
    for name, value in metrics.items():
        interval = intervals.get(name)
        line(f"  {name:<28} {value:.4f}" + (f" ({interval.low:.4f}–{interval.high:.4f})" if interval else ""))


def openings(found: Sequence[Access]) -> None:
    """Who has opened the test split, a line each."""
    from mobilenet_chest.selection.ledger import access_lines

    line("openings of the test split:" if found else "the test split has not been opened")
    for text in access_lines(found):
        line(f"  {text}")


def examination(findings: Sequence[Finding]) -> bool:
    """The doctor's table; whether everything the main job needs is well."""
    table = Table()
    for heading in ("what", "state", "detail"):
        table.add_column(heading)
    for finding in findings:
        state = "ok" if finding.ok else "BAD" if finding.needed else "missing, optional"
        table.add_row(finding.what, state, escape(finding.detail))
    out.print(table)
    return all(finding.ok for finding in findings if finding.needed)


def cache_entries(where: Path | None, entries: Sequence[Entry], limit: int) -> None:
    """What the cache holds, the least recently used first: the order in which entries go."""
    if where is None:
        line("the cache is off (MOBILENET_CHEST_CACHE=off)")
        return
    table = Table()
    for heading in ("kind", "what", "MB", "last used"):
        table.add_column(heading, justify="right" if heading == "MB" else "left")
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "seconds")
        table.add_row(entry.kind, escape(entry.about), f"{entry.size / 1e6:.1f}", used)
    if entries:
        out.print(table)
    line(f"{sum(entry.size for entry in entries) / 1e6:.0f} of {limit / 1e6:.0f} MB used in {where}")


def data_info(source: str | None) -> None:
    """Names and labels of a dataset or of all of them, or what a file holds."""
    from mobilenet_chest.data.medmnist import PHANTOM, dataset_info, dataset_names
    from mobilenet_chest.data.npz import NpzFile

    if source is not None and source.endswith(".npz"):
        file = NpzFile(Path(source))
        for split in file.splits:
            labels = file.labels(split)
            line(f"{split}: {len(labels)} rows, labels {labels.shape}, sums {labels.sum(axis=0).tolist()}")
        return
    for name in [source] if source is not None else dataset_names():
        info = dataset_info(name)
        sizes = "made here at any size" if name == PHANTOM else ", ".join(map(str, info.sizes)) + " pixels"
        kind = "gray" if info.channels == 1 else "colour"
        line(f"{info.name}: {kind}, {info.task}, {sizes}; labels: {', '.join(map(repr, info.label_names))}")


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A figure and its interval to a tenth of a point, which is finer than any of them is known."""
    to = "–" if interval is None or interval.low >= 0 else " to "
    return number(value) + (f" ({interval.low:.3f}{to}{interval.high:.3f})" if interval else "")


def ends(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    """Intervals as JSON documents have them: the two ends, by the figure's name."""
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def number(value: Any) -> str:
    """A figure in four digits or so; nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return f"{value:.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4g}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None:
        return "unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
