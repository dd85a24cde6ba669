"""Shards: their records, their pictures, and the processes that make them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pictures import class_folders, encoded, noise

from mobilenet_chest.data.importing import shards
from mobilenet_chest.data.importing.shards import Making, SmallPictures, make_shards, patient_digest
from mobilenet_chest.errors import WriteFailed


def making(folder: Path | None) -> Making:
    return Making(folder, 16, "letterbox", "voi", b"key")


def test_records_and_pictures_of_every_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_FILES", 2)
    contents = {
        "a.png": encoded(noise(0, 16, 16)),
        "b.png": encoded(noise(1, 16, 16).astype(np.uint16) * 16),
        "bad.png": b"x",
        "c.png": encoded(np.stack([noise(number, 16, 16) for number in range(3)], axis=-1)),
        "d.png": encoded(np.zeros((32, 32), np.uint8)),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "work").mkdir()
    paths = [str(tmp_path / name) for name in contents]
    seen: list[tuple[int, int]] = []
    records = make_shards(
        paths, len(paths), making(tmp_path / "work"), 1, lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert [record.bits for record in records] == [8, None, None, 8, 8]
    assert [bool(record.reason) for record in records] == [False, False, True, False, False]
    assert (records[1].largest, records[3].channels, records[4].constant) == (int(noise(1, 16, 16).max()) * 16, 3, True)
    small = SmallPictures(tmp_path / "work", records, 16)
    np.testing.assert_array_equal(small[3][..., 2], noise(2, 16, 16))
    np.testing.assert_array_equal(small[1], noise(1, 16, 16).astype(np.uint16) * 16)
    np.testing.assert_array_equal(small[0], noise(0, 16, 16))
    again = make_shards(paths, len(paths), making(tmp_path / "work"), 1, lambda *_: None)
    assert again == records == make_shards(paths, len(paths), making(None), 1, lambda *_: None)


def test_equal_pixels_have_one_digest_whatever_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(0)))
    (tmp_path / "a.bmp").write_bytes(encoded(noise(0), "BMP"))
    one, other = make_shards([str(tmp_path / name) for name in ("a.png", "a.bmp")], 2, making(None), 1, lambda *_: None)
    assert one.pixels == other.pixels
    assert one.file != other.file


def test_digests_of_patients_depend_on_the_key() -> None:
    assert patient_digest("MRN-1", b"a") == patient_digest("MRN-1", b"a") != patient_digest("MRN-1", b"b")
    assert len(patient_digest("MRN-1", b"a")) == 16


def test_a_killed_process_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_FILES", 4)
    monkeypatch.setattr(shards, "_start_worker", _die)
    paths = sorted(map(str, class_folders(tmp_path / "films").rglob("*.png")))
    with pytest.raises(WriteFailed, match="run the same command to continue"):
        make_shards(paths, len(paths), making(None), 2, lambda *_: None)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
