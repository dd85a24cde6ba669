"""What is counted and timed of a server, as Prometheus reads it from ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobilenet_chest.deploy.serving.batcher import BatchTimes
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.errors import MissingExtraError

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
except ImportError:
    raise MissingExtraError("serving a model", "serve") from None

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PROBABILITIES = tuple(number / 10 for number in range(1, 11))


class Meters:
    """Counters and histograms of one server; each has its registry, so that tests do not share them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        named: dict[str, Any] = {"namespace": "mobilenet_chest", "registry": self._registry}
        self.requests = Counter("requests", "Requests by path and status", ["path", "status"], **named)
        self.seconds = Histogram("request_seconds", "From the first byte to the answer", ["path"], buckets=SECONDS,
                                 **named)  # fmt: skip
        self.decode = Histogram("decode_seconds", "Decoding of a request's images", buckets=SECONDS, **named)
        self.wait = Histogram("wait_seconds", "An image's wait for its batch", buckets=SECONDS, **named)
        self.compute = Histogram("compute_seconds", "Prediction of a batch", ["version"], buckets=SECONDS, **named)
        self.images = Counter("images", "Images predicted", ["version", "label"], **named)
        self.batch = Histogram("batch_images", "Images of a batch", buckets=(1, 2, 4, 8, 16, 32, 64), **named)
        self.probability = Histogram("probability", "Probabilities of class 1", ["version"], buckets=PROBABILITIES,
                                     **named)  # fmt: skip
        self.log = Histogram("log_seconds", "An answer's wait until it is in the log", buckets=SECONDS, **named)
        self.shadow = Counter("shadow_images", "What became of a shadow's images", ["outcome"], **named)
        self.waiting = Gauge("waiting_images", "Images that wait", **named)

    def count_batch(self, times: BatchTimes, answers: Sequence[Answer]) -> None:
        """Count a batch that one version has predicted."""
        self.batch.observe(times.images)
        self.compute.labels(answers[0].version).observe(times.computed)
        for seconds in times.waited:
            self.wait.observe(seconds)
        for answer in answers:
            self.images.labels(answer.version, answer.label_name).inc()
            self.probability.labels(answer.version).observe(answer.probability)

    def page(self) -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
