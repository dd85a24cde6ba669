"""The HTTP side of a server: its paths, who may use them, and what errors look like."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from mobilenet_chest.deploy.identities import checked
from mobilenet_chest.deploy.serving import request_pictures
from mobilenet_chest.deploy.serving.api_page import INVOCATIONS, PREDICT, api_page
from mobilenet_chest.deploy.serving.batcher import QueueFull, Stopped, TooLate
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.deploy.serving.service import Named, Predicted, Service
from mobilenet_chest.errors import DataError, MissingExtraError, WriteFailed

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

PATHS = ("/predict", "/invocations", "/healthz", "/readyz", "/version", "/metrics", "/openapi.json", "/docs", "/")

OPEN_PATHS = ("/", "/docs", "/healthz", "/readyz")
"""Paths that need no token: they show nothing of a model or a film."""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

VERSION_HEADER = "Model-Version"
"""Header of an answer: the version that has predicted."""

REQUEST_HEADER, PATIENT_HEADER = "Request-Id", "Patient-Id"
"""Headers of a request: its id, and the patient's. Where answers are logged, the first is a header of answers too."""

REQUEST_FIELD, PATIENT_FIELD = "request_id", "patient_id"
"""The same as fields of a JSON body."""

STATUS: dict[type[Exception], HTTPStatus] = {
    DataError: HTTPStatus.BAD_REQUEST,
    MissingExtraError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    TooLate: HTTPStatus.GATEWAY_TIMEOUT,
    Stopped: HTTPStatus.SERVICE_UNAVAILABLE,
    WriteFailed: HTTPStatus.SERVICE_UNAVAILABLE,
}


class _TooLarge(Exception):
    """A body beyond the limit."""


