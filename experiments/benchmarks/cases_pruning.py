"""Answers of a pruned classifier beside the whole one's, by ONNX Runtime, with random weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cases_serving import BATCHES, METADATA, MODELS, SECONDS, timed
from common import Case, Options, report
from measure import Json, SavedResults, interleaved, ratios, spread

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.pruning import prune_channels
from mobilenet_chest.models.zoo import build_model, parameter_counts

RATIOS = (0.0, 0.3, 0.5)


def pruned(options: Options, saved: SavedResults) -> Json:
    """Measure milliseconds of CPU time an image of a whole answer with TTA, one thread, by share of channels pruned."""
    torch.set_num_threads(1)
    actions: dict[str, Callable[[], float]] = {}
    sizes: dict[tuple[str, float], tuple[int, int]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-pruning-") as folder:
        for name in MODELS:
            for ratio in RATIOS:
                path, network = Path(folder) / f"{name}-{ratio}.onnx", _network(name, ratio, options.image_size)
                onnx_file.write(DeployedClassifier(network, 1.0, 0.5), options.image_size, 1, METADATA, path)
                sizes[name, ratio] = parameter_counts(network)[0], path.stat().st_size
                file = onnx_file.OnnxClassifier(path, threads=1)
                for batch in BATCHES:
                    images = np.random.default_rng(1).integers(0, 256, (batch, *[options.image_size] * 2), np.uint8)
                    seconds = 0.1 if options.quick else SECONDS
                    actions[f"{name}, {batch}, {ratio}"] = timed(lambda f=file, i=images: f.predict(i), batch, seconds)
        load_before = os.getloadavg()[0]
        rounds = interleaved(actions, options.rounds, saved)
    rows = []
    for name in MODELS:
        for ratio in RATIOS[1:]:
            for batch in BATCHES:
                whole, smaller = (rounds[f"{name}, {batch}, {share}"] for share in (0.0, ratio))
                rows.append(
                    {
                        "model": name,
                        "pruned": ratio,
                        "batch": batch,
                        "parameters": sizes[name, ratio][0] / sizes[name, 0.0][0],
                        "file": sizes[name, ratio][1] / sizes[name, 0.0][1],
                        "whole_ms": spread(whole),
                        "pruned_ms": spread(smaller),
                        "times_faster": ratios(whole, smaller),
                    }
                )
    return report(
        rows,
        f"{options.image_size}×{options.image_size} gray images, whole answers with TTA by ONNX Runtime, one thread, "
        f"ms of CPU time an image; load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
        raw=rounds,
    )


def _network(name: str, ratio: float, size: int) -> Classifier:
    torch.manual_seed(0)
    model = build_model(ModelConfig(name=name, weights="none"), 1).eval()
    if ratio:
        prune_channels(model, ratio, size)
    return model.eval()


CASES = {"pruned": Case(pruned, "whole answers of pruned classifiers beside the whole ones")}
