"""One answer as a row of the log, and how rows are written to the journal and to Parquet."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ARMS = (CHAMPION, CHALLENGER, SHADOW)
"""Who gave an answer. A shadow's answers are returned to nobody."""

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("request", pa.string()),
        ("image", pa.int32()),
        ("patient", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("arm", pa.string()),
        ("probability", pa.float64()),
        ("calibrated", pa.float64()),
        ("label", pa.int8()),
        ("threshold", pa.float64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("share_black", pa.float64()),
        ("share_white", pa.float64()),
        ("detail", pa.float64()),
        ("features", pa.list_(pa.float16())),
        ("share", pa.float64()),
    ]
)
"""Columns of the log, as :class:`Row` describes them."""


class PictureStatistics(NamedTuple):
    """What is kept of an image's pixels.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        mean: Mean grey level, 0 to 255; over all channels of a colour image.
        std: Standard deviation of the grey levels.
        share_black: Share of values that are 0.
        share_white: Share of values that are 255.
        detail: Mean difference of pixels that are neighbours, over the standard deviation; 0 for a blank image. Noise
            raises it, blur lowers it, and exposure leaves it. Logs of early versions lack it.
    """

    height: int
    width: int
    mean: float
    std: float
    share_black: float
    share_white: float
    detail: float


def picture_statistics(image: NDArray[np.uint8]) -> PictureStatistics:
    """Return the statistics of a uint8 image (h, w) or (h, w, 3)."""
    counts = np.bincount(image.ravel(), minlength=256)
    levels, n = np.arange(256), image.size
    mean = float(counts @ levels) / n
    deviation = (float(counts @ (levels - mean) ** 2) / n) ** 0.5
    pixels = image.astype(np.int16)
    steps = [float(np.abs(np.diff(pixels, axis=axis)).mean()) for axis in (0, 1) if image.shape[axis] > 1]
    detail = sum(steps) / len(steps) / deviation if deviation else 0.0
    return PictureStatistics(
        image.shape[0], image.shape[1], mean, deviation, float(counts[0]) / n, float(counts[255]) / n, detail
    )


@dataclass(frozen=True)
class Row:
    """An answer for one image.

    Attributes:
        time: In UTC.
        request: Keyed hash of the request's id. A champion's row and its shadow's have ``request`` and ``image`` in
            common.
        image: Number of the image in its request.
        patient: Keyed hash of the patient's id, where the request had one.
        model: Name of the registered model.
        version: Its version.
        arm: One of :data:`ARMS`.
        probability: Of class 1.
        calibrated: The probability after calibration, where the version knows its temperature.
        label: 0 or 1.
        threshold: Smallest ``probability`` with label 1.
        picture: Statistics of the uint8 image that the model was given; a column for each.
        features: float16 (d,), what the network's head was given, where the model tells it.
        share: Of the patients who have the challenger, where there is one.
    """

    time: datetime
    request: str
    image: int
    patient: str | None
    model: str
    version: str
    arm: str
    probability: float
    calibrated: float | None
    label: int
    threshold: float
    picture: PictureStatistics
    features: NDArray[np.float16] | None = None
    share: float | None = None


_PLAIN = tuple(field.name for field in fields(Row) if field.name not in ("time", "picture", "features"))


def encoded(row: Row) -> bytes:
    """Return a row as a line of the journal: a checksum, a space, and JSON."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    values["time"] = round(row.time.timestamp() * 1e6)
    values |= row.picture._asdict()
    if row.features is not None:
        values["features"] = base64.b64encode(np.asarray(row.features, np.float16).tobytes()).decode()
    text = json.dumps(values).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decoded(contents: bytes) -> list[dict[str, Any]]:
    """Return the rows of a journal's contents, a value for each column of :data:`SCHEMA` that has one.

    What a kill or a power failure has left half written does not fit its checksum, and is no row: nobody was given an
    answer for it.
    """
    rows = []
    for line in contents.split(b"\n"):
        checksum, _, text = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text) or not text:
            continue
        values = json.loads(text)
        values["time"] = datetime.fromtimestamp(values["time"] / 1e6, UTC)
        if "features" in values:
            values["features"] = np.frombuffer(base64.b64decode(values["features"]), np.float16)
        rows.append(values)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows, as :func:`decoded` gives them, as a table of :data:`SCHEMA`."""
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows, as :func:`decoded` gives them, as the contents of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table(rows), file, compression="zstd")
    return file.getvalue()


def frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """Return tables of :data:`SCHEMA` as one frame, in the order of time."""
    joined = pa.concat_tables([*tables, SCHEMA.empty_table()])
    rows: pd.DataFrame = joined.to_pandas()
    return rows.sort_values("time", kind="stable", ignore_index=True)
