"""The HTTP side of a server: its paths, who may use them, and what errors look like."""

from __future__ import annotations

import hmac
import logging
import time
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse

from mobilenet_chest.deploy.serving.api_page import PREDICTION_PATHS, api_page
from mobilenet_chest.deploy.serving.endpoint import App, Message, endpoint
from mobilenet_chest.deploy.serving.service import Service

logger = logging.getLogger(__name__)

PATHS = ("/predict", "/invocations", "/healthz", "/readyz", "/version", "/metrics", "/openapi.json", "/docs", "/")

OPEN_PATHS = ("/", "/docs", "/healthz", "/readyz")
"""Paths that need no token: they show nothing of a model or a film."""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def web_app(service: Service, token: str | None) -> App:
    """Return the ASGI application of a service.

    Args:
        service: What answers.
        token: That requests must bear, if any.
    """
    app = FastAPI(title="mobilenet-chest", version=version("mobilenet-chest"), docs_url=None, redoc_url=None)
    page = (files(__package__) / "page.html").read_text(encoding="utf-8")

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

    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        document["paths"] = PREDICTION_PATHS | document["paths"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return _guarded(app, service, token)


_failed = JSONResponse({"error": "the server failed; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)


def _guarded(app: App, service: Service, token: str | None) -> App:
    """Return an application that checks the token, counts and logs requests, and answers what failed in one line."""
    expected = None if token is None else f"Bearer {token}".encode()
    predicting = endpoint(service)

    async def guarded(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started, path, status = time.monotonic(), scope["path"], 0
        known = path if path in PATHS else "other"  # each label takes memory for good

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # before it is sent: a client that has its answer finds it counted, by whichever worker it asks
                service.meters.requests.labels(known, str(status)).inc()
                if service.draining:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            if expected is not None and path not in OPEN_PATHS and not _bears(scope, expected):
                answer = JSONResponse({"error": "a token is needed: Authorization: Bearer TOKEN"},
                                      HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})  # fmt: skip
                await answer(scope, receive, sending)
            else:
                await (predicting if path in PREDICTION_PATHS else app)(scope, receive, sending)
        except Exception:  # whatever it was, the client is answered, and the server goes on
            logger.exception("%s %s failed", scope["method"], path)
            if not status:
                await _failed(scope, receive, sending)
        finally:
            seconds = time.monotonic() - started
            if not status:  # the client has left before its answer
                service.meters.requests.labels(known, "0").inc()
            service.meters.seconds.labels(known).observe(seconds)
            logger.debug("%s %s %d %.1f ms", scope["method"], known, status, seconds * 1000)

    return guarded


def _bears(scope: Message, expected: bytes) -> bool:
    return hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), expected)
