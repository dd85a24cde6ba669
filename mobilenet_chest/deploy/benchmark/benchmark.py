"""The benchmark: files of classifiers side by side, in speed, cost, and what they predict."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric

from mobilenet_chest.deploy.benchmark.rounds import BATCHES, Engine, Speed, Spread, measure
from mobilenet_chest.deploy.benchmark.subject import Subject, subjects_of
from mobilenet_chest.deploy.formats import FORMATS
from mobilenet_chest.errors import UserError, allowed_names
from mobilenet_chest.evaluation.paired import BASELINE_METRICS, PairedComparison, compare_with_baseline
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.models.onnx_session import thread_count
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import rows_digest
from mobilenet_chest.tracking.store import as_tracking_lost, connect

ROUNDS, MARGIN = 5, 0.01
LARGEST_BATCH = 256


@dataclass(frozen=True)
class Row:
    """A file and what was measured of it.

    Attributes:
        name: Of the model or file.
        format: Of the file.
        run_id: The run that it is of, where the store has it.
        bytes: Its size.
        speed: What was timed.
        differences: By metric, the file's minus the first one's, on the same validation rows.
        changed_labels: Validation rows to which it gives another label than the first does, each at its own threshold.
        not_inferior: Whether it is worse by less than the margin in both metrics; ``None`` where that is unknown.
        reason: Why there are no differences; empty where there are.
    """

    name: str
    format: str
    run_id: str | None
    bytes: int
    speed: Speed
    differences: dict[str, PairedComparison]
    changed_labels: int | None
    not_inferior: bool | None
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """All rows, the first of which others are compared with. The attributes are the keys of ``benchmark --json``.

    Attributes:
        rows: One for each file.
        threads: Of each engine.
        rounds: That were counted.
        margin: What may be lost of AUC and accuracy.
        processor: Its name.
        load: Load average over a minute, before and after.
        run_id: The run that it was logged to; ``None`` where no file is of a run of the store.
    """

    rows: list[Row]
    threads: int
    rounds: int
    margin: float
    processor: str
    load: tuple[float, float]
    run_id: str | None


@as_tracking_lost()
def benchmark(
    references: Sequence[str],
    formats: Sequence[str] = ("onnx",),
    threads: int | None = None,
    batch: int | None = None,
    rounds: int = ROUNDS,
    margin: float = MARGIN,
) -> Benchmark:
    """Measure models and files side by side, and compare their predictions with the first one's.

    Args:
        references: Each ``models:/…``, a run, a study, or a file of ``export``.
        formats: Formats in which models are written to be measured; a file has its own.
        threads: Of each engine; by default as many as ``serve`` uses.
        batch: Images at once for the throughput; by default the best of :data:`~.rounds.BATCHES`.
        rounds: In each, all files answer in turn.
        margin: Loss of AUC and accuracy that still counts as not inferior.

    Raises:
        UserError: There is no such model, file or format, it cannot be predicted with here, or a number is wrong.
        ExportFailed: A model cannot be written in a format.
    """
    _check(references, formats, threads, batch, rounds, margin)
    threads, client = threads or thread_count(), connect()
    batches = BATCHES if batch is None else (batch,)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as work:
        subjects: list[Subject] = []
        for number, reference in enumerate(references):
            subjects += subjects_of(client, reference, formats, Path(work) / str(number))
        for subject in subjects:
            if subject.format.cannot_run:
                raise UserError(f"{subject.name}: cannot be measured here; {subject.format.cannot_run}")
        engines = []
        for number, subject in enumerate(subjects):
            np.save(images := Path(work) / f"{number}.npy", subject.images(max(batches)))
            engines.append(Engine(subject.format.name, subject.path, images))
        before = os.getloadavg()[0]
        speeds = measure(engines, threads, rounds, batches)
        load = (before, os.getloadavg()[0])
        rows = _rows(client, subjects, speeds, threads, margin)
    result = Benchmark(rows, threads, rounds, margin, processor_name(), load, None)
    run_id = _log(client, result, subjects)
    return Benchmark(rows, threads, rounds, margin, result.processor, load, run_id)


def _check(
    references: Sequence[str], formats: Sequence[str], threads: int | None, batch: int | None, rounds: int,
    margin: float,
) -> None:  # fmt: skip
    if not references:
        raise UserError("name a model to measure: models:/NAME@champion, a run, a study, or a file of export")
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--format {name}: there is no such format{allowed_names(name, FORMATS)}")
        if FORMATS[name].cannot_run:
            raise UserError(f"--format {name}: cannot be measured here; {FORMATS[name].cannot_run}")
        FORMATS[name].check_installed()
    processors = os.cpu_count() or 1
    if threads is not None and not 1 <= threads <= processors:
        raise UserError(f"--threads {threads}: give 1 to {processors}, the processors of this machine")
    if batch is not None and not 1 <= batch <= LARGEST_BATCH:
        raise UserError(f"--batch {batch}: give 1 to {LARGEST_BATCH} images, such as 32")
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: give 1 or more, such as {ROUNDS}")
    if not 0 < margin < 1:
        raise UserError(f"--margin {margin:g}: a share between 0 and 1, such as {MARGIN} for one point")


def _rows(
    client: MlflowClient, subjects: Sequence[Subject], speeds: Sequence[Speed], threads: int, margin: float
) -> list[Row]:  # fmt: skip
    scores = [subject.predictions(client, threads) for subject in subjects] if len(subjects) > 1 else []
    reasons = [_why_not(subjects[0], scores[0], *pair) for pair in zip(subjects, scores, strict=True)] if scores else []
    paired = [number for number, reason in enumerate(reasons) if number and not reason]
    found: dict[int, dict[str, PairedComparison]] = {number: {} for number in paired}
    for metric in BASELINE_METRICS if paired else ():
        others = [each for number in paired if not isinstance(each := scores[number], str)]
        assert not isinstance(scores[0], str)
        for number, comparison in zip(paired, compare_with_baseline(metric, scores[0], others, margin), strict=True):
            found[number][metric] = comparison
    rows = []
    for number, (subject, speed) in enumerate(zip(subjects, speeds, strict=True)):
        differences = found.get(number, {})
        rows.append(Row(
            name=subject.name,
            format=subject.format.name,
            run_id=None if subject.run is None else str(subject.run.info.run_id),
            bytes=subject.bytes,
            speed=speed,
            differences=differences,
            changed_labels=_changed_labels(scores[0], scores[number]) if differences else None,
            not_inferior=all(each.not_inferior for each in differences.values()) if differences else None,
            reason=reasons[number] if number else "",
        ))  # fmt: skip
    return rows


def _why_not(first: Subject, first_scores: RunPredictions | str, subject: Subject, scores: RunPredictions | str) -> str:
    """Return why two files' predictions cannot be compared; empty where they can."""
    if isinstance(scores, str):
        return scores
    if isinstance(first_scores, str):
        return f"the first file has no predictions: {first_scores}"
    assert first.run is not None
    assert subject.run is not None
    if rows_digest(first.run) != rows_digest(subject.run) or scores.images_digest != first_scores.images_digest:
        return "it was validated on other rows than the first"
    return ""


