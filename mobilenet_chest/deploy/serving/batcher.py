"""Images of many requests in one batch: whatever waits when the model is free is predicted together.

The model never waits for more images. Waiting 5 ms for a fuller batch cost two thirds of the rate of a single client.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import MobilenetChestError

logger = logging.getLogger(__name__)

T = TypeVar("T")

Predict = Callable[[NDArray[np.uint8]], Sequence[T]]
"""Returns an answer for each image of uint8 (n, h, w) or (n, h, w, 3)."""

RATE_WEIGHT = 0.2
"""Weight of the last batch in the mean time of an image."""


class QueueFull(MobilenetChestError):
    """So many images wait that a further one would wait too long.

    Args:
        seconds: After which there should be room.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"too many images wait; try again in {seconds:.1f} s")


class TooLate(MobilenetChestError):
    """A request's time was up before its images were predicted."""


class Stopped(MobilenetChestError):
    """The batcher was closed."""


@dataclass
class _Waiting(Generic[T]):
    image: NDArray[np.uint8]
    deadline: float
    since: float
    answer: Future[T] = field(default_factory=Future)


@dataclass(frozen=True)
class BatchTimes:
    """What a batch took.

    Attributes:
        images: How many there were.
        waited: Seconds that each waited.
        computed: Seconds of the prediction.
    """

    images: int
    waited: tuple[float, ...]
    computed: float


class Batcher(Generic[T]):
    """Predicts in a thread of its own.

    Args:
        predict: Called with a batch of equal shape.
        max_batch: Images predicted at once.
        max_waiting: Images that may wait.
        on_batch: Called with the times and answers of each batch.
    """

    def __init__(
        self, predict: Predict[T], max_batch: int, max_waiting: int,
        on_batch: Callable[[BatchTimes, Sequence[T]], object] = lambda times, answers: None,
    ) -> None:  # fmt: skip
        self._predict, self._max_batch, self._max_waiting, self._on_batch = predict, max_batch, max_waiting, on_batch
        self._waiting: deque[_Waiting[T]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._image_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, images: Sequence[NDArray[np.uint8]], deadline: float) -> list[Future[T]]:
        """Queue the images of a request, all or none.

        Args:
            images: uint8 (h, w) or (h, w, 3) each.
            deadline: Time of ``time.monotonic()`` after which nobody wants the answers.

        Raises:
            QueueFull: There is no room for all of them.
            Stopped: The batcher was closed.
        """
        now = time.monotonic()
        requests = [_Waiting[T](image, deadline, now) for image in images]
        with self._changed:
            if self._closed:
                raise Stopped("the server is stopping")
            # a request of more images than may wait is taken when nothing else waits: it could never be otherwise
            if self._waiting and len(self._waiting) + len(images) > self._max_waiting:
                raise self.full()
            self._waiting.extend(requests)
            self._changed.notify()
        return [request.answer for request in requests]

    def full(self) -> QueueFull:
        """Return the refusal of a request, with the time that what waits should take."""
        return QueueFull(max(0.1, len(self._waiting) * self._image_seconds))

    def close(self) -> None:
        """Predict what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            for _, group in groupby(batch, key=lambda request: request.image.shape):
                self._answer([*group])

    def _next(self) -> list[_Waiting[T]]:
        """Return the next images; none once the batcher is closed and nothing waits."""
        with self._changed:
            while True:
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
                now = time.monotonic()
                batch = [request for request in taken if request.answer.set_running_or_notify_cancel()]
                for request in [request for request in batch if request.deadline < now]:
                    batch.remove(request)
                    request.answer.set_exception(TooLate("the time for an answer was up before the images' turn came"))
                if batch or (self._closed and not self._waiting):
                    return batch
                if not taken:
                    self._changed.wait()

    def _answer(self, batch: list[_Waiting[T]]) -> None:
        started = time.monotonic()
        try:
            answers = self._predict(np.stack([request.image for request in batch]))
            for request, answer in zip(batch, answers, strict=True):
                request.answer.set_result(answer)
        except Exception as error:  # whatever a model raises: every request of the batch must hear of it
            logger.exception("a batch of %d images failed", len(batch))
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        seconds = time.monotonic() - started
        an_image = seconds / len(batch)
        self._image_seconds += (RATE_WEIGHT if self._image_seconds else 1.0) * (an_image - self._image_seconds)
        self._on_batch(BatchTimes(len(batch), tuple(started - request.since for request in batch), seconds), answers)
