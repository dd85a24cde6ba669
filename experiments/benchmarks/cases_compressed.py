"""Compressed files beside their original in float32: size, time, and what their answers lose."""

from __future__ import annotations

import tempfile
from pathlib import Path

from common import Case, Options, data_file, experiment, report, store
from measure import Json, SavedResults

from mobilenet_chest.deploy.benchmark.benchmark import Row, benchmark
from mobilenet_chest.deploy.compress.compress import compress
from mobilenet_chest.errors import CompressionRefused
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.parents import training_tracker
from mobilenet_chest.two_stage import train

NETWORKS = ("mobilenet_v3_large", "efficientnet_lite0")

METHODS = ("int8", "int8-qat", "fp16")

TRAINING = {
    "stage1.epochs": 0, "stage2.epochs": 3, "stage2.lr": 1e-3, "optimizer.batch_size": 48, "tracking.plots": False
}  # fmt: skip


def compressed(options: Options, saved: SavedResults) -> Json:
    """Train each network for a few epochs, compress it by each method, and let the files answer in turn, one thread."""
    rows, notes = [], []
    for name in (options.model,) if options.model else NETWORKS[:1] if options.quick else NETWORKS:
        found = saved.get(name, lambda name=name: _network(name, options))
        rows += found["rows"]
        notes += [f"{name}: {note}" for note in found["notes"]]
    return report(
        rows,
        f"{options.rows} training rows, {options.image_size} pixels; whole answers with TTA by ONNX Runtime on one "
        f"thread; in brackets the least and greatest of {options.rounds} rounds, or the 95% interval of a difference",
        *notes,
    )


def _network(name: str, options: Options) -> Json:
    path, notes = data_file(options, options.rows, options.val_rows), []
    quick = {"stage2.epochs": 1} if options.quick else {}
    config = experiment(options, path, TRAINING | quick, model=name)
    with tempfile.TemporaryDirectory(prefix="benchmark-compressed-") as folder, store(Path(folder)):
        original = train(config, training_tracker(config)).run_id
        assert original is not None
        process_outbox().flush()
        methods = {original: "float32"}
        for method in METHODS:
            shortened = ["stage2.epochs=1"] if options.quick and method == "int8-qat" else []
            try:
                methods[compress(original, method, shortened).run_id] = method
            except CompressionRefused as refused:
                notes.append(str(refused))
        result = benchmark(list(methods), threads=1, rounds=options.rounds)
    notes.append(f"{result.processor}, load {result.load[0]:.1f} before and {result.load[1]:.1f} after")
    rows = [_row(name, methods[str(row.run_id)], row, result.rows[0]) for row in result.rows]
    return {"rows": rows, "notes": notes}


def _row(name: str, method: str, row: Row, original: Row) -> Json:
    faster = row.speed.times_faster
    losses = {
        f"{short}_difference": f"{loss.value:+.4f} ({loss.low:+.4f} to {loss.high:+.4f})" if loss else ""
        for short, loss in (
            ("auc", row.differences.get("val_auc")),
            ("accuracy", row.differences.get("val_accuracy_crossfit")),
        )
    }
    return {
        "model": name,
        "method": method,
        "megabytes": round(row.bytes / 1e6, 2),
        "of_original": round(row.bytes / original.bytes, 2),
        "p50_ms": round(row.speed.p50_ms, 2),
        "times_as_fast": f"{faster.median:.2f} ({faster.low:.2f}–{faster.high:.2f})",
        "images_per_second": round(row.speed.images_per_second.median),
        **losses,
        "changed_labels": "" if row.changed_labels is None else row.changed_labels,
    }


CASES = {"compressed": Case(compressed, "size, time and accuracy of compressed files beside their original")}