def _changed_labels(first: RunPredictions | str, other: RunPredictions | str) -> int:
    assert not isinstance(first, str)
    assert not isinstance(other, str)
    labels = [each.predictions.probability_tta >= each.metrics["threshold"] for each in (first, other)]
    return int((labels[0] != labels[1]).sum())


def processor_name() -> str:
    """Return what the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _log(client: MlflowClient, result: Benchmark, subjects: Sequence[Subject]) -> str | None:
    """Log a benchmark as a run beside the run of the first file that has one; return its id."""
    owner = next((subject.run for subject in subjects if subject.run is not None), None)
    if owner is None:
        return None
    names = ", ".join(dict.fromkeys(subject.name for subject in subjects))
    run = client.create_run(
        owner.info.experiment_id, run_name=f"benchmark of {names}"[:250], tags={tags.KIND: tags.BENCHMARK_KIND}
    )
    run_id = str(run.info.run_id)
    metrics = []
    for number, row in enumerate(result.rows, 1):
        group = re.sub(r"[^\w\-. ]", "_", f"{number} {row.name} {row.format}")
        metrics += [Metric(f"{group}/{name}", value, 0, 0) for name, value in _figures(row).items()]
    client.log_batch(run_id, metrics=metrics)
    settings = {"threads": result.threads, "rounds": result.rounds, "margin": result.margin,
                "processor": result.processor, "load_before": result.load[0]}  # fmt: skip
    for name, setting in settings.items():
        client.log_param(run_id, name, setting)
    client.log_dict(run_id, asdict(result), "benchmark.json")
    client.set_terminated(run_id)
    return run_id


def _figures(row: Row) -> dict[str, float]:
    """Return the numbers of a row, by the names of their metrics."""
    figures: dict[str, float] = {"bytes": row.bytes}
    for name, value in vars(row.speed).items():
        if isinstance(value, Spread):
            figures |= {name: value.median, f"{name}_low": value.low, f"{name}_high": value.high}
        elif value is not None:
            figures[name] = value
    for metric, difference in row.differences.items():
        short = metric.removeprefix("val_")
        figures |= {f"{short}_difference": difference.value, f"{short}_difference_low": difference.low}
        figures[f"{short}_difference_high"] = difference.high
    if row.changed_labels is not None:
        figures["changed_labels"] = row.changed_labels
    return figures
