"""What a server does with a request, apart from HTTP: limits, decoding, the batch, and the answers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.answer_rows import CHALLENGER, CHAMPION, SHADOW, PictureStatistics
from mobilenet_chest.deploy.identities import Identity, new_request
from mobilenet_chest.deploy.serving.batcher import Batcher, BatchTimes, TooLate
from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Answer, Follower, LiveModel
from mobilenet_chest.deploy.serving.meters import Meters
from mobilenet_chest.deploy.serving.recorder import Recorder, statistics
from mobilenet_chest.deploy.serving.shadow import Shadow
from mobilenet_chest.processor import cores

Decode = Callable[[LiveModel], list[NDArray[np.uint8]]]
"""Returns the images of a request as a model takes them."""


class Named(NamedTuple):
    """What a request says about itself.

    Attributes:
        request: Its id, if it has one.
        patient: The patient's, if it was given.
    """

    request: str | None = None
    patient: str | None = None


class Predicted(NamedTuple):
    """The answers to a request.

    Attributes:
        model: Whose they are; a version that came meanwhile may have given them.
        answers: In the order of the images.
        request: Id of the request in the log; ``None`` where there is no log.
    """

    model: LiveModel
    answers: list[Answer]
    request: str | None


@dataclass(frozen=True)
class Rival:
    """A second model beside the first.

    Attributes:
        follower: Holds it.
        share: Of the patients that it answers; 0 for a shadow, which answers all, and whose answers are not returned.
    """

    follower: Follower
    share: float = 0.0

    @property
    def arm(self) -> str:
        """Name of its arm in the log."""
        return CHALLENGER if self.share else SHADOW


class _Begun(NamedTuple):
    """A request whose images are decoded.

    Attributes:
        arm: Who answers.
        model: For whom the images were decoded.
        images: For the model.
        request: Id in the log, if there is one.
        identity: Hashes of it and of the patient.
        pictures: Statistics of the images, where there is a log.
    """

    arm: str
    model: LiveModel
    images: list[NDArray[np.uint8]]
    request: str | None = None
    identity: Identity | None = None
    pictures: Sequence[PictureStatistics] = ()


class Service:
    """Predicts the images of requests with the model of a follower.

    Args:
        follower: Holds the model.
        limits: What is taken on.
        recorder: Writes every answer to a log before it is given, if any.
        rival: A challenger or shadow, if any; it needs a recorder.
        meters: Count and time; those of one process by default.
        decoders: Requests that are decoded at once: decoding takes many times an image's memory. As many as there are
            processors by default.
    """

    def __init__(
        self, follower: Follower, limits: Limits, recorder: Recorder | None = None, rival: Rival | None = None,
        meters: Meters | None = None, decoders: int | None = None,
    ) -> None:  # fmt: skip
        self.follower, self.limits, self.meters = follower, limits, meters or Meters()
        self.recorder, self.rival = recorder, rival
        self.draining = False
        """Whether the server is about to stop: it still answers, and asks for no further requests."""
        self.all_answer: Callable[[], bool] = lambda: True
        """Returns whether all processes of the server answer."""
        self._open = 0
        self._batcher = self._batcher_of(follower)
        self._batchers = {CHAMPION: self._batcher}
        self._shadow: Shadow | None = None
        if rival is not None and rival.arm == CHALLENGER:
            self._batchers[CHALLENGER] = self._batcher_of(rival.follower)
        elif rival is not None and recorder is not None:
            self._shadow = Shadow(rival.follower, recorder, limits.max_batch, limits.max_waiting,
                                  lambda count, what: self.meters.shadow.labels(what).inc(count))  # fmt: skip
        self._decoders = ThreadPoolExecutor(decoders or cores(), "decoder")
        self.meters.waiting.set(0)

    def _batcher_of(self, follower: Follower) -> Batcher[Answer]:
        logged = self.recorder is not None
        return Batcher[Answer](
            lambda images: follower.model.predict(images, features=True) if logged else follower.model.predict(images),
            self.limits.max_batch, self.limits.max_waiting, self._count_batch,
        )  # fmt: skip

    def _count_batch(self, times: BatchTimes, answers: Sequence[Answer]) -> None:
        self.meters.count_batch(times, answers)
        self.meters.waiting.set(len(self))

    def __len__(self) -> int:
        """Return how many images wait."""
        return sum(map(len, self._batchers.values()))

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

    async def predict(self, decode: Decode, name: Callable[[], Named] = Named) -> Predicted:
        """Return the answers to a request; where there is a log, they are in it.

        Args:
            decode: Returns its images.
            name: Returns what it says about itself; asked where there is a log.

        Raises:
            DataError: The request's images, or its ids, cannot be used.
            QueueFull: Too many images wait.
            TooLate: The deadline has passed.
            Stopped: The server has stopped.
            WriteFailed: The log cannot be written.
        """
        # one future for all threads that a request goes through: each wake of the loop costs a tenth of a millisecond
        done: Future[tuple[_Begun, list[Answer]]] = Future()
        done.set_running_or_notify_cancel()  # who stops waiting does not take it from those threads
        started = time.monotonic()
        self._decoders.submit(self._ask, done, decode, name, started)
        try:
            begun, answers = await asyncio.wait_for(asyncio.wrap_future(done), self.limits.deadline)
        except TimeoutError:
            raise self._too_late() from None
        if self._shadow is not None and begun.identity is not None:
            # once this task pauses, which it does not do before its answer is sent
            asyncio.get_running_loop().call_soon(
                self._shadow.submit, begun.identity, _again(begun, decode), len(begun.images)
            )
        return Predicted(begun.model, answers, begun.request)

    def _too_late(self) -> TooLate:
        return TooLate(f"no answer within {self.limits.deadline:g} s")

    def _ask(
        self, done: Future[tuple[_Begun, list[Answer]]], decode: Decode, name: Callable[[], Named], started: float
    ) -> None:  # fmt: skip
        """Decode a request's images, and queue them; what they lead to, also an error, is the future's."""
        with _failing(done):
            deadline = started + self.limits.deadline
            begun = self._begin(decode, name, deadline)
            self.meters.decode.labels(begun.model.version).observe(time.monotonic() - started)
            futures = self._batchers[begun.arm].submit(begun.images, deadline)
            self.meters.waiting.set(len(self))
            counter = itertools.count(1)  # its steps are atomic, whichever threads take them

            def one_more(_: Future[Answer]) -> None:
                if next(counter) == len(futures):
                    with _failing(done):
                        self._record(done, begun, [future.result() for future in futures], deadline)

            for future in futures:
                future.add_done_callback(one_more)

    def _record(
        self, done: Future[tuple[_Begun, list[Answer]]], begun: _Begun, answers: list[Answer], deadline: float
    ) -> None:  # fmt: skip
        """Finish a request, where there is a log once its answers are in it."""
        if answers[-1].version != begun.model.version:  # it came meanwhile, and has another test split
            rival = self.rival if begun.arm == CHALLENGER else None
            (self.follower if rival is None else rival.follower).model.check(begun.images)
        if self.recorder is None or begun.identity is None:
            done.set_result((begun, answers))
            return
        since = time.monotonic()
        if since > deadline:
            raise self._too_late()
        share = None if self.rival is None else self.rival.share or None
        written = self.recorder.record(begun.identity, begun.arm, begun.model.name, begun.pictures, answers, share)

        def finish(written: Future[None]) -> None:
            self.meters.log.observe(time.monotonic() - since)
            with _failing(done):
                written.result()
                done.set_result((begun, answers))

        written.add_done_callback(finish)

    def _begin(self, decode: Decode, name: Callable[[], Named], deadline: float) -> _Begun:
        if time.monotonic() > deadline:
            raise self._too_late()
        model = self.follower.model
        if self.recorder is None:
            images = decode(model)
            model.check(images)
            return _Begun(CHAMPION, model, images)
        named = name()
        request = named.request or new_request()
        identity, arm = self.recorder.identity(request, named.patient), CHAMPION
        if self.rival is not None and self.recorder.share(identity) < self.rival.share:
            arm, model = CHALLENGER, self.rival.follower.model
        images = decode(model)
        model.check(images)
        return _Begun(arm, model, images, request, identity, statistics(images))

    def about(self) -> dict[str, Any]:
        """Return what ``/version`` says."""
        about = self.follower.model.about() | {"problem": self.follower.problem}
        if self.rival is not None:
            follower = self.rival.follower
            about[self.rival.arm] = follower.model.about() | {"problem": follower.problem, "share": self.rival.share}
        return about

    def close(self) -> None:
        """Stop following, and predict what still waits."""
        for follower in (self.follower, *([] if self.rival is None else [self.rival.follower])):
            follower.close()
        for batcher in self._batchers.values():
            batcher.close()
        self._decoders.shutdown()
        if self._shadow is not None:
            self._shadow.close()
        if self.recorder is not None:
            self.recorder.close()


@contextmanager
def _failing(done: Future[Any]) -> Iterator[None]:
    """Give an error of the block to whoever waits for a future: no other thread would tell it."""
    try:
        yield
    except BaseException as error:  # also what a decoder's panic is
        done.set_exception(error)


def _again(begun: _Begun, decode: Decode) -> Decode:
    """Return how a shadow gets the images: those that are decoded, where its model takes the same."""

    def images(model: LiveModel) -> list[NDArray[np.uint8]]:
        same = (model.channels, model.preparation) == (begun.model.channels, begun.model.preparation)
        return begun.images if same else decode(model)

    return images
