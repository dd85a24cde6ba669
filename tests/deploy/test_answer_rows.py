"""A row is the same after the journal and after Parquet; what is half written is none."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from mobilenet_chest.deploy.answer_rows import (
    SCHEMA,
    Row,
    as_parquet,
    decoded,
    encoded,
    frame,
    picture_statistics,
    table,
)

IMAGE = np.array([[0, 0, 255], [10, 20, 30]], np.uint8)


def row(number: int = 0, features: list[float] | None = None) -> Row:
    given = None if features is None else np.array(features, np.float16)
    time = datetime(2026, 1, 2, 3, 4, 5, 678901 + number, UTC)
    return Row(time, f"r{number}", 1, None, "films", "3", "shadow", 0.1 + 0.2, 0.25, 1, 0.3, picture_statistics(IMAGE),
               given)  # fmt: skip


@pytest.mark.parametrize("image", [IMAGE, np.stack([IMAGE] * 3, axis=2)], ids=["gray", "colour"])
def test_statistics_of_an_image(image: np.ndarray) -> None:
    statistics = picture_statistics(image)
    assert statistics[:2] == (2, 3)
    assert statistics[2:6] == pytest.approx((image.mean(), image.std(), 2 / 6, 1 / 6))
    down, right = (np.abs(np.diff(image.astype(float), axis=axis)).mean() for axis in (0, 1))
    assert statistics.detail == pytest.approx((down + right) / 2 / image.std())


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2, 3)])
def test_detail_of_small_and_blank_images(shape: tuple[int, ...]) -> None:
    assert picture_statistics(np.full(shape, 9, np.uint8)).detail == 0
    rising = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.isfinite(picture_statistics(rising).detail)


def test_rows_come_back_from_the_journal_and_from_parquet() -> None:
    rows = [row(0), row(1, [0.5, -2.0])]
    live = decoded(b"".join(map(encoded, rows)))
    from_journal, from_parquet = frame([table(live)]), pd.read_parquet(io.BytesIO(as_parquet(live)))
    pd.testing.assert_frame_equal(from_journal, from_parquet)
    assert list(from_journal) == SCHEMA.names
    first, second = from_journal.itertuples(index=False)
    assert first.time == rows[0].time
    assert (first.request, first.image, first.arm, first.label) == ("r0", 1, "shadow", 1)
    assert pd.isna(first.patient)
    assert first.probability == 0.1 + 0.2
    assert (first.height, first.width, first.share_black) == (2, 3, 2 / 6)
    assert first.features is None
    np.testing.assert_array_equal(second.features, np.array([0.5, -2.0], np.float16))


def test_damaged_lines_are_left_out_wherever_they_are() -> None:
    lines = [encoded(row(number)) for number in range(3)]
    for cut in range(1, len(lines[1])):
        assert [values["request"] for values in decoded(lines[0] + lines[1][:cut])] == (
            ["r0", "r1"] if cut == len(lines[1]) - 1 else ["r0"]  # only the end of the line is missing
        )
    damaged = lines[1].replace(b"films", b"filmz")
    assert [values["request"] for values in decoded(lines[0] + damaged + lines[2] + b"\0" * 100)] == ["r0", "r2"]


def test_rows_are_in_the_order_of_time() -> None:
    tables = [table(decoded(encoded(row(number)))) for number in (2, 0, 1)]
    assert frame(tables)["request"].tolist() == ["r0", "r1", "r2"]
    assert len(frame([])) == 0
