"""Arrays of another layout: what they are, and the line that makes a data file of them."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import numpy as np

from mobilenet_chest.data.npz_archive import CHUNK_BYTES, NpzArchive
from mobilenet_chest.errors import DataError

BITS = (8, 10, 12, 14, 16)


def image_expression(file: NpzArchive, keys: tuple[str, ...]) -> str | None:
    """Return the numpy expression of ``v`` that makes uint8 (n, h, w) or (n, h, w, 3) of a file's images.

    Args:
        file: The file.
        keys: Images of train and val, in which the range of values is measured.

    Returns:
        ``None`` where nothing certain can be said: another number of axes, values that are not finite or all equal.
    """
    with file.opened() as archive:
        headers = [file.header(archive, key) for key in keys]
    shape, dtype = headers[0].shape[1:], headers[0].dtype
    if any((header.shape[1:], header.dtype) != (shape, dtype) for header in headers):
        return None
    match shape:
        case (_, _) | (_, _, 3):
            axes = "v"
        case (_, _, 1):
            axes = "v[..., 0]"
        case (1, _, _):
            axes = "v[:, 0]"
        case (3, _, _):
            axes = "v.transpose(0, 2, 3, 1)"
        case _:
            return None
    if dtype == np.uint8:
        return None if axes == "v" else axes
    if dtype.kind not in "fiub":
        return None
    low, high = _range(file, keys)
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    if dtype.kind != "b" and low >= 0 and 1 < high <= 255:
        scaled = axes
    elif low >= 0 and high <= 1:
        scaled = f"{axes} * 255"
    elif dtype.kind in "iu" and low >= 0:
        bits = next((bits for bits in BITS if high < 2**bits), None)
        scaled = f"{axes} / {2**bits - 1 if bits else high:.0f} * 255"
    else:
        scaled = f"({axes} - {low:g}) / {high - low:g} * 255"
    return f"np.rint({scaled}).clip(0, 255).astype('uint8')"


def label_expression(file: NpzArchive, key: str) -> str | None:
    """Return the numpy expression of ``v`` that makes label numbers of a file's labels: of -1 and 1, floats, one-hot.

    Args:
        file: The file.
        key: Labels of train.
    """
    with file.opened() as archive:
        header = file.header(archive, key)
        if header.dtype.kind not in "fiub":
            return None
        raw = b"".join(file.payload(archive, key, header.offset, CHUNK_BYTES))
    values = np.frombuffer(raw, header.dtype).reshape(header.shape)
    if not values.size or not np.isin(values, range(-1, 256)).all():
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        one_hot = values.min() == 0 and values.max() == 1 and (values.sum(1) == 1).all()
        return "v.argmax(1).astype('uint8')" if one_hot else None
    if values.min() < 0:
        return "(v > 0).astype('uint8')" if set(np.unique(values)) == {-1, 1} else None
    return "v.astype('uint8')" if header.dtype.kind == "f" else None


def conversion(file: NpzArchive) -> str | None:
    """Return the line to type that writes a converted copy of a file; ``None`` where nothing certain can be said.

    The rows of the test split are converted by that line too, but nothing here reads them.
    """
    known = [split for split in ("train", "val") if {f"{split}_images", f"{split}_labels"} <= set(file.keys)]
    if not known or not Path(file.name).is_file():
        return None
    try:
        images = image_expression(file, tuple(f"{split}_images" for split in known))
        labels = label_expression(file, f"{known[0]}_labels")
    except DataError:  # damaged: the error of the reader says so
        return None
    if images is None and labels is None:
        return None
    source = Path(file.name)
    target = source.with_name(f"{source.stem}-converted.npz")
    steps = {"images": images, "labels": labels}
    chosen = " ".join(f"{expression} if k.endswith('_{part}') else" for part, expression in steps.items() if expression)
    code = (
        f"import numpy as np; a = np.load({str(source)!r}); "
        f"np.savez_compressed({str(target)!r}, **{{k: {chosen} v for k in a.files for v in [a[k]]}})"
    )
    return f"python -c {shlex.quote(code)}" if set(code) & set('"$`\\!') else f'python -c "{code}"'


def _range(file: NpzArchive, keys: tuple[str, ...]) -> tuple[float, float]:
    """Return the least and the greatest value of some arrays; NaN where one is not a number."""
    low, high = math.inf, -math.inf
    with file.opened() as archive:
        for key in keys:
            header = file.header(archive, key)
            step = CHUNK_BYTES - CHUNK_BYTES % header.dtype.itemsize
            for raw in file.payload(archive, key, header.offset, step):
                values = np.frombuffer(raw, header.dtype)
                low, high = float(np.minimum(low, values.min())), float(np.maximum(high, values.max()))
    return low, high
