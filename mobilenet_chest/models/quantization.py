"""Files of 8-bit integers: static quantisation, calibrated on training images; layers that hurt stay in float32.

How activations are calibrated, and which layers stay, is chosen by the probabilities of validation images: those of the
quantised file against those of the original. No label has a say in it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest import processor
from mobilenet_chest.evaluation.calibration import image_losses
from mobilenet_chest.models.onnx_file import INPUT
from mobilenet_chest.models.onnx_graph import outside_the_network, set_metadata, tidy
from mobilenet_chest.models.onnx_session import BITS, open_session

logger = logging.getLogger(__name__)

CALIBRATIONS = {"min-max": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
"""Ways to choose the range of an activation, by the names that ONNX Runtime has for them."""

CALIBRATION_IMAGES, CHOOSING_IMAGES = 128, 128
"""Training images that give the ranges, and validation images that choose; 32 to 512 made no difference."""

BATCH = 8
"""Images at once while every activation is kept."""

GOAL = 0.01
"""Mean change of probability that is small enough to look no further."""

LAYERS = ("Conv", "Gemm", "MatMul", "Mul", "Add")
"""Operators that can stay in float32 one by one."""

KEPT = (1, 2, 4, 8, 16)
"""Numbers of layers that are tried in float32, at most a quarter of all."""

CHOICES = "quantization"
"""Entry of a quantised file's metadata: what was chosen, by name, as JSON."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantised file.

    Attributes:
        model: ``onnx.ModelProto``, its nodes in order, with the entries :data:`BITS` and :data:`CHOICES` of metadata.
        float32: ``onnx.ModelProto`` of the same network before it was quantised.
        choices: What was chosen, by name, in words.
    """

    model: Any
    float32: Any
    choices: dict[str, str]


def quantized(path: Path, train: Tensor, val: Tensor, seed: int, goal: float = GOAL) -> Quantized:
    """Return a classifier's ONNX file with 8-bit weights for each channel and 8-bit activations.

    Args:
        path: The file, in float32.
        train: uint8 (n, c, s, s), images that give the ranges of activations.
        val: uint8 (n, c, s, s), images that choose.
        seed: Draws the images.
        goal: Mean change of probability that is small enough; above it layers are kept in float32.
    """
    calibrating, choosing = (_drawn(images, count, seed)
                             for images, count in ((train, CALIBRATION_IMAGES), (val, CHOOSING_IMAGES)))  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        float32 = _prepared(path, prepared)
        quantizer = Quantizer(float32, _probabilities(path.read_bytes(), choosing), choosing, goal)
        ranges = {name: _ranges(prepared, method, calibrating) for name, method in CALIBRATIONS.items()}
    trials = {name: quantizer.trial(found) for name, found in ranges.items()}
    calibration = min(trials, key=lambda name: trials[name].loss)
    for name, trial in trials.items():
        logger.info("calibration %s: loss %.5f, mean change %.4f", name, trial.loss, trial.change)
    best = quantizer.with_layers_kept(ranges[calibration], trials[calibration])
    tidy(best.model.graph)
    full = processor.multiplies_bytes()
    bits = "8 bits" if full else "7 bits, because this processor has no VNNI"
    kept = f"{len(best.kept)} of {len(quantizer.layers)}"
    kept += f": {', '.join(best.kept)}" if best.kept else ""
    choices = {"calibration": calibration, "weights": bits, "float32_layers": kept}
    set_metadata(best.model, {BITS: "8" if full else "7", CHOICES: choices})
    return Quantized(best.model, float32, choices)


@dataclass(frozen=True, eq=False)
class Trial:
    """A way to quantise.

    Attributes:
        model: ``onnx.ModelProto``.
        kept: Names of the layers in float32.
        loss: Cross-entropy of its probabilities against the original's, in nats.
        change: Mean change of probability.
    """

    model: Any
    kept: tuple[str, ...]
    loss: float
    change: float


class Quantizer:
    """Quantises one file in several ways, and judges each by the original's probabilities.

    Args:
        model: ``onnx.ModelProto`` in float32, prepared.
        expected: float64 (n,), probabilities of the original.
        images: uint8 (n, c, s, s), the images that they are of.
        goal: Mean change of probability that is small enough to look no further.
    """

    def __init__(
        self, model: Any, expected: NDArray[np.float64], images: NDArray[np.uint8], goal: float = GOAL
    ) -> None:
        self._model, self._expected, self._images, self._goal = model, expected, images, goal
        self._outside = outside_the_network(model.graph)
        inside = [node for node in model.graph.node if node.name not in set(self._outside)]
        self.layers = tuple(node.name for node in inside if node.op_type in LAYERS)

    def trial(self, ranges: Any, kept: Collection[str] = (), only: str | None = None) -> Trial:
        """Quantise, and judge the result.

        Args:
            ranges: Of activations, as a calibrator of ONNX Runtime gives them.
            kept: Layers that stay in float32.
            only: Quantise this layer alone.
        """
        model = self._quantized(ranges, [*self._outside, *kept], only)
        found = _probabilities(model.SerializeToString(), self._images)
        loss = float((self._expected * image_losses("log_loss", np.ones(len(found), np.uint8), found)).mean())
        loss += float(((1 - self._expected) * image_losses("log_loss", np.zeros(len(found), np.uint8), found)).mean())
        return Trial(model, tuple(kept), loss, float(np.abs(found - self._expected).mean()))

    def with_layers_kept(self, ranges: Any, whole: Trial) -> Trial:
        """Return the trial with the fewest layers in float32 that reaches the goal, or the nearest to it.

        Layers are kept in the order of the harm that each does where it alone is quantised.

        Args:
            ranges: Of activations.
            whole: The trial with every layer quantised.
        """
        best = whole
        if whole.change <= self._goal:
            return best
        harm = {layer: self.trial(ranges, only=layer).loss for layer in self.layers}
        ranked = sorted(harm, key=lambda layer: -harm[layer])
        for count in (count for count in KEPT if count <= len(ranked) // 4):
            trial = self.trial(ranges, ranked[:count])
            logger.info("%d layers in float32: mean change %.4f", count, trial.change)
            best = min(best, trial, key=lambda one: one.change)
            if best.change <= self._goal:
                break
        return best

    def _quantized(self, ranges: Any, excluded: list[str], only: str | None) -> Any:
        import onnx
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=not processor.multiplies_bytes(),
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[] if only is None else [only],
            nodes_to_exclude=excluded,
            op_types_to_quantize=[*{**QLinearOpsRegistry, **QDQRegistry}],
            extra_options={},
        )
        quantizer.quantize_model()
        return quantizer.model.model


def _drawn(images: Tensor, count: int, seed: int) -> NDArray[np.uint8]:
    """Return ``count`` images, or all where there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    return np.ascontiguousarray(images.numpy()[np.sort(chosen)])


