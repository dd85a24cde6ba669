"""The paths that predict, as plain ASGI: FastAPI's way from a request to a function takes longer than its decoding."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from mobilenet_chest.deploy.identities import checked
from mobilenet_chest.deploy.serving import request_pictures
from mobilenet_chest.deploy.serving.batcher import QueueFull, Stopped, TooLate
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.deploy.serving.service import Named, Predicted, Service
from mobilenet_chest.errors import DataError, MissingExtraError, TrackingError, TrackingLost, WriteFailed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PREDICT_PATH, INVOCATIONS_PATH = "/predict", "/invocations"

JSON = "application/json"

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
    TrackingError: HTTPStatus.SERVICE_UNAVAILABLE,
    TrackingLost: HTTPStatus.SERVICE_UNAVAILABLE,
}


class _TooLarge(Exception):
    """A body beyond the limit."""


REFUSED: tuple[type[Exception], ...] = (*STATUS, _TooLarge)
"""What a request is told in one line."""


class _Disconnected(Exception):
    """The client has gone before its body was complete."""


def endpoint(service: Service) -> App:
    """Return the ASGI application of ``POST /predict`` and ``POST /invocations``."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await respond(send, HTTPStatus.METHOD_NOT_ALLOWED, {"detail": "Method Not Allowed"}, {"Allow": "POST"})
            return
        try:
            document, headers = await _predicted(service, scope["path"], dict(scope["headers"]), receive)
        except _Disconnected:
            return
        except REFUSED as error:
            status, headers = _refusal(error)
            await respond(send, status, {"error": str(error)}, headers)
        else:
            await respond(send, HTTPStatus.OK, document, headers)

    return answer


async def respond(send: Send, status: HTTPStatus, document: Any, headers: Mapping[str, str]) -> None:
    """Send a JSON document; numbers that JSON does not have raise ValueError before anything is sent."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    given += [(b"content-length", b"%d" % len(body)), (b"content-type", JSON.encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": given})
    await send({"type": "http.response.body", "body": body})


async def _predicted(
    service: Service, path: str, headers: Mapping[bytes, bytes], receive: Receive
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the document and the headers of an answer.

    Raises:
        Exception: Those of :data:`STATUS`, :class:`_TooLarge` and :class:`_Disconnected`.
    """
    with service.taken():
        body = await _body(receive, service.limits.max_bytes)
        if path == PREDICT_PATH:
            kind = headers.get(b"content-type", b"").decode("latin-1")
            predicted = await service.predict(
                lambda model: request_pictures.from_body(body, kind, model), lambda: _ids(headers, body, kind)
            )
        else:
            predicted = await service.predict(
                lambda model: request_pictures.from_invocation(body, model), lambda: _ids(headers, body, JSON)
            )
    version = predicted.answers[-1].version
    document: dict[str, Any] = {"predictions": [_plain(answer) for answer in predicted.answers]}
    if path == PREDICT_PATH:
        # a request whose images were decoded for one version may have been answered by the next
        document = {"model": {"name": predicted.model.name, "version": version}, **document}
    return document, {VERSION_HEADER: version} | _own_id(predicted)


async def _body(receive: Receive, limit: int) -> bytes:
    """Return a request's body, of which no more than the limit is read.

    Raises:
        _TooLarge: There is more.
        _Disconnected: It is not complete.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size > limit:
            raise _TooLarge(f"the body has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _ids(headers: Mapping[bytes, bytes], body: bytes, kind: str) -> Named:
    """Return the ids of a request, of its headers or else of its JSON.

    Raises:
        DataError: One is no text, empty or too long.
    """
    names = {REQUEST_FIELD: REQUEST_HEADER, PATIENT_FIELD: PATIENT_HEADER}
    given = {name: _header(headers, header) for name, header in names.items()}
    missing = tuple(name for name, value in given.items() if value is None)
    if missing:
        given |= dict(zip(missing, request_pictures.fields(body, kind, missing), strict=True))
    ids = {name: None if value is None else checked(names[name], value) for name, value in given.items()}
    if not (ids[REQUEST_FIELD] or "").isascii():  # an answer's header could not have it
        raise DataError(f"{REQUEST_HEADER}: give ASCII")
    return Named(ids[REQUEST_FIELD], ids[PATIENT_FIELD])


def _header(headers: Mapping[bytes, bytes], name: str) -> str | None:
    value = headers.get(name.lower().encode())
    if value is None:
        return None
    try:  # so that a name is the same in a header, in JSON and in a table of labels
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _own_id(predicted: Predicted) -> dict[str, str]:
    return {} if predicted.request is None else {REQUEST_HEADER: predicted.request}


def _plain(answer: Answer) -> dict[str, Any]:
    return {"probability": answer.probability, "calibrated": answer.calibrated, "label": answer.label,
            "label_name": answer.label_name, "abstains": answer.abstains}  # fmt: skip


def _refusal(error: Exception) -> tuple[HTTPStatus, dict[str, str]]:
    """Return status and headers of what is said to a request that has failed."""
    if isinstance(error, _TooLarge):  # what the client still sends is not read
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"}
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return status, {"Retry-After": str(max(1, round(error.seconds)))} if isinstance(error, QueueFull) else {}
