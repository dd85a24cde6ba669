"""Images to predict, in batches: from picture files, ``.npz``, ``.npy``, or memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.data.conversion import depth
from mobilenet_chest.data.importing.arrays import ArrayFile
from mobilenet_chest.data.importing.entries import Entry, Skipped
from mobilenet_chest.data.importing.files import decode_file
from mobilenet_chest.data.importing.pictures import Decoded
from mobilenet_chest.data.importing.preparation import Preparation, Window, finish
from mobilenet_chest.data.importing.summary import counted
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.data.npz_archive import BAD_HEADER
from mobilenet_chest.errors import DataError

logger = logging.getLogger(__name__)

BATCH = 64
"""Prepared pictures predicted at once."""

Batch = tuple[list[tuple[str, int]], NDArray[np.uint8]]
"""Source and row of each image, and the images (n, h, w) or (n, h, w, 3)."""


def with_bits(preparation: Preparation | None, bits: int | None) -> Preparation | None:
    """Return the model's preparation, with a depth that the user gave where it has none.

    Raises:
        DataError: It has another.
    """
    if bits is not None and not 8 <= bits <= 16:
        raise DataError(f"--bits {bits}: give the depth of the 16-bit files, 8 to 16")
    if preparation is None or bits is None or preparation.bits == bits:
        return preparation
    if preparation.bits is not None:
        raise DataError(
            f"--bits {bits}: the model was trained on pictures read as {preparation.bits} bits; leave the option out"
        )
    return Preparation(**(preparation.as_dict() | {"bits": bits}))


class Pictures:
    """Picture files as batches of images.

    Args:
        entries: The files.
        preparation: What is done to them; ``None`` keeps their size, which the served model changes itself.
        bits: Depth of 16-bit files without a preparation; ``None`` finds it from all of them.
        skipped: Gets the files that cannot be used.
    """

    def __init__(
        self, entries: list[Entry], preparation: Preparation | None, bits: int | None, skipped: list[Skipped]
    ) -> None:
        self._entries, self._preparation, self._skipped = entries, preparation, skipped
        self._bits = bits if preparation is None else preparation.bits
        self._window: Window = "voi" if preparation is None else preparation.window

    def batches(self) -> Iterator[Batch]:
        """Yield the images of all files, those whose depth only the whole set tells at the end."""
        later: list[Entry] = []
        largest = 0
        places: list[tuple[str, int]] = []
        images: list[NDArray[np.uint8]] = []
        for entry, decoded in self._decoded(self._entries):
            if decoded.bits is None and self._bits is None:
                later.append(entry)
                largest = max(largest, int(decoded.pixels.max()))
            elif (image := self._row(entry, decoded)) is not None:
                places.append((entry.name, 0))
                images.append(image)
            if len(images) == (1 if self._preparation is None else BATCH):
                yield places, np.stack(images)
                places, images = [], []
        if images:
            yield places, np.stack(images)
        if not later:
            return
        self._bits = depth(largest)
        logger.warning(
            f"{counted(len(later), 'file')} of 16 bits, values up to {largest}: read as {self._bits} bits, the "
            "smallest depth that holds all of them; --bits gives another"
        )
        for entry, decoded in self._decoded(later):
            if (image := self._row(entry, decoded)) is not None:
                yield [(entry.name, 0)], image[None]

    def _decoded(self, entries: list[Entry]) -> Iterator[tuple[Entry, Decoded]]:
        for entry in entries:
            try:
                yield entry, decode_file(Path(entry.path), self._window)[0]
            except Unreadable as error:
                self._skipped.append(Skipped(entry.name, str(error)))

    def _row(self, entry: Entry, decoded: Decoded) -> NDArray[np.uint8] | None:
        """Return the image of a picture; ``None`` where it is skipped."""
        rule = self._preparation
        try:
            if rule is not None:
                return Preparation(**(rule.as_dict() | {"bits": self._bits})).apply(decoded)
            bits = decoded.depth(self._bits)
        except Unreadable as error:
            self._skipped.append(Skipped(entry.name, str(error)))
            return None
        return finish(decoded.pixels, bits, 3 if decoded.pixels.ndim == 3 else 1)


class Arrays:
    """The images of a ``.npz``, by their split, or of a ``.npy``, by its name, as batches.

    Args:
        source: The file.

    Raises:
        DataError: It holds no images, or images of which nothing certain can be said.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._file = ArrayFile(source) if source.suffix == ".npz" else None
        self._images = None if self._file else _array(source)
        if self._file is not None and self._file.layout.of_set:
            raise DataError(
                f"{source}: holds {self._file.layout.said()}, whose black and white are those of this set only; save "
                "them as 0 to 1, or as the data file that the model was trained on has them"
            )

    def batches(self, preparation: Preparation | None, bits: int | None, skipped: list[Skipped]) -> Iterator[Batch]:
        """Yield all images.

        Args:
            preparation: What is done to them, nothing where they are rows of its size already; ``None`` keeps their
                size, which the served model changes itself.
            bits: Depth of whole numbers of more than 8 bits; ``None`` takes the smallest that holds all of them.
            skipped: Gets the rows that cannot be used.
        """
        known = bits if preparation is None or preparation.bits is None else preparation.bits
        if self._file is None:
            assert self._images is not None
            if not len(self._images):  # none are predicted as none
                yield [], self._images
                return
            rows = ((self._source.name, row, Decoded(image, 8, "")) for row, image in enumerate(self._images))
            colour = self._images.ndim == 4
        else:
            layout, colour = self._file.layout, self._file.layout.colour
            known = depth(int(layout.high)) if known is None and layout.whole else known
            names = ((part.name, row) for part in self._file.parts for row in range(part.rows))
            pictures = self._file.pictures()
            rows = ((*place, decoded) for place, (decoded, _) in zip(names, pictures, strict=True))
        yield from _batched(rows, preparation, known, 3 if colour else 1, skipped)


