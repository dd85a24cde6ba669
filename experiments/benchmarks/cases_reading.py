"""Memory and time of reading two classes from a ChestMNIST file of full size."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from common import CACHE, CLASSES, Case, Options, report
from measure import Json, SavedResults, in_child, interleaved, ratios, spread
from numpy.lib import format as npy
from numpy.typing import NDArray

from mobilenet_chest.files import whole_file

SPLITS = ("train", "val", "test")
PATTERNS = 64
CHUNK = 256
HEADROOM = 1.5
"""Share of the array's size that must be free before ``numpy.load`` is tried."""


def reading(options: Options, saved: SavedResults) -> Json:
    """Measure peak memory and seconds of our reader, with each state of the cache, and of ``numpy.load``."""
    rows: list[Json] = []
    notes = []
    raw = {}
    for size in options.reading_sizes:
        path = full_size_file(options.labels, size, Path(options.scratch))
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            largest = archive.getinfo("train_images.npy").file_size
        notes.append(f"{size} pixels: {path.stat().st_size / 1e6:,.0f} MB on disk, {unpacked / 1e6:,.0f} MB unpacked")
        rounds = raw[str(size)] = _measured(path, size, largest, options, saved)
        if "numpy.load" not in rounds:
            notes.append(f"{size} pixels: numpy.load not run for lack of memory; its peak is the array's size")
            rows.append({"variant": f"{size} pixels, numpy.load", "peak_mb": largest / 1e6})
        for name, results in rounds.items():
            seconds = [result["seconds"] for result in results]
            row = {
                "variant": f"{size} pixels, {name}",
                "peak_mb": spread([result["peak_mb"] for result in results]),
                "seconds": spread(seconds),
            }
            if name != "numpy.load" and "numpy.load" in rounds:
                row["times_faster"] = ratios([result["seconds"] for result in rounds["numpy.load"]], seconds)
            rows.append(row)
        _check_same_pixels(rounds)
    return report(
        rows,
        *notes,
        "each reading in a new process; peak: resident memory above what the interpreter had after its imports",
        "the rows alone take size² bytes each; synthetic pixels, real labels",
        "files come from the disk cache of the system, where they fit",
        raw=raw,
    )


def _measured(path: Path, size: int, largest: int, options: Options, saved: SavedResults) -> dict[str, list[Json]]:
    common = {"path": str(path), "classes": list(CLASSES)}
    with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as text:
        folder = Path(text)

        def ours(cache: str) -> Json:
            return in_child("children:read_ours", {**common, "size": size}, {CACHE: cache})

        def cold() -> Json:
            shutil.rmtree(folder)
            folder.mkdir()
            return ours(str(folder))

        def warm() -> Json:
            if not any(folder.iterdir()):  # the cold reading was made before a kill
                ours(str(folder))
            return ours(str(folder))

        actions = {"ours, cache off": lambda: ours("off"), "ours, cold cache": cold, "ours, warm cache": warm}
        if psutil.virtual_memory().available > HEADROOM * largest:
            actions["numpy.load"] = lambda: in_child("children:read_numpy", common)
        named = {f"{size} pixels, {name}": action for name, action in actions.items()}
        rounds = interleaved(named, options.rounds, saved)
    return dict(zip(actions, rounds.values(), strict=True))


def _check_same_pixels(rounds: dict[str, list[Json]]) -> None:
    seen = {(tuple(result["result"]["rows"]), result["result"]["pixel_sum"]) for r in rounds.values() for result in r}
    if len(seen) > 1:
        raise RuntimeError(f"the readers disagree (rows, sum of pixels): {seen}")


def full_size_file(labels: Path, size: int, folder: Path) -> Path:
    """Return a compressed .npz with these labels and synthetic pixels, written in little memory once.

    Args:
        labels: A .npz with ``{train,val,test}_labels`` in ChestMNIST's layout.
        size: Side of the images.
        folder: Where the file is kept.
    """
    with np.load(labels) as file:
        labels_of = {split: file[f"{split}_labels"] for split in SPLITS}
    path = folder / f"full-{size}-{'-'.join(str(len(rows)) for rows in labels_of.values())}.npz"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, (split, rows) in enumerate(labels_of.items()):
            with archive.open(f"{split}_images.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), size, size)}
                npy.write_array_header_1_0(member, header)
                for chunk in _pixels(len(rows), size, number):
                    member.write(chunk.data)
            with archive.open(f"{split}_labels.npy", "w") as member:
                npy.write_array(member, np.ascontiguousarray(rows, dtype=np.uint8))
    return path


def _pixels(rows: int, size: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield smooth patterns with two bits of noise, uint8 (n, size, size): neither constant nor incompressible."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(20, 230, (PATTERNS, 6, 6))
    place = np.linspace(0, 5, size)
    low = np.minimum(place.astype(int), 4)
    share = place - low
    down = coarse[:, low] * (1 - share)[None, :, None] + coarse[:, low + 1] * share[None, :, None]
    patterns = (down[:, :, low] * (1 - share) + down[:, :, low + 1] * share).astype(np.uint8, order="C")
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        noise = generator.integers(0, 4, (count, size, size), dtype=np.uint8)
        yield patterns[generator.integers(0, PATTERNS, count)] + noise


CASES = {"reading": Case(reading, "memory and time of reading a pair from a full-size file", needs=("labels",))}
