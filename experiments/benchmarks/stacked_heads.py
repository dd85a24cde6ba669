"""Measure whether many heads train faster as one batched computation than one by one, on frozen features.

``python experiments/benchmarks/stacked_heads.py [--rounds N]``. The heads differ in seed, learning rate and order of
rows. Stacked, their layers are batched matrix products, and one fused AdamW updates each head's slice of the stacked
weights. It prints the table of ``experiments/results/negative.md``; rounds are interleaved, on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, hardswish

from mobilenet_chest.models.head import build_head

ROWS, FEATURES, BATCH = 480, 960, 48
HEADS = 16
EPOCHS = 5

WIDTHS: tuple[tuple[int, ...], ...] = ((), (64,), (256,), (1280,))
"""Hidden layers of the heads; the last one is MobileNetV3-Large's own."""


def rows() -> tuple[Tensor, Tensor]:
    """Return features float32 (n, f) and labels float32 (n,)."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(ROWS, FEATURES, generator=generator)
    return features, (torch.rand(ROWS, generator=generator) > 0.5).float()


def new_heads(hidden: Sequence[int], count: int, dropout: float) -> list[nn.Sequential]:
    """Return heads with different weights."""
    heads = []
    for seed in range(count):
        torch.manual_seed(seed)
        heads.append(build_head(FEATURES, hidden, dropout))
    return heads


def rates(count: int) -> list[float]:
    """Return a learning rate for each head."""
    return [1e-3 * 1.1**number for number in range(count)]


def orders(count: int, epoch: int) -> Tensor:
    """Return the order of the rows for each head in an epoch: int64 (heads, n)."""
    generators = [torch.Generator().manual_seed(100 * head + epoch) for head in range(count)]
    return torch.stack([torch.randperm(ROWS, generator=generator) for generator in generators])


def one_by_one(heads: Sequence[nn.Sequential], epochs: int = EPOCHS) -> None:
    """Train each head alone, with fused AdamW."""
    features, labels = rows()
    for number, (head, rate) in enumerate(zip(heads, rates(len(heads)), strict=True)):
        optimizer = torch.optim.AdamW(head.parameters(), lr=rate, fused=True)
        for epoch in range(epochs):
            order = orders(len(heads), epoch)[number]
            for batch in order.split(BATCH):
                loss = binary_cross_entropy_with_logits(head(features[batch])[:, 0], labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def stacked(heads: Sequence[nn.Sequential], epochs: int = EPOCHS) -> None:
    """Train all heads at once; their weights are written back."""
    features, labels = rows()
    layers = [[layer for layer in head if isinstance(layer, nn.Linear)] for head in heads]
    drops = [layer.p for layer in heads[0] if isinstance(layer, nn.Dropout)]
    stacks = [
        torch.stack([getattr(head[depth], name).detach() for head in layers]).requires_grad_()
        for depth in range(len(layers[0]))
        for name in ("weight", "bias")
    ]
    for stack in stacks:
        stack.grad = torch.zeros_like(stack)
    slices = [[nn.Parameter(stack.detach()[number]) for stack in stacks] for number in range(len(heads))]
    for number, parameters in enumerate(slices):
        for parameter, stack in zip(parameters, stacks, strict=True):
            assert stack.grad is not None
            parameter.grad = stack.grad[number]
    groups = [{"params": each, "lr": rate} for each, rate in zip(slices, rates(len(heads)), strict=True)]
    optimizer = torch.optim.AdamW(groups, fused=True)
    for epoch in range(epochs):
        for batch in orders(len(heads), epoch).split(BATCH, dim=1):
            values = features[batch]
            if len(stacks) == 2:
                values = _dropped(values, drops[0])
            for depth in range(0, len(stacks), 2):
                values = torch.baddbmm(stacks[depth + 1][:, None], values, stacks[depth].transpose(1, 2))
                if depth + 2 < len(stacks):
                    values = _dropped(hardswish(values), drops[depth // 2])
            losses = binary_cross_entropy_with_logits(values[..., 0], labels[batch], reduction="none").mean(1)
            for stack in stacks:
                assert stack.grad is not None
                stack.grad.zero_()
            losses.sum().backward()
            optimizer.step()
    with torch.no_grad():
        for number, head in enumerate(heads):
            for parameter, stack in zip(head.parameters(), stacks, strict=True):
                parameter.copy_(stack[number])


def _dropped(values: Tensor, probability: float) -> Tensor:
    return nn.functional.dropout(values, probability) if probability else values


def seconds(act: Callable[[Sequence[nn.Sequential]], None], hidden: Sequence[int]) -> float:
    """Return what training new heads takes."""
    heads = new_heads(hidden, HEADS, 0.2)
    begun = time.perf_counter()
    act(heads)
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    steps = EPOCHS * ROWS // BATCH * HEADS
    print("| hidden layers | one by one, ms a step | stacked, ms a step and head | times faster |\n|---|---|---|---|")
    for hidden in WIDTHS:
        pairs = [(seconds(one_by_one, hidden), seconds(stacked, hidden)) for _ in range(rounds)]
        ratios = sorted(single / together for single, together in pairs)
        single, together = (1000 * statistics.median(each) / steps for each in zip(*pairs, strict=True))
        shown = "none" if not hidden else ", ".join(map(str, hidden))
        print(
            f"| {shown} | {single:.2f} | {together:.2f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f}–{ratios[-1]:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
