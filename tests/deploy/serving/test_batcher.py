"""What waits is predicted together; what cannot be predicted, or in time, is told to whoever waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.deploy.serving.batcher import Batcher, BatchTimes, QueueFull, Stopped, TooLate

SECONDS = 20.0


class Model:
    """Answers the level of each image; holds up each batch until it is released."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.entered, self.released = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, images: NDArray[np.uint8]) -> list[int]:
        self.batches.append(images.shape)
        self.entered.release()
        assert self.released.acquire(timeout=SECONDS)
        levels = [int(image.flat[0]) for image in images]
        if 255 in levels:
            raise ValueError("white")
        return levels


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def times() -> list[BatchTimes]:
    return []


@pytest.fixture
def batcher(model: Model, times: list[BatchTimes]) -> Iterator[Batcher[int]]:
    batcher = Batcher[int](model, 4, 6, lambda measured, answers: times.append(measured))
    yield batcher
    for _ in range(100):
        model.released.release()
    batcher.close()


def images(*levels: int, size: int = 3) -> list[NDArray[np.uint8]]:
    return [np.full((size, size), level, np.uint8) for level in levels]


def soon() -> float:
    return time.monotonic() + SECONDS


def busy(batcher: Batcher[int], model: Model) -> Future[int]:
    """Submit an image that the model is busy with on return."""
    (answer,) = batcher.submit(images(1), soon())
    assert model.entered.acquire(timeout=SECONDS)
    return answer


def results(answers: list[Future[int]]) -> list[int]:
    return [answer.result(SECONDS) for answer in answers]


def test_what_waits_while_the_model_is_busy_is_one_batch(
    batcher: Batcher[int], model: Model, times: list[BatchTimes]
) -> None:
    first = busy(batcher, model)
    waiting = [*batcher.submit(images(2, 3), soon()), *batcher.submit(images(4), soon())]
    assert len(batcher) == 3
    model.released.release(2)
    assert results([first, *waiting]) == [1, 2, 3, 4]
    assert model.batches == [(1, 3, 3), (3, 3, 3)]
    batcher.submit(images(0), soon())  # when its batch begins, the times of the last are there
    assert model.entered.acquire(timeout=SECONDS)
    assert model.entered.acquire(timeout=SECONDS)
    assert [measured.images for measured in times] == [1, 3]
    assert all(seconds >= 0 for measured in times for seconds in (measured.computed, *measured.waited))


def test_a_batch_has_at_most_its_size_and_one_shape(batcher: Batcher[int], model: Model) -> None:
    first = busy(batcher, model)
    waiting = batcher.submit([*images(2, 3), *images(4, size=5), *images(5, 6)], soon())
    model.released.release(9)
    assert results([first, *waiting]) == [1, 2, 3, 4, 5, 6]
    assert model.batches == [(1, 3, 3), (2, 3, 3), (1, 5, 5), (1, 3, 3), (1, 3, 3)]


def test_a_batch_that_fails_fails_each_of_its_requests_and_no_other(batcher: Batcher[int], model: Model) -> None:
    first = busy(batcher, model)
    failing = batcher.submit(images(2, 255), soon())
    model.released.release(3)
    assert first.result(SECONDS) == 1
    for answer in failing:
        with pytest.raises(ValueError, match="white"):
            answer.result(SECONDS)
    assert results(batcher.submit(images(7), soon())) == [7]


def test_a_request_that_finds_no_room_for_all_its_images_is_refused_whole(batcher: Batcher[int], model: Model) -> None:
    busy(batcher, model)
    batcher.submit(images(2, 3, 4, 5), soon())
    with pytest.raises(QueueFull) as refused:
        batcher.submit(images(6, 7, 8), soon())
    assert refused.value.seconds >= 0.1
    assert len(batcher) == 4
    batcher.submit(images(6, 7), soon())


def test_a_request_of_more_images_than_may_wait_is_taken_where_nothing_waits(
    batcher: Batcher[int], model: Model
) -> None:
    model.released.release(9)
    assert results(batcher.submit(images(*range(9)), soon())) == [*range(9)]


def test_what_is_too_late_is_not_predicted(batcher: Batcher[int], model: Model) -> None:
    first = busy(batcher, model)
    late, in_time = [*batcher.submit(images(2), time.monotonic() - 1), *batcher.submit(images(3), soon())]
    model.released.release(2)
    assert first.result(SECONDS) == 1
    with pytest.raises(TooLate):
        late.result(SECONDS)
    assert in_time.result(SECONDS) == 3
    assert model.batches == [(1, 3, 3), (1, 3, 3)]


def test_what_nobody_waits_for_any_more_is_not_predicted(batcher: Batcher[int], model: Model) -> None:
    busy(batcher, model)
    abandoned, wanted = batcher.submit(images(2, 3), soon())
    assert abandoned.cancel()
    model.released.release(2)
    assert wanted.result(SECONDS) == 3
    assert model.batches[-1] == (1, 3, 3)


def test_closing_predicts_what_waits_and_takes_no_more(model: Model) -> None:
    batcher = Batcher[int](model, 4, 6)
    answers = batcher.submit(images(1, 2), soon())
    model.released.release(9)
    batcher.close()
    assert [answer.result(0) for answer in answers] == [1, 2]
    with pytest.raises(Stopped):
        batcher.submit(images(3), soon())
