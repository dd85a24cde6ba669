"""Compression: a run's model is made smaller or faster, and becomes a run that must prove itself against it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mobilenet_chest.combine.members import ProgressDisplay, no_display
from mobilenet_chest.deploy.compress import half, int8
from mobilenet_chest.deploy.compress.file_run import check_earlier, check_trained, compress_file
from mobilenet_chest.deploy.compress.measure import measure
from mobilenet_chest.deploy.compress.original import Original, check_compressible
from mobilenet_chest.deploy.compress.trained import compress_by_training, compressed_config
from mobilenet_chest.errors import TrackingError, UserError, allowed_names
from mobilenet_chest.evaluation.paired import BASELINE_METRICS, PairedComparison, compare_with_baseline
from mobilenet_chest.registry.classifier import file_metadata, write_onnx
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.runs import find_run, get_run
from mobilenet_chest.tracking.store import as_tracking_lost, connect
from mobilenet_chest.tracking.tracker import MlflowTracker

MARGIN = 0.01
"""Largest loss of AUC and of accuracy with which a compressed model is not inferior to its original."""

METHODS: dict[str, Callable[[Original], str]] = {
    "int8": partial(compress_file, method="int8", convert=int8.static),
    "fp16": partial(compress_file, method="fp16", convert=half.fp16),
    "bf16": partial(compress_file, method="bf16", convert=half.bf16),
}
"""Methods that make a file of the original's: each logs a run of kind :data:`~.tags.COMPRESSED_KIND` below the
original, and returns its id."""

TRAINED_METHODS = ("prune", "unstructured", "int8-qat")
"""Methods that train: values of ``compress.method``."""


@dataclass(frozen=True)
class Compressed:
    """A compressed model. The attributes are the keys of ``compress --json``.

    Attributes:
        run_id: Its run.
        original: Run id of its original.
        method: A name of :data:`METHODS` or :data:`TRAINED_METHODS`.
        choices: What the method has chosen, by name.
        metrics: Of the run: those of the validation rows, and what :func:`~.measure.measure` returns.
        differences: The run minus its original, by ``val_auc`` and ``val_accuracy_crossfit``.
    """

    run_id: str
    original: str
    method: str
    choices: dict[str, str]
    metrics: dict[str, float]
    differences: dict[str, PairedComparison]

    @property
    def not_inferior(self) -> bool:
        """Whether every metric is shown to lose less than :data:`MARGIN`."""
        return all(difference.not_inferior for difference in self.differences.values())


@as_tracking_lost()
def compress(
    reference: str, method: str, overrides: Sequence[str] = (), display: ProgressDisplay = no_display
) -> Compressed:  # fmt: skip
    """Compress a run's model, and log the result as a run with predictions, metrics, size and latency.

    Args:
        reference: A run, or a study, which means its best run.
        method: A name of :data:`METHODS` or :data:`TRAINED_METHODS`.
        overrides: ``key=value`` of the experiment that a method trains.
        display: Shows the training.

    Raises:
        UserError: There is no such method or run; the run has no weights or predictions; or its data changed.
        ExportFailed: The model cannot be written or compressed.
        CompressionRefused: The compressed model predicts too differently; nothing is logged, or its run is FAILED.
    """
    known = (*METHODS, *TRAINED_METHODS)
    if method not in known:
        raise UserError(f"--method {method}: there is no such method{allowed_names(method, known)}")
    if overrides and method in METHODS:
        raise UserError(f"{overrides[0]}: --method {method} trains nothing; leave it out, or choose a method that does")
    client = connect()
    run = find_run(client, reference).run
    config = run_config(client, run)
    check_compressible(run, config)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        original = Original(client, run, config, Path(folder) / "original.onnx")
        if method in TRAINED_METHODS:
            check = partial(check_trained, original) if method == "int8-qat" else None
            run_id = compress_by_training(compressed_config(config, original.run_id, method, overrides), display, check)
            if check is not None:
                check_earlier(original, run_id)
        write_onnx(client, run, config, file_metadata(client, run, config), original.path)
        if method in METHODS:
            run_id = METHODS[method](original)
        _log_costs(original, run_id, Path(folder) / "compressed.onnx")
    compressed = get_run(client, run_id)
    prefix = f"{tags.COMPRESSION}_"
    choices = {
        name.removeprefix(prefix): value for name, value in compressed.data.tags.items() if name.startswith(prefix)
    }
    predictions = load_run_predictions([compressed])[run_id]
    if isinstance(predictions, str):
        raise TrackingError(f"run {run_id}: {predictions}; compress again")
    differences = {
        metric: compare_with_baseline(metric, original.run_predictions, [predictions], MARGIN)[0]
        for metric in BASELINE_METRICS
    }
    return Compressed(run_id, original.run_id, method, choices, metrics_of(compressed), differences)


def _log_costs(original: Original, run_id: str, path: Path) -> None:
    """Measure the file of a compressed run beside the original's, unless that was done before."""
    run = get_run(original.client, run_id)
    if "file_bytes" in metrics_of(run):
        return
    config = run_config(original.client, run)
    write_onnx(original.client, run, config, file_metadata(original.client, run, config), path)
    MlflowTracker(resume=run_id).log_metrics(measure(original.path, path, original.scored.images))
