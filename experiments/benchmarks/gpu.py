"""Measure training on an NVIDIA GPU: ``python experiments/benchmarks/gpu.py [--out FOLDER] [--small]``.

It measures the source report's recipe on synthetic radiographs from random weights: the seconds of a whole training,
images a second of fine-tuning in each precision beside a conventional loop on the same card, memory, the share of time
that the card computes, and whether the first epochs are those of the CPU. It writes ``FOLDER/gpu.json`` and
``FOLDER/gpu.md``. After a kill, or when ``--seconds`` have passed, the same command measures what is missing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import conventional
import measure
import torch
from common import cold_cache, data_file, experiment
from measure import Json

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.two_stage import train

SECONDS = 330.0
"""No measurement begins later; what is missing then is measured by the next run."""

PRECISIONS = {"cuda": ("fp32", "bf16", "fp16"), "cpu": ("fp32",)}
"""The last one is what ``auto`` chooses there."""


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        rows: Training and validation rows.
        pixels: Side of an image.
        epochs: Of both stages of the whole training.
        rounds: Of the comparison with the conventional loop.
        equal_rows: Training rows of the comparison with the CPU.
    """

    rows: tuple[int, int]
    pixels: int
    epochs: tuple[int, int]
    rounds: int
    equal_rows: int


WHOLE = Sizes(rows=(2306, 305), pixels=128, epochs=(30, 120), rounds=3, equal_rows=160)
"""The source report's recipe, section 3."""

SMALL = Sizes(rows=(48, 32), pixels=32, epochs=(1, 1), rounds=1, equal_rows=48)
"""A smoke test on the CPU; its figures mean nothing."""


class Bench:
    """The measurements of one device.

    Args:
        device: ``cuda`` or ``cpu``.
        sizes: How much is measured.
        folder: Of data files.
        loader_workers: Processes of the conventional DataLoader.
    """

    def __init__(self, device: str, sizes: Sizes, folder: Path, loader_workers: int) -> None:
        self.device, self.sizes, self.loader_workers = device, sizes, loader_workers
        self._options = argparse.Namespace(
            data=None, scratch=folder, stored_size=64, image_size=sizes.pixels, model=None, weights=None
        )

    def experiment(self, precision: str, epochs: tuple[int, int], rows: int | None = None) -> Config:
        """Return the recipe from random weights."""
        path = data_file(self._options, rows or self.sizes.rows[0], self.sizes.rows[1])
        values = {"stage1.epochs": epochs[0], "stage2.epochs": epochs[1], "model.stem": "mean"}
        config = experiment(self._options, path, values)
        return with_values(config, {"device": self.device, "optimizer.precision": precision})

    def equality(self) -> Json:
        """Return the losses of two epochs of each stage on the CPU and on the device, in float32 without TF32.

        Without dropout, whose random numbers are the device's own.
        """
        losses = {}
        exact = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        try:
            for device in ("cpu", self.device):
                config = self.experiment("fp32", (2, 2), self.sizes.equal_rows)
                config = with_values(config, {"device": device, "model.dropout": 0.0})
                losses[device] = [record["train_loss"] for record in self._trained(config)[1]]
        finally:
            torch.backends.cudnn.allow_tf32 = exact
        pairs = zip(losses["cpu"], losses[self.device], strict=True)
        return {"losses": losses, "largest_difference": max(abs(ours - other) / other for other, ours in pairs)}

    def recipe(self, precision: str) -> Json:
        """Return the seconds of a whole training, with reading, evaluation and an empty cache."""
        seconds, history = self._trained(self.experiment(precision, self.sizes.epochs))
        return {"seconds": seconds, "epochs": len(history), "val_auc": max(record["val_auc"] for record in history)}

    def ours(self, precision: str) -> Json:
        """Return images a second of fine-tuning, and the greatest memory of the card in MB (10^6 bytes)."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        _, history = self._trained(self.experiment(precision, (0, 4)))
        peak = torch.cuda.max_memory_allocated() / 1e6 if self.device == "cuda" else None
        return {"images_per_second": _rate(history), "peak_mb": peak}

    def usual(self, precision: str) -> Json:
        """Return images a second of the conventional loop."""
        config = self.experiment(precision, (0, 4))
        data = conventional.read(config)
        return {
            "images_per_second": _rate(conventional.train_two_stage(config, data, None, self.loader_workers).history)
        }

    def busy(self, precision: str) -> Json:
        """Return the share of the epochs' time in which the card computed; ``None`` on the CPU."""
        if self.device != "cuda":
            return {"share": None}
        self._trained(self.experiment(precision, (0, 1)))  # libraries are loaded before
        config = self.experiment(precision, (0, 3))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            _, history = self._trained(config)
        computed = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
        return {"share": computed / sum(record["epoch_seconds"] for record in history)}

    def _trained(self, config: Config) -> tuple[float, list[dict[str, float]]]:
        with cold_cache():
            started = time.perf_counter()
            result = train(config)
            return time.perf_counter() - started, list(result.history)


