"""Write a data file as a stream: the same rows give the same bytes, and no array is ever whole in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mobilenet_chest.files import whole_file

LEVEL = 1
"""Of deflate: films shrink little more at level 6, which takes three times as long."""

Rows = tuple[tuple[int, ...], Iterable[NDArray[np.uint8]]]
"""Shape (n, …) of a uint8 array, and its n rows."""


def write_archive(path: Path, streamed: Mapping[str, Rows], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a ``.npz`` whole or not at all.

    Args:
        path: File to write.
        streamed: uint8 arrays by key, as rows.
        arrays: Small arrays by key.

    Raises:
        OSError: It cannot be written.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for key, (shape, rows) in streamed.items():
            header = io.BytesIO()
            claimed = {"descr": "|u1", "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(header, claimed)
            # opened by its name: zipfile then gives each member the same date, of 1980
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                member.write(header.getvalue())
                for row in rows:
                    member.write(np.ascontiguousarray(row).tobytes())
        for key, array in arrays.items():
            contents = io.BytesIO()
            npy.write_array(contents, array, allow_pickle=False)
            with archive.open(f"{key}.npy", "w") as member:
                member.write(contents.getbuffer())
