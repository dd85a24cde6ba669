"""Training steps on small images, whose last maps are smaller than the kernels, beside torch's own convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from common import Case, Options, report
from measure import Json, SavedResults, interleaved, ratios, spread
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.small_maps import DepthwiseConv2d, PointwiseConv2d, single_pixels
from mobilenet_chest.models.zoo import build_model

SIZES = (28, 48, 64, 128)
BATCHES = (32, 128)

POINTWISE_SIDES = (1, 2, 3, 4, 5, 6, 7, 8)
CHANNELS = ((40, 240), (240, 40), (112, 672), (672, 112), (960, 160))
"""Channels of layers of MobileNetV3-Large: of the maps that come in, and of those that go out."""

REPEATS = 5


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


def pointwise(options: Options, saved: SavedResults) -> Json:
    """Measure a convolution of single pixels, forward and backward, by the side of its maps."""
    torch.set_num_threads(1)
    sides, pairs = (POINTWISE_SIDES[:1], CHANNELS[:1]) if options.quick else (POINTWISE_SIDES, CHANNELS)
    actions: dict[str, Callable[[], float]] = {}
    for side in sides:
        for batch in BATCHES:
            for channels in pairs:
                for kind in ("torch", "ours"):
                    actions[f"{side}, {batch}, {channels}, {kind}"] = _convolution(kind, side, batch, channels)
    rounds = interleaved(actions, options.rounds, saved)
    rows = []
    for side in sides:
        for batch in BATCHES:
            cells = [f"{side}, {batch}, {channels}" for channels in pairs]
            each = [ratios(rounds[f"{cell}, torch"], rounds[f"{cell}, ours"])["median"] for cell in cells]
            rows.append({"side_of_the_maps": side, "batch": batch, "times_faster": spread(each)})
    return report(rows, f"as a product of matrices beside torch's own, float32, one thread; channels {CHANNELS}; the "
                  "spread is over them", raw=rounds)  # fmt: skip


def _convolution(kind: str, side: int, batch: int, channels: tuple[int, int]) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(*reversed(channels), 1, 1, generator=generator).requires_grad_()
    maps, gradient = (
        torch.randn(batch, count, side, side, generator=generator).to(memory_format=torch.channels_last)
        for count in channels
    )
    maps.requires_grad_()
    convolve = conv2d if kind == "torch" else single_pixels

    def step() -> float:
        begun = time.perf_counter()
        for _ in range(REPEATS):
            convolve(maps, weight).backward(gradient)
        seconds = time.perf_counter() - begun
        maps.grad = weight.grad = None
        return seconds

    step()
    return step


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


CASES = {
    "small_maps": Case(small_maps, "training steps on small images beside torch's own convolutions"),
    "pointwise": Case(pointwise, "convolutions of single pixels beside torch's own, by the side of the maps"),
}
