"""What a server does with a request, apart from HTTP: limits, decoding, the batch, and the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.serving.batcher import Batcher, TooLate
from mobilenet_chest.deploy.serving.live_model import Answer, Follower, LiveModel
from mobilenet_chest.deploy.serving.meters import Meters
from mobilenet_chest.errors import UserError

Decode = Callable[[LiveModel], list[NDArray[np.uint8]]]
"""Returns the images of a request as a model takes them."""


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        max_batch: Images predicted at once.
        max_waiting: Images that may wait; a request beyond is refused.
        deadline: Seconds within which a request is answered or refused.
        max_bytes: Of a request's body.
    """

    max_batch: int = 16
    max_waiting: int = 64
    deadline: float = 10.0
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: One is too small.
        """
        for name, least in (("max_batch", 1), ("max_waiting", 1), ("deadline", 0.01), ("max_bytes", 1024)):
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name):g}: give at least {least:g}")


class Service:
    """Predicts the images of requests with the model of a follower.

    Args:
        follower: Holds the model.
        limits: What is taken on.
    """

    def __init__(self, follower: Follower, limits: Limits) -> None:
        self.follower, self.limits, self.meters = follower, limits, Meters()
        self.draining = False
        """Whether the server is about to stop: it still answers, and asks for no further requests."""
        self._open = 0
        self._batcher = Batcher[Answer](
            lambda images: self.follower.model.predict(images), limits.max_batch, limits.max_waiting,
            self.meters.count_batch,
        )  # fmt: skip
        self.meters.waiting.set_function(lambda: len(self))

    def __len__(self) -> int:
        """Return how many images wait."""
        return len(self._batcher)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count a request for the block, before its body is read: bodies and decoded images take memory too.

        Raises:
            QueueFull: As many requests are open as images may wait and be predicted.
        """
        if self._open >= self.limits.max_waiting + self.limits.max_batch:
            raise self._batcher.full()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def predict(self, decode: Decode) -> tuple[LiveModel, list[Answer]]:
        """Return the answers to a request, in the order of its images, and the model that they were decoded for.

        Raises:
            DataError: The request's images cannot be used.
            QueueFull: Too many images wait.
            TooLate: The deadline has passed.
            Stopped: The server has stopped.
        """
        started, model = time.monotonic(), self.follower.model
        deadline = started + self.limits.deadline
        images = await asyncio.to_thread(decode, model)
        self.meters.decode.observe(time.monotonic() - started)
        futures = self._batcher.submit(images, deadline)
        gathered = asyncio.gather(*map(asyncio.wrap_future, futures))
        try:
            return model, await asyncio.wait_for(gathered, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise TooLate(f"no answer within {self.limits.deadline:g} s") from None

    def about(self) -> dict[str, Any]:
        """Return what ``/version`` says."""
        return self.follower.model.about() | {"problem": self.follower.problem}

    def close(self) -> None:
        """Stop following, and predict what still waits."""
        self.follower.close()
        self._batcher.close()