def _prepared(path: Path, target: Path) -> Any:
    """Return a file with constants folded and shapes inferred, as quantisation needs it; it is also written."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3  # errors only
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.shape_inference.infer_shapes(onnx.load(target))
    outside_the_network(model.graph)  # names every node
    onnx.save(model, target)
    return model


def _ranges(path: Path, method: str, images: NDArray[np.uint8]) -> Any:
    """Return the ranges of a file's activations on images, by a method of ONNX Runtime."""
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    calibrator = create_calibrator(
        path, None, str(path.with_name(f"{method}.onnx")), calibrate_method=CalibrationMethod[method],
        extra_options={"symmetric": False},
    )  # fmt: skip
    with redirect_stdout(StringIO()):  # calibrators print their progress
        for start in range(0, len(images), BATCH):
            calibrator.collect_data(_Reader(images[start : start + BATCH]))
        return calibrator.compute_data()


class _Reader:
    """Gives one batch, as ONNX Runtime's calibrators ask for it."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._batches: Iterator[dict[str, NDArray[np.uint8]]] = iter([{INPUT: images}])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._batches, None)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[dict[str, NDArray[np.uint8]]]:
        return self._batches


def _probabilities(contents: bytes, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probabilities (n,) with TTA that a file gives."""
    session = open_session(contents)
    logits = [session.run(["logit"], {INPUT: images[start : start + 32]})[0] for start in range(0, len(images), 32)]
    return np.asarray(1 / (1 + np.exp(-np.concatenate(logits).astype(np.float64))))
