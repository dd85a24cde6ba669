"""What rounds of calls come to; and two files, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenet_chest.deploy.benchmark import rounds
from mobilenet_chest.deploy.benchmark.engine_process import Calls
from mobilenet_chest.deploy.benchmark.rounds import Engine, Spread, measure

ORDERS: list[tuple[str, int, int]] = []


class FakeProcess:
    """Answers at once with times that are known: a file named ``slow`` takes twice as long."""

    started: Iterator[float]

    def __init__(self, format_name: str, path: Path, threads: int, images: Path) -> None:
        self.name, self.factor = path.name, 2 if path.name == "slow" else 1
        self.start_seconds = 0.5 * self.factor

    def time(self, batch: int, calls: int) -> Calls:
        ORDERS.append((self.name, batch, calls))
        each = self.factor * (0.010 if batch == 1 else 0.005 * batch)
        return Calls([each] * calls, 2.0 * batch * calls * self.factor, 1000 * self.factor)

    def close(self) -> None:
        ORDERS.append((self.name, 0, 0))


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    ORDERS.clear()
    monkeypatch.setattr(rounds, "EngineProcess", FakeProcess)
    return [Engine("onnx", Path(name), Path("images.npy")) for name in ("fast", "slow")]


def test_speeds(engines: list[Engine]) -> None:
    first, second = measure(engines, 1, 3, (1, 8))
    assert (first.p50_ms, first.p95_ms, first.p99_ms) == pytest.approx((10, 10, 10))
    assert second.p50_ms == pytest.approx(20)
    assert first.times_faster == Spread(1, 1, 1)
    assert second.times_faster == Spread(0.5, 0.5, 0.5)
    assert (first.batch, second.batch) == (8, 8)
    assert first.images_per_second.median == pytest.approx(200)
    assert second.images_per_second.median == pytest.approx(100)
    assert (first.peak_bytes, second.peak_bytes) == (1000, 2000)
    assert first.start_seconds == Spread(0.5, 0.5, 0.5)
    assert first.millijoules == Spread(2000, 2000, 2000)


def test_files_answer_in_turn_and_every_process_is_ended(engines: list[Engine]) -> None:
    measure(engines, 1, 2, (1, 8))
    timed = [name for name, batch, calls in ORDERS if (batch, calls) == (1, rounds.SINGLE_CALLS)]
    assert timed == ["fast", "slow"] * 3  # the first round warms up
    assert [name for name, batch, _ in ORDERS if batch == 0] == [
        *["fast", "slow"] * (rounds.STARTS - 1),
        "slow",
        "fast",
    ]


def test_the_median_of_unequal_rounds() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)


@pytest.mark.slow
def test_a_file_in_a_process_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    engine = Engine("onnx", _doubling_file(tmp_path / "model.onnx"), tmp_path / "images.npy")
    np.save(engine.images, np.zeros((4, 1, 2, 2), np.uint8))
    (speed,) = measure([engine], 1, 1, (1, 4))
    assert 0 < speed.p50_ms <= speed.p95_ms <= speed.p99_ms < 1000
    # a process that predicts needs neither torch nor MLflow
    assert 20e6 < speed.peak_bytes < 250e6
    assert speed.start_seconds.low > 0


def _doubling_file(path: Path) -> Path:
    """Write an ONNX file whose logit is the sum of an image's pixels."""
    import onnx
    from onnx import TensorProto, helper

    nodes: list[Any] = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axes"], ["logit"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "sum", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 1, 2, 2])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path
