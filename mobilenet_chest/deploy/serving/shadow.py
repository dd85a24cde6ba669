"""A model that answers after the fact: its answers are compared, and returned to nobody."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.answer_rows import SHADOW
from mobilenet_chest.deploy.identities import Identity
from mobilenet_chest.deploy.serving.live_model import Follower, LiveModel
from mobilenet_chest.deploy.serving.recorder import Recorder, statistics

logger = logging.getLogger(__name__)

NICE = 10
"""Steps of priority below the threads that answer: they get nine tenths of a processor that both want. With the lowest
priority, a shadow that holds the interpreter's lock while other programs are busy would hold up the answers."""


GATHER_SECONDS = 0.1
"""How long the first image of a batch waits for others."""


@dataclass(frozen=True)
class _Request:
    identity: Identity
    images: Callable[[LiveModel], Sequence[NDArray[np.uint8]]]
    count: int


class Shadow:
    """Predicts in a thread of low priority, batch by batch, what has been answered already.

    Whatever goes wrong here is logged and counted, and no request hears of it. Where it cannot keep up, requests are
    left out.

    Args:
        follower: Holds the model.
        recorder: Takes its answers.
        max_batch: Images predicted at once.
        max_waiting: Images that may wait.
        on_images: Called with a number of images and what became of them: ``answered``, ``skipped`` or ``failed``.
    """

    def __init__(
        self, follower: Follower, recorder: Recorder, max_batch: int, max_waiting: int,
        on_images: Callable[[int, str], object],
    ) -> None:  # fmt: skip
        self._follower, self._recorder, self._on_images = follower, recorder, on_images
        self._max_batch, self._max_waiting = max_batch, max_waiting
        self._waiting: deque[_Request] = deque()
        self._images = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def submit(
        self, identity: Identity, images: Callable[[LiveModel], Sequence[NDArray[np.uint8]]], count: int
    ) -> None:
        """Take a request that was answered, or leave it out.

        Args:
            identity: Whom it is for.
            images: Return the request's images as a model takes them.
            count: How many there are.
        """
        with self._changed:
            room = not self._images or self._images + count <= self._max_waiting
            if room and not self._closed:
                self._waiting.append(_Request(identity, images, count))
                self._images += count
                self._changed.notify()
                return
        self._on_images(count, "skipped")

    def close(self) -> None:
        """Leave out what waits, and end the thread once its batch is done."""
        with self._changed:
            self._closed = True
            skipped, self._images = self._images, 0
            self._waiting.clear()
            self._changed.notify()
        if skipped:
            self._on_images(skipped, "skipped")
        self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere that would be the priority of the whole process
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICE))
        while requests := self._next():
            model = self._follower.model
            decoded = [(each, images) for each in requests if (images := self._images_of(each, model)) is not None]
            count = sum(request.count for request, _ in decoded)
            try:
                self._answer(decoded, model)
            except Exception:  # whatever a model raises
                logger.exception("the shadow failed for %d images", count)
                self._on_images(count, "failed")
            else:
                self._on_images(count, "answered")

    def _next(self) -> list[_Request]:
        """Return the requests of a batch; none once the shadow was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            # for each image of a large batch it takes two thirds of the time, and most answers meet no shadow at all
            self._changed.wait_for(lambda: self._images >= self._max_batch or self._closed, GATHER_SECONDS)
            if self._closed:
                return []
            requests = [self._waiting.popleft()]
            while self._waiting and sum(r.count for r in requests) + self._waiting[0].count <= self._max_batch:
                requests.append(self._waiting.popleft())
            self._images -= sum(request.count for request in requests)
            return requests

    def _images_of(self, request: _Request, model: LiveModel) -> Sequence[NDArray[np.uint8]] | None:
        """Return a request's images; ``None``, and a line in the log, where they cannot be used."""
        try:
            images = request.images(model)
            model.check(images)
        except Exception:
            logger.exception("the shadow failed for %d images", request.count)
            self._on_images(request.count, "failed")
            return None
        return images

    def _answer(self, decoded: Sequence[tuple[_Request, Sequence[NDArray[np.uint8]]]], model: LiveModel) -> None:
        answers = []
        for _, group in groupby((image for _, images in decoded for image in images), key=lambda image: image.shape):
            answers += model.predict(np.stack([*group]), features=True)
        for request, images in decoded:
            of_request, answers = answers[: request.count], answers[request.count :]
            self._recorder.record(request.identity, SHADOW, model.name, statistics(images), of_request).result()
