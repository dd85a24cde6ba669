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
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                requests = [self._waiting.popleft()]
                while self._waiting and sum(r.count for r in requests) + self._waiting[0].count <= self._max_batch:
                    requests.append(self._waiting.popleft())
                count = sum(request.count for request in requests)
                self._images -= count
            try:
                self._answer(requests)
            except Exception:  # whatever a model raises
                logger.exception("the shadow failed for %d images", count)
                self._on_images(count, "failed")
            else:
                self._on_images(count, "answered")

    def _answer(self, requests: Sequence[_Request]) -> None:
        model = self._follower.model
        decoded = [(request, image) for request in requests for image in request.images(model)]
        answers = []
        for _, group in groupby(decoded, key=lambda pair: pair[1].shape):
            answers += model.predict(np.stack([image for _, image in group]), features=True)
        for request in requests:
            of_request, answers = answers[: request.count], answers[request.count :]
            pictures = statistics([image for owner, image in decoded if owner is request])
            self._recorder.record(request.identity, SHADOW, model.name, pictures, of_request).result()
