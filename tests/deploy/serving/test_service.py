"""With a log, an answer is in it before it is given; a patient keeps an arm; a shadow disturbs nobody."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
from helpers.brightness import flat
from helpers.browsers import until
from helpers.pictures import encoded
from helpers.serving import follower_of, levels, listening, negatives, service_of
from numpy.typing import NDArray

from mobilenet_chest.deploy import answer_log
from mobilenet_chest.deploy.answer_log import read
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.deploy.serving.recorder import Recorder
from mobilenet_chest.deploy.serving.service import Named, Rival, Service
from mobilenet_chest.errors import TrackingError

SECONDS = 30


def post(address: str, *shades: int, **headers: str) -> requests.Response:
    pictures = {"images": [base64.b64encode(encoded(flat(shade)[0])).decode() for shade in shades]}
    return requests.post(f"{address}/predict", json=pictures, headers=headers, timeout=SECONDS)


def named(number: int) -> dict[str, str]:
    return {"Patient-Id": f"patient {number}"}


async def versions(service: Service, patients: int) -> list[str]:
    """Return the version that answers each patient."""
    predicted = [
        await service.predict(lambda model: [*flat(51)], lambda number=number: Named(None, f"patient {number}"))
        for number in range(patients)
    ]
    return [answers[0].version for _, answers, _ in predicted]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder("films", tmp_path)
    yield recorder
    recorder.close()


def log(folder: Path) -> pd.DataFrame:
    return read("films", None, folder)


def test_an_answer_is_in_the_log_when_it_is_given(recorder: Recorder, tmp_path: Path) -> None:
    with service_of(levels, recorder) as service, listening(service) as address:
        answer = post(address, 51, 255, **named(1), **{"Request-Id": "r1"})
        assert answer.headers["Request-Id"] == "r1"
        rows = log(tmp_path)
    assert rows["image"].tolist() == [0, 1]
    assert rows["probability"].tolist() == [0.2, 1.0]
    assert rows["calibrated"].tolist() == [0.1, 0.5]
    assert rows["label"].tolist() == [0, 1]
    assert set(rows["threshold"]) == {0.5}
    assert set(rows["arm"]) == {"champion"}
    assert set(zip(rows["model"], rows["version"], strict=True)) == {("films", "1")}
    assert rows[["height", "width", "mean", "std", "share_white"]].values.tolist() == [
        [20, 24, 51.0, 0.0, 0.0], [20, 24, 255.0, 0.0, 1.0]]  # fmt: skip
    assert rows["features"][1].tolist() == [1.0, 1.0]
    identity = recorder.identity("r1", "patient 1")
    assert set(zip(rows["request"], rows["patient"], strict=True)) == {tuple(identity)}
    everything = b"".join(path.read_bytes() for path in (tmp_path / "films").iterdir())
    assert b"patient 1" not in everything


def test_ids_may_be_fields_of_json_and_are_made_where_they_lack(recorder: Recorder, tmp_path: Path) -> None:
    body = {"inputs": flat(51).tolist(), "patient_id": "Ümit", "request_id": "r2"}
    with service_of(levels, recorder) as service, listening(service) as address:
        assert requests.post(f"{address}/invocations", json=body, timeout=SECONDS).headers["Request-Id"] == "r2"
        made = post(address, 51, **{"Patient-Id": "Ümit".encode().decode("latin-1")}).headers["Request-Id"]
    rows = log(tmp_path)
    assert set(rows["patient"]) == {recorder.identity("", "Ümit").patient}
    assert rows["request"].tolist() == [recorder.identity(name, None).request for name in ("r2", made)]


@pytest.mark.parametrize(
    "body", [{"patient_id": 3}, {"patient_id": " "}, {"request_id": "ü"}, {"request_id": "a\r\nb: c"}]
)
def test_ids_that_are_none_are_refused(recorder: Recorder, body: dict[str, object]) -> None:
    with service_of(levels, recorder) as service, listening(service) as address:
        answer = requests.post(f"{address}/invocations", json=body | {"inputs": flat(51).tolist()}, timeout=SECONDS)
    assert answer.status_code == 400


def test_a_patient_stays_with_one_arm_over_restarts_and_a_larger_share_takes_nobody_away(tmp_path: Path) -> None:
    arms = []
    for share in (0.3, 0.3, 0.6):
        recorder = Recorder("films", tmp_path)
        with service_of(levels, recorder, Rival(follower_of(negatives, "2"), share)) as service:
            arms.append(asyncio.run(versions(service, 30)))
    first, again, more = arms
    assert first == again
    assert {"1", "2"} == set(first)
    assert all(later == "2" for before, later in zip(first, more, strict=True) if before == "2")
    assert more.count("2") > first.count("2")
    rows = log(tmp_path)
    assert rows.groupby("patient")["arm"].first().value_counts()["challenger"] == first.count("2")
    assert set(rows.loc[rows["arm"] == "challenger", "probability"]) == {0.8}


def test_a_shadow_answers_the_same_images_and_is_returned_to_nobody(recorder: Recorder, tmp_path: Path) -> None:
    with service_of(levels, recorder, Rival(follower_of(negatives, "2"))) as service, listening(service) as address:
        assert post(address, 51, 255, **named(1)).json()["predictions"][0]["probability"] == 0.2
        assert requests.get(f"{address}/version", timeout=SECONDS).json()["shadow"]["version"] == "2"
        until(lambda: len(log(tmp_path)) == 4, SECONDS, "rows of the shadow")
    rows = log(tmp_path).set_index(["request", "image", "arm"])["probability"].unstack()
    assert rows.values.tolist() == [[0.2, 0.8], [1.0, 0.0]]


def test_a_shadow_that_fails_or_is_late_is_counted_and_disturbs_nobody(recorder: Recorder) -> None:
    entered, released = threading.Event(), threading.Event()

    def failing(images: NDArray[np.uint8], features: bool) -> list[Answer]:
        entered.set()
        assert released.wait(SECONDS)
        raise RuntimeError("shadow")

    rival = Rival(follower_of(failing, "2"))
    with service_of(levels, recorder, rival, max_waiting=2, max_batch=8) as service, listening(service) as address:
        assert post(address, 1).ok
        assert entered.wait(SECONDS)
        for _ in range(4):
            assert post(address, 1).ok
        released.set()
        until(lambda: b'shadow_images_total{outcome="failed"} 3.0' in service.meters.page()[0], SECONDS, "failures")
        assert b'shadow_images_total{outcome="skipped"} 2.0' in service.meters.page()[0]


def refuses_white(images: Sequence[NDArray[np.uint8]]) -> None:
    if any(image.max() == 255 for image in images):
        raise TrackingError("a row of the sealed test split")


def test_a_sealed_film_that_cannot_be_put_on_record_fails_its_request_alone(recorder: Recorder, tmp_path: Path) -> None:
    rival = Rival(follower_of(negatives, "2"))
    with service_of(levels, recorder, rival) as service, listening(service) as address, ThreadPoolExecutor(6) as pool:
        service.follower.model.check = refuses_white  # type: ignore[method-assign]
        answers = [pool.submit(post, address, shade) for shade in (255, 51, 51, 255, 51, 51)]
        assert [answer.result().status_code for answer in answers] == [503, 200, 200, 503, 200, 200]
        assert "sealed" in answers[0].result().json()["error"]
        service.follower.model.check = lambda images: None  # type: ignore[method-assign]
        rival.follower.model.check = refuses_white  # type: ignore[method-assign]
        assert [post(address, shade).status_code for shade in (51, 255)] == [200, 200]
        page = service.meters.page
        until(lambda: b'shadow_images_total{outcome="answered"} 5.0' in page()[0], SECONDS, "the shadow's answers")
        assert b'shadow_images_total{outcome="failed"} 1.0' in page()[0]


def test_without_its_row_no_answer_is_given(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with service_of(levels, recorder) as service, listening(service) as address:
        with monkeypatch.context() as patch:
            patch.setattr(answer_log, "_write_all", full)
            answer = post(address, 1)
        assert answer.status_code == 503
        assert "No space left" in answer.json()["error"]
        assert post(address, 1).ok


def test_an_answer_whose_row_comes_too_late_is_not_given(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released, real = threading.Event(), answer_log._write_all

    def slow(file: int, contents: bytes) -> None:
        assert released.wait(SECONDS)
        real(file, contents)

    with service_of(levels, recorder, deadline=0.2) as service, listening(service) as address:
        monkeypatch.setattr(answer_log, "_write_all", slow)
        assert post(address, 1).status_code == 504
        released.set()
        assert post(address, 2).ok
    assert len(log(tmp_path)) == 2


def test_without_a_log_ids_are_not_read(tmp_path: Path) -> None:
    with service_of(levels) as service, listening(service) as address:
        answer = post(address, 1, **{"Patient-Id": "x" * 300})
        assert answer.ok
        assert "Request-Id" not in answer.headers
