"""Time of ``compare`` over many finished runs."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from common import ROOT, Case, Options, data_file, environment, experiment, report, store
from measure import Json, SavedResults, interleaved, spread

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.config.metric_groups import result_name
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

DISTINCT = 25
"""Sets of predictions, of which runs have one in turn: computing their metrics takes longer than comparing them."""

FEW = 5

Scored = tuple[Predictions, dict[str, float]]

RUN_TABLES = ("params", "tags", "latest_metrics", "metrics")


def compare(options: Options, saved: SavedResults) -> Json:
    """Measure wall and processor seconds of the command, from the start of its process, on few runs and many in SQLite.

    A store of few runs is measured beside that of ``options.runs``, in turns: the ratio holds while the machine's speed
    changes.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-store-") as text:
        stores: dict[int, tuple[Path, str]] = {}
        for runs in dict.fromkeys((FEW, options.runs)):
            folder = Path(text) / str(runs)
            with store(folder):
                stores[runs] = folder, fill(options, folder, runs)
        commands: dict[str, Callable[[], tuple[float, float]]] = {}
        for way in ("", ", --baseline", ", --baseline --margin"):
            for runs, (folder, original) in stores.items():
                words = ["--baseline", original] if "--baseline" in way else []
                words += ["--margin", "0.02"] if "--margin" in way else []
                commands[f"compare of {runs}{way}"] = partial(_seconds, folder, words, runs)
        rounds = interleaved(commands, options.rounds, saved)
    rows: list[Json] = []
    for name, measured in rounds.items():
        wall, processor = zip(*measured, strict=True)
        rows.append({"command": name, "seconds": spread(wall), "cpu_seconds": spread(processor)})
    return report(rows, f"each in a new process; {options.val_rows} validation images a run, or a few fewer")


def fill(options: Options, folder: Path, runs: int) -> str:
    """Train once, copy the run with other predictions and metrics, and return the id of the original.

    Args:
        options: ``rows`` and ``val_rows`` are taken from it.
        folder: Of the store, with its ``mlflow.db``.
        runs: How many the store has in the end.
    """
    values = {"stage1.epochs": 1, "stage2.epochs": 1, "model.hidden": [8], "data.image_size": 32}
    values |= {"tracking.plots": False}
    config = experiment(options, data_file(options, options.rows, options.val_rows), values, "mobilenet_v3_small")
    run_id = train(config, MlflowTracker(name="the original")).run_id
    assert run_id is not None
    database = sqlite3.connect(folder / "mlflow.db")
    ((address,),) = database.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,))
    original = Path(str(address).removeprefix("file://")) / "predictions" / "val.parquet"
    table = pd.read_parquet(original)
    generator = np.random.default_rng(0)
    signal = generator.normal(2.2 * table["label"], 1)
    scored: list[Scored] = []
    for _ in range(min(runs - 1, DISTINCT)):
        columns = [1 / (1 + np.exp(1 - signal - 0.7 * generator.normal(size=len(table)))) for _ in range(2)]
        predictions = Predictions(table["row"].to_numpy(), table["label"].to_numpy(), *columns)
        scored.append((predictions, selection_metrics(predictions, EvaluationConfig(), seed=0)))
    for number in range(runs - 1):
        _copy(database, run_id, original, *scored[number % len(scored)])
    database.commit()
    database.close()
    return run_id


def _copy(
    database: sqlite3.Connection, run_id: str, original: Path, predictions: Predictions, metrics: dict[str, float]
) -> None:  # fmt: skip
    new = uuid.uuid4().hex
    changed = {"run_uuid": "?1", "artifact_uri": "replace(artifact_uri, ?2, ?1)"}
    for table in (*RUN_TABLES, "runs"):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        names, values = ", ".join(columns), ", ".join(changed.get(column, column) for column in columns)
        copy = f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE run_uuid = ?2"
        database.execute(copy, (new, run_id))
    values_of_copy = [(value, new, result_name(name)) for name, value in metrics.items()]
    database.executemany("UPDATE latest_metrics SET value = ? WHERE run_uuid = ? AND key = ?", values_of_copy)
    path = Path(str(original).replace(run_id, new))
    path.parent.mkdir(parents=True)
    pd.DataFrame(predictions.columns()).to_parquet(path, index=False)


def _seconds(folder: Path, words: list[str], runs: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "mobilenet_chest", "compare", "--json", *words]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with store(folder), environment(PYTHONPATH=str(ROOT)):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = json.loads(done.stdout)["rows"]
    if len(rows) != runs or not all(row["intervals"] for row in rows):
        raise RuntimeError(f"{' '.join(command)}: {len(rows)} rows of {runs}, or some without intervals")
    return seconds, sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))


CASES = {"compare": Case(compare, "time of comparing many finished runs")}
