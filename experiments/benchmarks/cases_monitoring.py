"""Control charts on films that change: how many films until an alarm, for kinds and sizes of shift."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from common import Case, Options, experiment, report
from measure import Json, SavedResults
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.data.dataset import resize
from mobilenet_chest.deploy.monitor.reference import statistics_of
from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.evaluation.control_charts import RATE, Chart, Reference, control_charts
from mobilenet_chest.evaluation.cumulative import cumulative_charts
from mobilenet_chest.evaluation.drift import Films, Lookalike
from mobilenet_chest.files import whole_file
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.two_stage import train

Images = NDArray[np.uint8]

HELD_OUT = 1500
"""Training rows that are kept from training, as the films that come in use."""

WINDOW, WINDOWS = 100, 10

BEFORE = 5
"""Windows of stable films that come first, in the last columns."""

EPOCHS = {"stage1.epochs": 2, "stage2.epochs": 4, "stage2.lr": 1e-3, "optimizer.batch_size": 48}


def _scaled(images: Images, size: int) -> Images:
    return resize(torch.from_numpy(images)[:, None], size)[:, 0].numpy()


def _noisy(sigma: float) -> Callable[[Images], Images]:
    def noisy(images: Images) -> Images:
        noise = np.random.default_rng(1).normal(0, sigma, images.shape)
        return np.rint(images + noise).clip(0, 255).astype(np.uint8)

    return noisy


def _exposed(factor: float) -> Callable[[Images], Images]:
    return lambda images: np.rint(images * factor).clip(0, 255).astype(np.uint8)


def _blurred(share: float) -> Callable[[Images], Images]:
    return lambda images: _scaled(_scaled(images, round(images.shape[1] * share)), images.shape[1])


def _cropped(share: float) -> Callable[[Images], Images]:
    def cropped(images: Images) -> Images:
        size = images.shape[1]
        edge = round(size * (1 - share) / 2)
        return _scaled(np.ascontiguousarray(images[:, edge : size - edge, edge : size - edge]), size)

    return cropped


SHIFTS: dict[str, Callable[[Images], Images]] = {
    "none": lambda images: images,
    "exposure -5%": _exposed(0.95),
    "exposure +10%": _exposed(1.1),
    "exposure +20%": _exposed(1.2),
    "noise, sigma 5": _noisy(5),
    "noise, sigma 10": _noisy(10),
    "noise, sigma 20": _noisy(20),
    "resolution 3/4": _blurred(0.75),
    "resolution 1/2": _blurred(0.5),
    "crop to 86%": _cropped(0.86),
    "crop to 71%": _cropped(0.71),
    "inverted": lambda images: 255 - images,
}


def drift(options: Options, saved: SavedResults) -> Json:
    """Measure films until the first alarm, in streams that change with their first film, or after stable ones."""
    torch.manual_seed(0)
    with np.load(options.data) as file:
        arrays = {name: file[name] for name in file.files if name.startswith(("train", "val"))}
    order = np.random.default_rng(0).permutation(len(arrays["train_labels"]))
    used, kept = np.sort(order[HELD_OUT:]), order[:HELD_OUT]
    incoming = arrays["train_images"][kept]
    path = options.scratch / "drift.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as written:
        np.savez(written, **arrays | {name: arrays[name][used] for name in ("train_images", "train_labels")})
    # a resumed run trains again, to the same network
    result = train(experiment(options, path, EPOCHS, model="mobilenet_v3_small"))
    temperature, threshold = result.metrics["temperature"], result.metrics["threshold"]
    classifier = DeployedClassifier(result.model, temperature, threshold)
    rows = np.random.default_rng(1).permutation(len(arrays["val_images"]))
    known = _films(classifier, arrays["val_images"][rows], temperature, options.image_size)
    labels = arrays["val_labels"][rows, 0].astype(np.uint8)
    training = Lookalike.of(statistics_of(arrays["train_images"][used]))
    reference = Reference(known, labels, threshold, temperature, training)
    films = {
        name: _films(classifier, shift(incoming), temperature, options.image_size) for name, shift in SHIFTS.items()
    }
    alone, beside = (control_charts(reference, WINDOW, rate) for rate in (RATE, RATE / 2))

    def streams(name: str) -> Json:
        delays: dict[str, list[float]] = {"alone": [], "with_sums": [], "later": []}
        first = Counter[str]()
        for stream in range(options.rounds):
            places = np.random.default_rng(stream).permutation(HELD_OUT)
            stable, shifted = (
                [of.take(places[WINDOW * k : WINDOW * (k + 1)]) for k in windows]
                for of, windows in ((films["none"], range(BEFORE)), (films[name], range(BEFORE, BEFORE + WINDOWS)))
            )
            by_limits = _first_windows(shifted, alone, beside)
            sums = {begin: _first_sums(reference, [*stable[:begin], *shifted], begin) for begin in (0, BEFORE)}
            delays["alone"].append(min(by_limits[0].values(), default=np.inf))
            for label, begin in (("with_sums", 0), ("later", BEFORE)):
                found = by_limits[1] | sums[begin]
                soonest = min(found.values(), default=np.inf)
                delays[label].append(soonest)
                if begin == 0:
                    first.update(key for key, window in found.items() if window == soonest)
        return {"delays": delays, "first": dict(first.most_common(4))}

    table: list[Json] = []
    for name in SHIFTS:
        found = saved.get(name, lambda name=name: streams(name))
        row: Json = {"shift": name}
        for label, delays in found["delays"].items():
            row |= {f"{label}_films": _median(delays), f"{label}_found": int(np.isfinite(delays).sum())}
        table.append(row | {"charts": ", ".join(found["first"])})
    return report(
        table,
        f"{options.rounds} streams of {WINDOW * WINDOWS} films in windows of {WINDOW}, from {HELD_OUT} rows kept from "
        f"training; {len(labels)} validation rows; network with a validation AUC of {result.metrics['val_auc']:.4f}; "
        f"one false alarm in {1 / RATE:,.0f} windows; alone: the charts of windows alone; with_sums: with cumulative "
        f"sums; later: the same after {WINDOW * BEFORE} films that are stable; load {os.getloadavg()[0]:.1f}",
    )


def _first_windows(windows: Sequence[Films], *limits: Sequence[Chart]) -> list[dict[str, int]]:
    """Return for each set of charts, the widest limits last, the first window with an alarm, by the chart's name."""
    found: list[dict[str, int]] = [{} for _ in limits]
    for number, window in enumerate(windows, 1):
        for of_charts in zip(*limits, strict=True):
            value = of_charts[0].measure(window)
            for first, chart in zip(found, of_charts, strict=True):
                if chart.is_out(value):
                    first.setdefault(chart.key, number)
        if found[-1]:
            break
    return found


def _first_sums(reference: Reference, windows: Sequence[Films], begin: int) -> dict[str, int]:
    """Return the first window from ``begin`` on with an alarm, counted from 1, by the sum's name."""
    charts = cumulative_charts(reference, windows, RATE / 2)
    return {chart.key: int(chart.out[begin:].argmax()) + 1 for chart in charts if chart.out[begin:].any()}


def _median(windows: Sequence[float]) -> float | str:
    median = WINDOW * float(np.median(windows))
    return median if np.isfinite(median) else f"above {WINDOW * WINDOWS}"


def _films(classifier: DeployedClassifier, images: Images, temperature: float, size: int) -> Films:
    pixels: Tensor = resize(torch.from_numpy(images)[:, None].contiguous(), size)
    answers = [classifier.answer(part) for part in pixels.split(256)]
    probability = torch.cat([answer.logit for answer in answers]).double().sigmoid().numpy()
    features: list[Any] = [answer.features for answer in answers]
    given = torch.cat(features).numpy().astype(np.float16).astype(np.float32)  # as the log has them
    return Films(probability, apply_temperature(probability, temperature), statistics_of(images), given)


CASES = {"drift": Case(drift, "films until a control chart raises an alarm, by kind of shift", ("data",))}
