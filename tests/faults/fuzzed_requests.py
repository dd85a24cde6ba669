"""A process that decodes damaged bodies, some of them through the whole application, and prints what came of them.

``python fuzzed_requests.py FIRST LAST PLACE``: each number is written to the file PLACE before its body is decoded, so
that a crash of the process has a number.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from helpers.fuzzing import Body, mutated, originals
from helpers.serving import levels, service_of

from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.deploy.serving.live_model import LiveModel
from mobilenet_chest.deploy.serving.request_pictures import from_body, from_invocation
from mobilenet_chest.deploy.serving.web import App, web_app
from mobilenet_chest.errors import DataError

ASKED_EVERY = 8
"""One body in so many goes through the application."""

MODELS = [
    cast(LiveModel, SimpleNamespace(channels=channels, image_size=64, preparation=preparation))
    for channels in (1, 3)
    for preparation in (None, Preparation(64, channels=channels))
]


def decoded(body: Body, model: LiveModel) -> str:
    """Return ``images`` or ``refused``, or the error that nobody expected."""
    try:
        if body.path == "/invocations":
            from_invocation(body.contents, model)
        else:
            from_body(body.contents, body.kind, model)
    except DataError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "images"


async def asked(app: App, body: Body) -> str:
    """Return the status with which the application answers."""
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.contents, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", body.kind.encode())]
    await app({"type": "http", "method": "POST", "path": body.path, "raw_path": body.path.encode(), "query_string": b"",
               "headers": headers, "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
               "server": ("127.0.0.1", 2), "root_path": ""}, receive, send)  # fmt: skip
    return f"status {statuses[0]}"


def main(first: int, last: int, place: Path) -> None:
    """Decode the bodies of the numbers from ``first`` to before ``last``."""
    bodies, results, wrong = originals(), Counter[str](), {}
    slowest = (0.0, -1)
    with service_of(levels) as service:
        app = web_app(service, None)
        for body in bodies:  # what is loaded on first use counts for no body
            decoded(body, MODELS[0])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(first, last):
            place.write_text(str(number))
            body, started = mutated(bodies, number), time.process_time()
            through = number % ASKED_EVERY == 0
            result = asyncio.run(asked(app, body)) if through else decoded(body, MODELS[number % len(MODELS)])
            slowest = max(slowest, (time.process_time() - started, number))
            results[result] += 1
            if result not in ("images", "refused", "status 200", "status 400"):
                wrong[number] = result
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"results": results, "wrong": wrong, "slowest": slowest, "growth_mib": growth}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
