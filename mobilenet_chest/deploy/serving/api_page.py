"""What requests and answers hold, for ``/openapi.json``, and the page of it that people read, which loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mobilenet_chest.deploy.identities import MAX_LENGTH
from mobilenet_chest.deploy.serving.endpoint import (
    PATIENT_FIELD,
    PATIENT_HEADER,
    REQUEST_FIELD,
    REQUEST_HEADER,
    VERSION_HEADER,
)

BINARY = {"type": "string", "format": "binary"}
PREDICTION = {
    "type": "object",
    "properties": {
        "probability": {"type": "number", "description": "of class 1"},
        "calibrated": {"type": ["number", "null"], "description": "after division of its logit by the temperature"},
        "label": {"type": "integer", "description": "1 where probability reaches the threshold"},
        "label_name": {"type": "string"},
        "abstains": {"type": "boolean", "description": "neither answer is safe enough"},
    },
}
PREDICTIONS = {"type": "array", "items": PREDICTION}
MODEL = {"type": "object", "properties": {"name": {"type": "string"}, "version": {"type": "string"}}}
IMAGES = {"type": "array", "description": "images as nested lists of 0 to 255", "items": {"type": "array"}}

HEADERS: list[dict[str, Any]] = [
    {"name": name, "in": "header", "required": False, "description": description,
     "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}}
    for name, description in (
        (REQUEST_HEADER, "the request's id, for a log of answers; one is made where it lacks"),
        (PATIENT_HEADER, "the patient's id, of which a log keeps a keyed hash; a patient always has the same model"),
    )
]  # fmt: skip
"""Headers of a request; in JSON, fields may take their place."""

ANSWERED: dict[str, Any] = {
    VERSION_HEADER: {"description": "version of the model that has predicted", "schema": {"type": "string"}},
    REQUEST_HEADER: {"description": "the request's id, where answers are logged", "schema": {"type": "string"}},
}
"""Headers of an answer."""

ID_FIELDS = {name: {"type": "string", "description": f"in place of the header {header}"}
             for name, header in ((REQUEST_FIELD, REQUEST_HEADER), (PATIENT_FIELD, PATIENT_HEADER))}  # fmt: skip

REFUSALS = {
    "400": "the images cannot be used",
    "401": "the token is missing or wrong",
    "413": "the body is too large",
    "415": "DICOM cannot be read here",
    "429": "too many images wait; Retry-After says when to come again",
    "500": "the model failed",
    "503": "the server stops, or the log of answers or an access to the test split cannot be written",
    "504": "no answer in time",
}
"""Statuses of answers that hold one line in ``error``."""


def _json(**properties: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": properties}}}


def _answers(**properties: Any) -> dict[str, Any]:
    refusals = {
        status: {"description": text, "content": _json(error={"type": "string"})} for status, text in REFUSALS.items()
    }
    answer = {"description": "a prediction for each image", "headers": ANSWERED, "content": _json(**properties)}
    return {"200": answer, **refusals}


PREDICT: dict[str, Any] = {
    "parameters": HEADERS,
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": BINARY | {"description": "PNG, JPEG, TIFF, BMP or WebP"}},
            "application/dicom": {"schema": BINARY | {"description": "a DICOM file of one picture"}},
            "application/octet-stream": {"schema": BINARY | {"description": "an .npy of uint8 (n, h, w)"}},
            **_json(images={"type": "array", "items": {"type": "string", "format": "byte"},
                            "description": "pictures in base64"}, **ID_FIELDS),
        },
    },
    "responses": _answers(model=MODEL, predictions=PREDICTIONS),
}  # fmt: skip
"""Body and answers of ``POST /predict``."""

INVOCATIONS: dict[str, Any] = {
    "parameters": HEADERS,
    "requestBody": {"required": True, "content": _json(inputs=IMAGES, instances=IMAGES, **ID_FIELDS)},
    "responses": _answers(predictions=PREDICTIONS),
}
"""Body and answers of ``POST /invocations``."""

PREDICTION_PATHS: dict[str, Any] = {
    "/predict": {"post": {"summary": "Predict a picture, an .npy of images, or JSON of pictures in base64"} | PREDICT},
    "/invocations": {"post": {"summary": "Predict images in MLflow's form"} | INVOCATIONS},
}
"""The paths that predict, as an OpenAPI document describes them."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1c2530; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .25rem; } code { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid #d8dee6; }
@media (prefers-color-scheme: dark) { body { background: #12171d; color: #e4e9ef; } th, td { border-color: #323c48; } }
"""


def api_page(document: Mapping[str, Any]) -> str:
    """Return a page of HTML, without scripts, of an OpenAPI document as FastAPI makes it."""
    title = f"{document['info']['title']} {document['info']['version']}"
    parts = [
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}</p>"
        f"{_headers(operation.get('parameters', []))}"
        f"{_table('body', operation.get('requestBody', {}).get('content', {}))}"
        f"{_statuses(operation.get('responses', {}))}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{"".join(parts)}</body></html>'
    )


def _headers(parameters: Sequence[Mapping[str, Any]]) -> str:
    return _table("header", {parameter["name"]: {"schema": {"description": parameter["description"]}}
                             for parameter in parameters})  # fmt: skip


def _statuses(responses: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td>"
        f"<td>{_fields(response.get('content', {}))}{_also(response.get('headers', {}))}</td></tr>"
        for status, response in responses.items()
    ]
    return f"<table><thead><tr><th>status</th><th>meaning</th><th>answer</th></tr></thead>{''.join(rows)}</table>"


def _table(name: str, content: Mapping[str, Any]) -> str:
    if not content:
        return ""
    rows = [
        f"<tr><td><code>{escape(kind)}</code></td><td>{_described(entry.get('schema', {}))}</td></tr>"
        for kind, entry in content.items()
    ]
    return f"<table><thead><tr><th>{name}</th><th></th></tr></thead>{''.join(rows)}</table>"


def _fields(content: Mapping[str, Any]) -> str:
    return "; ".join(_described(entry.get("schema", {})) for entry in content.values())


def _also(headers: Mapping[str, Any]) -> str:
    named = (f"<code>{escape(name)}</code> ({escape(header['description'])})" for name, header in headers.items())
    return f"; headers: {', '.join(named)}" if headers else ""


def _described(schema: Mapping[str, Any]) -> str:
    """Return what a value is: its description, or its fields, those of a list's items included."""
    if "properties" in schema:
        return ", ".join(
            f"<code>{escape(name)}</code>{f' ({inner})' if (inner := _described(value)) else ''}"
            for name, value in schema["properties"].items()
        )
    if "description" in schema:
        return escape(schema["description"])
    return _described(schema["items"]) if "items" in schema else ""
