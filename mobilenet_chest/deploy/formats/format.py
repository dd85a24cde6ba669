"""What a format of exported files is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError, ExportFailed, MissingExtraError

if TYPE_CHECKING:
    from mobilenet_chest.models.deployed import DeployedClassifier

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Returns the logit of each of uint8 images (n, c, s, s), (n,)."""

TOLERANCE = 1e-5
"""Largest difference in probability of a file in float32: another order of summation changes about 1e-7."""

BATCH = 64
"""Images that a file is given at once, where it takes many."""

METADATA_FILE = "metadata.json"
"""Name of the metadata beside an exported file, and inside a ``.pt2`` file."""


def nothing_further(path: Path) -> str:
    """Return that there is nothing to say about a file."""
    return ""


@dataclass(frozen=True)
class Format:
    """A format. Its module imports packages of the format when it is used: a measured process needs only its engine.

    Attributes:
        name: As ``--format`` takes it.
        file: Name of the file, or of the folder that a format has instead.
        write: Writes a classifier with its metadata to a path in an empty folder; the folder may get further files.
        load: Returns what predicts with a file on so many threads.
        package: The Python package that it needs, and
        extra: the extra that installs it; empty where it comes with this project.
        beside: Endings of the files that belong to it and have its name.
        tolerance: Largest difference in probability that its arithmetic explains.
        cannot_run: Why no machine of this kind predicts with such files; empty where this one does.
        runs_code: Whether code in a file may run when the file is loaded.
        further: Returns the next step with a file that was written, as a line for people.
    """

    name: str
    file: str
    write: Callable[[DeployedClassifier, Mapping[str, Any], Path], None]
    load: Callable[[Path, int], Logits]
    package: str = ""
    extra: str = ""
    beside: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    cannot_run: str = ""
    runs_code: bool = False
    further: Callable[[Path], str] = nothing_further

    def check_installed(self) -> None:
        """Refuse a format whose package is missing.

        Raises:
            MissingExtraError: It is.
        """
        if self.package and find_spec(self.package) is None:
            raise MissingExtraError(f"the format {self.name}", self.extra)

    def predict(self, path: Path, images: NDArray[np.uint8], threads: int) -> NDArray[np.float64]:
        """Return the probabilities (n,) that a file gives for uint8 images (n, c, s, s).

        Raises:
            DataError: The file cannot be read.
        """
        try:
            with engine_warnings_off():
                logits = self.load(path, threads)
        except Exception as error:  # each engine has errors of its own
            raise DataError(f"{path}: cannot be read as {self.name} ({reason(error)})") from error
        parts = [logits(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.asarray(1 / (1 + np.exp(-np.concatenate(parts).astype(np.float64))))


@contextmanager
def engine_warnings_off() -> Iterator[None]:
    """Hide warnings in the block: engines warn of obsolete parts of Python, of torch, and of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reason(error: Exception) -> str:
    """Return the first line of an error, or its type where it has no text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def failed(name: str, error: Exception) -> ExportFailed:
    """Return that a network cannot be written in a format, with the reason."""
    return ExportFailed(f"the network cannot be written as {name}: {reason(error)}; try --format onnx")


def metadata_beside(path: Path) -> dict[str, Any]:
    """Return what stands in ``metadata.json`` beside an exported file.

    Raises:
        DataError: There is none that can be read.
    """
    file = path.with_name(METADATA_FILE)
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: {file} cannot be read ({reason(error)}); write both with `mobilenet-chest export`"
        ) from error
