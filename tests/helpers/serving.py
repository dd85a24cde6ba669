"""A server of a registered model in a thread of the test's process, and services with models of the test's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import requests
import uvicorn
from numpy.typing import NDArray

from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Answer, Follower
from mobilenet_chest.deploy.serving.protocol import BoundedProtocol
from mobilenet_chest.deploy.serving.recorder import Recorder
from mobilenet_chest.deploy.serving.server import bound_listener
from mobilenet_chest.deploy.serving.service import Rival, Service
from mobilenet_chest.deploy.serving.web import web_app

START_SECONDS = 30


@contextmanager
def listening(service: Service, token: str | None = None) -> Iterator[str]:
    """Run a service on a port of this machine for the block; yield its address, without a slash at its end."""
    with bound_listener("127.0.0.1", 0) as listener:
        config = uvicorn.Config(web_app(service, token), log_config=None, access_log=False, lifespan="off",
                                http=BoundedProtocol)  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            deadline = time.monotonic() + START_SECONDS
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            assert requests.get(f"{address}/healthz", timeout=START_SECONDS).json() == {"status": "ok"}
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def service_of(
    predict: Callable[..., Sequence[Answer]], recorder: Recorder | None = None, rival: Rival | None = None,
    **limits: Any,
) -> Iterator[Service]:  # fmt: skip
    """Yield a service whose gray model is a function of images and, where there is a recorder, ``features``."""
    service = Service(follower_of(predict), Limits(**limits), recorder, rival)
    try:
        yield service
    finally:
        service.close()


def follower_of(predict: Callable[..., Sequence[Answer]], version: str = "1") -> Follower:
    """Return what holds a gray model that is a function."""
    model = SimpleNamespace(name="films", version=version, channels=1, image_size=64, preparation=None,
                            description="# Card", predict=predict, check=lambda images: None,
                            about=lambda: {"name": "films", "version": version})  # fmt: skip
    return cast(Follower, SimpleNamespace(model=model, problem=None, close=lambda: None))


def levels(images: NDArray[np.uint8], features: bool = False, version: str = "1") -> list[Answer]:
    """Answer with each image's first gray level as a probability."""
    return [
        Answer(p, int(p > 0.5), "any", version, p / 2, False, 0.5, np.array([p, 1], np.float32) if features else None)
        for p in (float(image.flat[0]) / 255 for image in images)
    ]


def negatives(images: NDArray[np.uint8], features: bool = False) -> list[Answer]:
    """Answer as version 2: with 1 minus the probability of :func:`levels`."""
    return levels(255 - images, features, "2")