def _batched(
    rows: Iterator[tuple[str, int, Decoded]],
    preparation: Preparation | None,
    bits: int | None,
    channels: int,
    skipped: list[Skipped],
) -> Iterator[Batch]:
    """Yield images of equal shape together, :data:`BATCH` at most."""
    places: list[tuple[str, int]] = []
    images: list[NDArray[np.uint8]] = []
    for name, row, decoded in rows:
        try:
            if preparation is None:
                image = finish(decoded.pixels, decoded.depth(bits), channels)
            else:
                image = Preparation(**(preparation.as_dict() | {"bits": bits})).apply(decoded)
        except Unreadable as error:
            skipped.append(Skipped(f"{name} {row}", str(error)))
            continue
        if images and (len(images) == BATCH or images[0].shape != image.shape):
            yield places, np.stack(images)
            places, images = [], []
        places.append((name, row))
        images.append(image)
    if images:
        yield places, np.stack(images)


def _array(path: Path) -> NDArray[np.uint8]:
    """Return the uint8 images of a .npy file.

    Raises:
        DataError: It holds anything else; a float image in 0…1 must be scaled before it is cast.
    """
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, EOFError, *BAD_HEADER) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: cannot be read as .npy ({reason}); save it again with numpy.save") from error
    return checked(images, str(path))


def checked(images: NDArray[Any], source: str) -> NDArray[np.uint8]:
    """Return images that are uint8 (n, h, w) or (n, h, w, 3).

    Raises:
        DataError: They are anything else; a float image in 0…1 must be scaled before it is cast.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        advice = ""
        if images.dtype.kind == "f":
            advice = '; if its values are 0 to 1, save (images * 255).round().astype("uint8") instead'
        raise DataError(
            f"{source}: holds {images.dtype} {images.shape}; uint8 (n, h, w) or (n, h, w, 3) is needed{advice}"
        )
    return np.asarray(images)


def with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return grey images for a grey model (ITU-R 601 weights, as in Pillow), three equal channels for a colour one."""
    if channels == 1 and images.ndim == 4:
        return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    if channels == 3 and images.ndim == 3:
        return np.repeat(images[..., None], 3, axis=3)
    return images
