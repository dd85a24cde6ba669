"""Measure what stressed validation costs: ``python …/stress_cost.py EXPERIMENT.yaml [key=value …]``.

In seconds of processor time of this process: the clean validation of an epoch, the stressed one, the copies that are
made once in a training, and the table at its end. No weights are trained.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from mobilenet_chest.config import load
from mobilenet_chest.data.corruptions import CHOOSING
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.training.loop import is_stressed
from mobilenet_chest.training.predict import predict_logits
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.training.stress import stress_inputs, stress_table


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the processor time of the fastest of some repeats."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def main(path: str, *overrides: str) -> None:
    """Print the times, and by how much a stressed epoch in every 15 lengthens validation."""
    torch.set_num_threads(1)
    config = load(path, overrides)
    prepared = prepare(config)
    model, val, cpu = prepared.model.eval(), prepared.data.val, torch.device("cpu")
    inputs = stress_inputs(model, val, 0, cpu)
    logits = predict_logits(model, val.images)
    clean = seconds(lambda: predict_logits(model, val.images))
    stress = seconds(lambda: inputs.record(model, logits))
    copies = seconds(lambda: stressed(val, CHOOSING))
    table = seconds(lambda: stress_table(model, val, cpu), repeats=1)
    print(f"{len(val)} images of {config.data.image_size} pixels, {config.model.name}")
    print(f"clean validation   {clean:.2f} s, {1e3 * clean / len(val):.2f} ms for an image")
    print(f"stressed           {stress:.2f} s more, {stress / clean:.1f} times the clean one")
    print(f"copies, once       {copies:.2f} s, {1e3 * copies / len(inputs.copies):.2f} ms for a copy")
    print(f"table, at the end  {table:.2f} s")
    for epochs in (30, 60, 120):
        for every in (5, 10, 15):
            count = sum(is_stressed(number, epochs, every) for number in range(1, epochs + 1))
            share = 1 + (count * stress + copies) / (epochs * clean)
            print(f"{epochs} epochs, every {every}: {count} stressed epochs, {share:.2f} times clean validation")


if __name__ == "__main__":
    main(*sys.argv[1:])
