"""Training steps on small images, whose last maps are smaller than the kernels, beside torch's own convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from common import Case, Options, report
from measure import Json, SavedResults, interleaved, ratios, spread
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.small_maps import DepthwiseConv2d, PointwiseConv2d
from mobilenet_chest.models.zoo import build_model

SIZES = (28, 48, 64, 128)
BATCHES = (32, 128)


def small_maps(options: Options, saved: SavedResults) -> Json:
    """Measure milliseconds of a training step of all layers with AdamW, one thread, random images."""
    torch.set_num_threads(1)
    actions: dict[str, Callable[[], float]] = {}
    for size in SIZES[:1] if options.quick else SIZES:
        for batch in BATCHES:
            for kind in ("torch", "ours"):
                actions[f"{size}, {batch}, {kind}"] = _step(_network(kind), size, batch)
    rounds = interleaved(actions, options.rounds, saved)
    rows = []
    for name, seconds in rounds.items():
        if name.endswith("torch"):
            ours = rounds[name.replace("torch", "ours")]
            size, batch, _ = name.split(", ")
            steps = {"torch_ms": spread([s * 1e3 for s in seconds]), "ours_ms": spread([s * 1e3 for s in ours])}
            rows.append({"size": int(size), "batch": int(batch), **steps, "times_faster": ratios(seconds, ours)})
    return report(rows, "MobileNetV3-Large, gray images, float32, one thread", raw=rounds)


def _network(kind: str) -> Classifier:
    torch.manual_seed(0)
    model = build_model(ModelConfig(name="mobilenet_v3_large", weights="none"), 1).train()
    for module in model.modules():
        if kind == "torch" and isinstance(module, (DepthwiseConv2d, PointwiseConv2d)):
            module.__class__ = nn.Conv2d
    return model


def _step(model: Classifier, size: int, batch: int) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batch, 1, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (batch,), generator=generator).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        begun = time.process_time()
        binary_cross_entropy_with_logits(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.process_time() - begun

    step()
    return step


CASES = {"small_maps": Case(small_maps, "training steps on small images beside torch's own convolutions")}