def _rate(history: Sequence[dict[str, float]]) -> float:
    """Return the median over the epochs but the first, in which libraries are loaded."""
    return statistics.median(record["images_per_second"] for record in history[1:])


def measurements(bench: Bench) -> dict[str, Callable[[], Json]]:
    """Return all measurements by name, the most telling ones first; rounds of both loops are interleaved."""
    precisions = PRECISIONS[bench.device]
    usual = precisions[-1]
    actions: dict[str, Callable[[], Json]] = {
        "equality": bench.equality,
        f"recipe {usual}": partial(bench.recipe, usual),
    }
    for number in range(bench.sizes.rounds):
        for precision in precisions:
            actions[f"ours {precision} {number}"] = partial(bench.ours, precision)
            actions[f"conventional {precision} {number}"] = partial(bench.usual, precision)
    actions[f"busy {usual}"] = partial(bench.busy, usual)
    actions[f"recipe {precisions[0]}"] = partial(bench.recipe, precisions[0])
    return actions


def page(results: Json, machine: Json, sizes: Sizes) -> str:
    """Return the results as a Markdown page; what was not measured has no row."""
    lines = ["# How fast is training on a GPU?", ""]
    lines.append(", ".join(f"{key}: {value}" for key, value in machine.items()) + ".")
    lines += ["", f"{sizes.rows[0]} + {sizes.rows[1]} rows of {sizes.pixels} pixels, MobileNetV3-Large from random "
              "weights.", "", "| what | figure |", "|---|---|"]  # fmt: skip
    for name, value in results.items():
        kind, _, rest = name.partition(" ")
        if kind == "equality":
            lines.append(
                f"| largest relative difference of a loss from the CPU's | {value['largest_difference']:.1e} |"
            )
        elif kind == "recipe":
            lines.append(f"| whole training, {value['epochs']} epochs, {rest} | {value['seconds']:.1f} s |")
        elif kind == "busy" and value["share"] is not None:
            lines.append(f"| share of an epoch in which the card computes, {rest} | {value['share']:.0%} |")
    rounds = [name.split()[1:] for name in results if name.startswith("conventional ")]
    lines += ["", "| precision | images/s | conventional | ratio | memory, MB |", "|---|---|---|---|---|"]
    for precision in dict.fromkeys(precision for precision, _ in rounds):
        numbers = [number for each, number in rounds if each == precision]
        ours, usual = ([results[f"{loop} {precision} {number}"] for number in numbers]
                       for loop in ("ours", "conventional"))  # fmt: skip
        rates = [[each["images_per_second"] for each in loop] for loop in (ours, usual)]
        cells = [measure.cell(measure.spread(rate)) for rate in rates]
        ratio = measure.cell(measure.ratios(*rates))
        memory = measure.cell(max(peaks)) if (peaks := [e["peak_mb"] for e in ours if e["peak_mb"]]) else ""
        lines.append(f"| {precision} | {cells[0]} | {cells[1]} | {ratio} | {memory} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet, and write the page; 0, or 1 where something is still missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark_results"), help="folder of results and data")
    parser.add_argument("--small", action="store_true", help="a smoke test on the CPU")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="begin nothing later than this (%(default)s)")
    parser.add_argument("--loader-workers", type=int, default=8, help="of the conventional DataLoader (%(default)s)")
    options = parser.parse_args(arguments)
    if not options.small and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device; --small measures a little on the CPU")
    started = time.monotonic()
    device, sizes = ("cpu", SMALL) if options.small else ("cuda", WHOLE)
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(device, sizes, options.out.absolute(), 0 if options.small else options.loader_workers)
    machine = measure.machine()
    if device == "cuda":
        machine = {"GPU": torch.cuda.get_device_name()} | machine
    saved = measure.SavedResults(options.out, "gpu", {"machine": machine.get("GPU", "cpu"), "sizes": sizes})
    actions = measurements(bench)
    for name, action in actions.items():
        if name not in saved.results and time.monotonic() - started > options.seconds:
            break
        saved.get(name, action)
        print(f"{name}: {saved.results[name]}", flush=True)
    results = {name: saved.results[name] for name in actions if name in saved.results}
    measure.write_json(options.out / "gpu.json", {"machine": machine, "results": results})
    (options.out / "gpu.md").write_text(page(results, machine, sizes), encoding="utf-8")
    if len(results) < len(actions):
        print(f"{len(actions) - len(results)} of {len(actions)} measurements are missing; run the same command again")
        return 1
    saved.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