def web_app(service: Service, token: str | None) -> App:
    """Return the ASGI application of a service.

    Args:
        service: What answers.
        token: That requests must bear, if any.
    """
    app = FastAPI(title="mobilenet-chest", version=version("mobilenet-chest"), docs_url=None, redoc_url=None)
    page = (files(__package__) / "page.html").read_text(encoding="utf-8")

    @app.post("/predict", summary="Predict a picture, an .npy of images, or JSON of pictures in base64",
              openapi_extra=PREDICT)  # fmt: skip
    async def predict(request: Request) -> Response:
        with service.taken():
            body, kind = await _body(request, service.limits.max_bytes), request.headers.get("content-type", "")
            predicted = await service.predict(
                lambda model: request_pictures.from_body(body, kind, model), lambda: _ids(request, body, kind)
            )
        document = {"model": _named(predicted), "predictions": [_plain(answer) for answer in predicted.answers]}
        return JSONResponse(document, headers=_headers(predicted))

    @app.post("/invocations", summary="Predict images in MLflow's form", openapi_extra=INVOCATIONS)
    async def invocations(request: Request) -> Response:
        with service.taken():
            body = await _body(request, service.limits.max_bytes)
            predicted = await service.predict(
                lambda model: request_pictures.from_invocation(body, model),
                lambda: _ids(request, body, "application/json"),
            )
        return JSONResponse({"predictions": [_plain(answer) for answer in predicted.answers]},
                            headers=_headers(predicted))  # fmt: skip

    @app.get("/healthz", summary="Whether the process lives")
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", summary="Whether requests are welcome")
    async def readyz() -> Response:
        if service.draining:
            return JSONResponse({"status": "stopping"}, HTTPStatus.SERVICE_UNAVAILABLE)
        if not service.all_answer():
            return JSONResponse({"status": "starting"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ready"})

    @app.get("/version", summary="The model that answers, and its card")
    async def about() -> Response:
        return JSONResponse(service.about() | {"card": service.follower.model.description})

    @app.get("/metrics", summary="Counters and histograms for Prometheus")
    async def metrics() -> Response:
        content, kind = service.meters.page()
        return Response(content, media_type=kind)

    @app.get("/", summary="A page to drop a film on")
    async def home() -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    @app.get("/docs", summary="This page")
    async def docs() -> Response:
        return HTMLResponse(api_page(app.openapi()), headers=PAGE_HEADERS)

    for error in STATUS:
        app.add_exception_handler(error, _refused)
    app.add_exception_handler(_TooLarge, _refused)
    app.add_exception_handler(Exception, lambda request, error: _failed)
    return _guarded(app, service, token)


def _ids(request: Request, body: bytes, kind: str) -> Named:
    """Return the ids of a request, of its headers or else of its JSON.

    Raises:
        DataError: One is no text, empty or too long.
    """
    names = {REQUEST_FIELD: REQUEST_HEADER, PATIENT_FIELD: PATIENT_HEADER}
    given = {name: _header(request, header) for name, header in names.items()}
    missing = tuple(name for name, value in given.items() if value is None)
    if missing:
        given |= dict(zip(missing, request_pictures.fields(body, kind, missing), strict=True))
    ids = {name: None if value is None else checked(names[name], value) for name, value in given.items()}
    if not (ids[REQUEST_FIELD] or "").isascii():  # an answer's header could not have it
        raise DataError(f"{REQUEST_HEADER}: give ASCII")
    return Named(ids[REQUEST_FIELD], ids[PATIENT_FIELD])


def _header(request: Request, name: str) -> str | None:
    value = request.headers.get(name)
    if value is None:
        return None
    try:  # so that a name is the same in a header, in JSON and in a table of labels
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def _headers(predicted: Predicted) -> dict[str, str]:
    headers = {VERSION_HEADER: predicted.answers[-1].version}
    return headers if predicted.request is None else headers | {REQUEST_HEADER: predicted.request}


def _named(predicted: Predicted) -> dict[str, str]:
    # a request whose images were decoded for one version may have been answered by the next
    return {"name": predicted.model.name, "version": predicted.answers[-1].version}


def _plain(answer: Answer) -> dict[str, Any]:
    return {"probability": answer.probability, "calibrated": answer.calibrated, "label": answer.label,
            "label_name": answer.label_name, "abstains": answer.abstains}  # fmt: skip


_failed = JSONResponse({"error": "the server failed; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _body(request: Request, limit: int) -> bytes:
    """Return a request's body, of which no more than the limit is read.

    Raises:
        _TooLarge: There is more.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _TooLarge(f"the body has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


async def _refused(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), None)
    headers = {"Retry-After": str(max(1, round(error.seconds)))} if isinstance(error, QueueFull) else {}
    if isinstance(error, _TooLarge):  # what the client still sends is not read
        status, headers = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"}
    assert status is not None
    return JSONResponse({"error": str(error)}, status, headers)


def _guarded(app: App, service: Service, token: str | None) -> App:
    """Return an application that checks the token, counts and logs requests, and answers what failed in one line."""
    expected = None if token is None else f"Bearer {token}".encode()

    async def guarded(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started, path, status = time.monotonic(), scope["path"], 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if service.draining:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if expected is not None and path not in OPEN_PATHS and not hmac.compare_digest(given, expected):
                answer = JSONResponse({"error": "a token is needed: Authorization: Bearer TOKEN"},
                                      HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})  # fmt: skip
                await answer(scope, receive, sending)
            else:
                await app(scope, receive, sending)
        except Exception:  # whatever it was, the client is answered, and the server goes on
            logger.exception("%s %s failed", scope["method"], path)
            if not status:
                await _failed(scope, receive, sending)
        finally:
            seconds = time.monotonic() - started
            known = path if path in PATHS else "other"  # each label takes memory for good
            service.meters.requests.labels(known, str(status)).inc()
            service.meters.seconds.labels(known).observe(seconds)
            logger.debug("%s %s %d %.1f ms", scope["method"], known, status, seconds * 1000)

    return guarded
