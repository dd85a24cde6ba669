"""What is counted and timed of a server, as Prometheus reads it from ``/metrics``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mobilenet_chest.deploy.serving.batcher import BatchTimes
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.errors import MissingExtraError

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.multiprocess import MultiProcessCollector
except ImportError:
    raise MissingExtraError("serving a model", "serve") from None

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PROBABILITIES = tuple(number / 10 for number in range(1, 11))


PREFIX = "mobilenet_chest"
"""Of all names."""

PREDICTIONS = ("/predict", "/invocations")
"""Paths whose requests are of the model."""


class Totals(NamedTuple):
    """What a server has counted.

    Attributes:
        requests: For predictions.
        refused: Those that were told to come again later.
        failed: Those that were answered with a status of 500 or more.
        images: Predicted.
        stages: Stage -> upper end of a bucket in seconds -> how often it took so long or less.
    """

    requests: float
    refused: float
    failed: float
    images: float
    stages: dict[str, dict[float, float]]


Samples = dict[str, list[Any]]
"""Samples of ``prometheus_client`` by the names that Prometheus reads."""


def _cumulative(samples: Samples, name: str, paths: Sequence[str] | None) -> dict[float, float]:
    counts = dict.fromkeys([*SECONDS, math.inf], 0.0)
    for sample in samples.get(f"{PREFIX}_{name}_bucket", ()):
        if paths is None or sample.labels["path"] in paths:
            counts[float(sample.labels["le"])] += sample.value
    return counts


class Meters:
    """Counters and histograms of one server; each has its registry, so that tests do not share them.

    Args:
        folder: Where each worker of a server keeps its counts; what is read are the sums over all of them, those that
            have died included. ``None`` for a server of one process.
        number: Of the worker; one that takes the place of another goes on with its counts.
    """

    def __init__(self, folder: Path | None = None, number: int = 0) -> None:
        self._registry = self._summed = CollectorRegistry()
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue(lambda: number)
            self._summed = CollectorRegistry()
            MultiProcessCollector(self._summed, str(folder))
        named: dict[str, Any] = {"namespace": PREFIX, "registry": self._registry}
        self.requests = Counter("requests", "Requests by path and status", ["path", "status"], **named)
        self.seconds = Histogram("request_seconds", "From the first byte to the answer", ["path"], buckets=SECONDS,
                                 **named)  # fmt: skip
        self.decode = Histogram("decode_seconds", "Decoding of a request's images", ["version"], buckets=SECONDS,
                                **named)  # fmt: skip
        self.wait = Histogram("wait_seconds", "An image's wait for its batch", ["version"], buckets=SECONDS, **named)
        self.compute = Histogram("compute_seconds", "Prediction of a batch", ["version"], buckets=SECONDS, **named)
        self.images = Counter("images", "Images predicted", ["version", "label"], **named)
        self.batch = Histogram("batch_images", "Images of a batch", buckets=(1, 2, 4, 8, 16, 32, 64), **named)
        self.probability = Histogram("probability", "Probabilities of class 1", ["version"], buckets=PROBABILITIES,
                                     **named)  # fmt: skip
        self.log = Histogram("log_seconds", "An answer's wait until it is in the log", buckets=SECONDS, **named)
        self.shadow = Counter("shadow_images", "What became of a shadow's images", ["outcome"], **named)
        self.waiting = Gauge("waiting_images", "Images that wait", multiprocess_mode="livesum", **named)

    def count_batch(self, times: BatchTimes, answers: Sequence[Answer]) -> None:
        """Count a batch that one version has predicted."""
        self.batch.observe(times.images)
        self.compute.labels(answers[0].version).observe(times.computed)
        for seconds in times.waited:
            self.wait.labels(answers[0].version).observe(seconds)
        for answer in answers:
            self.images.labels(answer.version, answer.label_name).inc()
            self.probability.labels(answer.version).observe(answer.probability)

    def totals(self) -> Totals:
        """Return what has been counted so far, over all versions."""
        requests, refused, failed = 0.0, 0.0, 0.0
        samples = self._samples()
        for sample in samples.get(f"{PREFIX}_requests_total", ()):
            if sample.labels["path"] in PREDICTIONS:
                requests += sample.value
                refused += sample.value * (sample.labels["status"] == "429")
                failed += sample.value * sample.labels["status"].startswith("5")
        counts = {stage: _cumulative(samples, f"{stage}_seconds", None) for stage in ("decode", "wait", "compute")}
        counts["request"] = _cumulative(samples, "request_seconds", PREDICTIONS)
        images = sum(sample.value for sample in samples.get(f"{PREFIX}_images_total", ()))
        return Totals(requests, refused, failed, images, counts)

    def page(self) -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type."""
        return generate_latest(self._summed), CONTENT_TYPE_PLAIN_0_0_4

    def _samples(self) -> Samples:
        named: Samples = {}
        for family in self._summed.collect():
            for sample in family.samples:
                named.setdefault(sample.name, []).append(sample)
        return named
