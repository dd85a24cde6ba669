"""Paths, statuses and headers, asked over real connections."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from helpers.brightness import BRIGHT, DARK, flat, probability
from helpers.pictures import encoded
from helpers.serving import levels, listening, service_of
from numpy.typing import NDArray

from mobilenet_chest.deploy.serving.endpoint import STATUS
from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Answer, Follower
from mobilenet_chest.deploy.serving.service import Service
from mobilenet_chest.deploy.serving.web import PATHS, web_app

SECONDS = 30
TOKEN = "0123456789abcdef"


def film(level: int) -> bytes:
    return encoded(flat(level)[0])


@pytest.fixture
def address() -> Iterator[str]:
    with service_of(levels, max_bytes=10_000) as service, listening(service) as address:
        yield address


def post(address: str, body: bytes, path: str = "/predict", **headers: str) -> requests.Response:
    return requests.post(address + path, data=body, headers=headers, timeout=SECONDS)


def test_a_registered_model_answers_pictures_arrays_and_mlflows_form(models: dict[str, str]) -> None:
    service = Service(Follower(models["gray"]), Limits())
    try:
        with listening(service) as address:
            one = post(address, film(BRIGHT)).json()
            assert one["model"] == {"name": "gray", "version": "1"}
            (prediction,) = one["predictions"]
            assert prediction == {"probability": pytest.approx(probability(BRIGHT), abs=1e-6), "calibrated": None,
                                  "label": 1, "label_name": "bright", "abstains": False}  # fmt: skip
            pictures = {"images": [base64.b64encode(film(level)).decode() for level in (DARK, BRIGHT)]}
            two = requests.post(f"{address}/predict", json=pictures, timeout=SECONDS).json()["predictions"]
            # another batch adds up in another order
            assert two[1] == prediction | {"probability": pytest.approx(prediction["probability"], abs=1e-6)}
            arrays = {"inputs": flat(DARK, BRIGHT).tolist()}
            assert requests.post(f"{address}/invocations", json=arrays, timeout=SECONDS).json() == {"predictions": two}
            about = requests.get(f"{address}/version", timeout=SECONDS).json()
            assert (about["name"], about["classes"], about["threshold"]) == ("gray", ["dark", "bright"], 0.5)
            assert about["problem"] is None
    finally:
        service.close()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", b"", 400),
        ("/predict", b"hello", 400),
        ("/invocations", b"{}", 400),
        ("/predict", b"0" * 10_001, 413),
    ],
    ids=["empty", "no picture", "no inputs", "too large"],
)  # fmt: skip
def test_what_cannot_be_used_has_a_status_and_one_line(address: str, path: str, body: bytes, status: int) -> None:
    answer = post(address, body, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert len(answer.json()["error"].splitlines()) == 1


def test_paths_that_are_not_there(address: str) -> None:
    assert requests.get(f"{address}/predict", timeout=SECONDS).status_code == 405
    assert requests.get(f"{address}/../etc/passwd", timeout=SECONDS).status_code == 404
    assert requests.get(f"{address}/redoc", timeout=SECONDS).status_code == 404


def test_other_sites_may_not_ask(address: str) -> None:
    answer = requests.options(f"{address}/predict", timeout=SECONDS, headers={
        "Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"})  # fmt: skip
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    answer = requests.get(address, timeout=SECONDS)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "//" not in answer.text.replace("// ", "")
    assert {"/predict", "/invocations", "/version"} <= set(
        requests.get(f"{address}/openapi.json", timeout=SECONDS).json()["paths"]
    )


def test_the_page_of_the_paths_loads_nothing_and_names_all(address: str) -> None:
    answer = requests.get(f"{address}/docs", timeout=SECONDS)
    assert answer.ok
    assert "script" not in answer.text
    assert "//" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    document = requests.get(f"{address}/openapi.json", timeout=SECONDS).json()
    assert set(document["paths"]) == set(PATHS) - {"/openapi.json"}
    assert all(f"<code>GET {path}</code>" in answer.text or f"<code>POST {path}</code>" in answer.text
               for path in document["paths"])  # fmt: skip
    for path in ("/predict", "/invocations"):
        names = [parameter["name"] for parameter in document["paths"][path]["post"]["parameters"]]
        assert names == ["Request-Id", "Patient-Id"]
    for name in ("calibrated", "abstains", "image/*", "429", "Request-Id", "Patient-Id", "Model-Version"):
        assert name in answer.text
    statuses = {str(int(status)) for status in STATUS.values()}
    assert statuses <= set(document["paths"]["/predict"]["post"]["responses"])


def test_what_is_counted(address: str) -> None:
    for level in (0, 200, 201):
        assert post(address, film(level)).ok
    post(address, b"hello")
    lines = requests.get(f"{address}/metrics", timeout=SECONDS).text.splitlines()
    counted = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    prefix = "mobilenet_chest_"
    assert float(counted[prefix + 'requests_total{path="/predict",status="200"}']) == 3
    assert float(counted[prefix + 'requests_total{path="/predict",status="400"}']) == 1
    assert float(counted[prefix + 'images_total{label="any",version="1"}']) == 3
    assert float(counted[prefix + 'probability_bucket{le="0.1",version="1"}']) == 1
    assert float(counted[prefix + 'wait_seconds_count{version="1"}']) == 3
    assert float(counted[prefix + "waiting_images"]) == 0


def test_an_answer_is_counted_before_it_is_sent() -> None:
    """Its client may ask another worker for the counts at once."""
    counted_then: list[bool] = []
    with service_of(levels) as service:

        async def send(message: dict[str, Any]) -> None:
            page = service.meters.page()[0].decode()
            counted_then.append('requests_total{path="/healthz",status="200"} 1.0' in page)

        scope = {"type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b"",
                 "headers": [], "http_version": "1.1", "scheme": "http", "root_path": ""}  # fmt: skip
        asyncio.run(web_app(service, None)(scope, lambda: asyncio.sleep(60), send))
    assert counted_then
    assert all(counted_then)


def test_paths_of_strangers_are_counted_as_one() -> None:
    with service_of(levels) as service, listening(service, TOKEN) as address:
        for number in range(3):
            assert requests.get(f"{address}/made-up-{number}", timeout=SECONDS).status_code == 401
        own = {"Authorization": f"Bearer {TOKEN}"}
        page = requests.get(f"{address}/metrics", headers=own, timeout=SECONDS).text
        assert 'requests_total{path="other",status="401"} 3.0' in page
        assert "made-up" not in page


def test_no_more_requests_are_read_than_may_wait() -> None:
    with service_of(levels, max_batch=1, max_waiting=1) as service, listening(service) as address:
        with service.taken(), service.taken():
            assert post(address, film(1)).status_code == 429
        assert post(address, film(1)).ok


def test_a_token_is_asked_for_everywhere_but_where_nothing_is_shown() -> None:
    with service_of(levels) as service, listening(service, TOKEN) as address:
        for path in ("/", "/docs", "/healthz", "/readyz"):
            assert requests.get(address + path, timeout=SECONDS).ok
        for path in ("/version", "/metrics", "/openapi.json"):
            assert requests.get(address + path, timeout=SECONDS).status_code == 401
        assert post(address, film(1), Authorization=f"Bearer {TOKEN}x").status_code == 401
        assert post(address, film(1), Authorization=f"Bearer {TOKEN}").ok


def test_a_model_that_fails_is_said_and_the_next_request_is_answered() -> None:
    def fails_on_white(images: NDArray[np.uint8]) -> list[Answer]:
        if images.max() == 255:
            raise RuntimeError("secret")
        return levels(images)

    with service_of(fails_on_white) as service, listening(service) as address:
        failed = post(address, film(255))
        assert failed.status_code == 500
        assert "secret" not in failed.text
        assert post(address, film(1)).ok


def test_requests_beyond_the_queue_are_told_when_to_come_again() -> None:
    entered, released = threading.Event(), threading.Event()

    def held(images: NDArray[np.uint8]) -> list[Answer]:
        entered.set()
        assert released.wait(SECONDS)
        return levels(images)

    with (
        service_of(held, max_batch=1, max_waiting=1) as service,
        listening(service) as address,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(post, address, film(1))
        assert entered.wait(SECONDS)
        second = pool.submit(post, address, film(2))
        while not len(service):
            pass
        third = post(address, film(3))
        assert third.status_code == 429
        assert int(third.headers["Retry-After"]) >= 1
        released.set()
        assert first.result().ok
        assert second.result().ok


def test_an_answer_that_comes_too_late_is_refused() -> None:
    released = threading.Event()

    def held(images: NDArray[np.uint8]) -> list[Answer]:
        released.wait(SECONDS)
        return levels(images)

    with service_of(held, deadline=0.3) as service, listening(service) as address:
        assert post(address, film(1)).status_code == 504
        released.set()
        assert post(address, film(1)).ok


def test_while_it_drains_each_answer_closes_its_connection(address: str) -> None:
    with service_of(levels) as service, listening(service) as draining:
        service.draining = True
        answer = post(draining, film(1))
        assert answer.ok
        assert answer.headers["Connection"] == "close"
        assert requests.get(f"{draining}/readyz", timeout=SECONDS).status_code == 503
