"""One writer, whole or absent, bounded: whatever is killed when."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mobilenet_chest import cache
from mobilenet_chest.errors import CacheError

MB = 1_000_000


def put(name: str, size: int = 3, made: list[str] | None = None) -> tuple[bytes, bool]:
    """An entry of ``size`` bytes; ``made`` collects the names of those that were computed."""

    def make(folder: Path) -> Mapping[str, Any]:
        if made is not None:
            made.append(name)
        cache.write(folder / "bytes", [b"x" * (size - 1), memoryview(b"y")])
        return {"name": name}

    def load(folder: Path, known: dict[str, Any]) -> bytes:
        assert known == {"name": name}
        return (folder / "bytes").read_bytes()

    return cache.cached("kind", f"entry {name}", {"name": name}, make, load)


def test_computed_once() -> None:
    made: list[str] = []
    assert put("a", made=made) == (b"xxy", False)
    assert put("a", made=made) == (b"xxy", True)
    assert put("b", made=made) == (b"xxy", False)
    assert made == ["a", "b"]
    assert [(entry.kind, entry.about, entry.size) for entry in cache.entries()] == [
        ("kind", "entry a", 3),
        ("kind", "entry b", 3),
    ]


def test_a_failed_computation_leaves_nothing(cache_folder: Path) -> None:
    def make(folder: Path) -> Mapping[str, Any]:
        cache.write(folder / "bytes", [b"half"])
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError):
        cache.cached("kind", "", {"name": "a"}, make, lambda folder, known: None)
    assert cache.entries() == []
    assert list((cache_folder / "scratch").iterdir()) == []
    assert put("a") == (b"xxy", False)


def test_cut_at_fifty_places(cache_folder: Path) -> None:
    """Whichever of its files is cut short where: what is read is what was written, or made again."""
    whole, _ = put("a", 5000)
    chance = random.Random(5)
    for _ in range(50):
        (place,) = (cache_folder / "kind").iterdir()
        file = chance.choice(sorted(place.iterdir()))
        os.truncate(file, chance.randrange(file.stat().st_size))
        assert cache.entries() == []
        assert put("a", 5000) == (whole, False)
        assert put("a", 5000) == (whole, True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / "bytes").write_bytes(b"xx"),
        lambda place: (place / "bytes").unlink(),
        lambda place: (place / "entry.json").write_text("{"),
        lambda place: (place / "entry.json").write_text("[]"),
        lambda place: (place / "entry.json").write_text(json.dumps({"sizes": {}})),
        lambda place: (place / "entry.json").unlink(),
    ],
)
def test_a_damaged_entry_is_made_again(cache_folder: Path, damage: Callable[[Path], object]) -> None:
    put("a")
    damage(next((cache_folder / "kind").iterdir()))
    assert cache.entries() == []
    made: list[str] = []
    assert put("a", made=made) == (b"xxy", False)
    assert made == ["a"]
    assert put("a") == (b"xxy", True)


def test_the_least_recently_used_go(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0.003")
    for name in "abc":
        put(name, MB)
        place = max((cache_folder / "kind").iterdir(), key=lambda path: path.stat().st_ctime)
        os.utime(place / "entry.json", (ord(name), ord(name)))
    assert put("a", MB)[1]  # used: now b is the oldest
    put("d", MB)
    assert sorted(entry.about for entry in cache.entries()) == ["entry a", "entry c", "entry d"]
    put("big", 4 * MB)  # more than there is room for: kept as long as nothing newer comes
    assert [entry.about for entry in cache.entries()] == ["entry big"]
    put("e", MB)
    assert [entry.about for entry in cache.entries()] == ["entry e"]


def test_an_evicted_file_stays_readable_where_it_is_mapped() -> None:
    import torch

    def load(folder: Path, known: dict[str, Any]) -> torch.Tensor:
        return torch.from_file(str(folder / "bytes"), shared=False, size=5000, dtype=torch.uint8)

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / "bytes", [bytes(range(250)) * 20])
        return {}

    mapped, _ = cache.cached("kind", "", {}, make, load)
    assert cache.clear() == 5000
    assert cache.entries() == []
    assert mapped[251].item() == 1


def test_clear_leaves_what_is_being_written() -> None:
    put("a")

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / "bytes", [b"z"])
        assert cache.clear() == 3
        return {}

    value, _ = cache.cached("kind", "b", {}, make, lambda folder, known: (folder / "bytes").read_bytes())
    assert value == b"z"
    assert [entry.about for entry in cache.entries()] == ["b"]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "off")
    assert cache.folder() is None
    assert (cache.entries(), cache.clear()) == ([], 0)
    with pytest.raises(CacheError, match="unset MOBILENET_CHEST_CACHE"):
        put("a")
    monkeypatch.delenv(cache.FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "mobilenet-chest"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "mobilenet-chest"


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_size_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(cache.LIMIT_VARIABLE, text)
    with pytest.raises(CacheError, match=f"MOBILENET_CHEST_CACHE_GB: '{text}' is not a number above 0"):
        put("a")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match="cannot be written .*set MOBILENET_CHEST_CACHE to a folder that can, or to"):
        put("a")


def test_an_error_of_the_computation_is_its_own() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise FileNotFoundError("the data are not there")

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / "bytes", chunks())
        return {}

    with pytest.raises(FileNotFoundError, match="the data are not there"):
        cache.cached("kind", "", {}, make, lambda folder, known: None)


def test_the_digest_of_sources() -> None:
    everything = cache.source_digest("data", "models")
    assert len(everything) == 16
    assert everything != cache.source_digest("data")
    assert cache.source_digest("data", "models") == everything


WRITER = """
import sys, time
from pathlib import Path
from mobilenet_chest import cache

def chunks():
    for i in range(60):
        time.sleep(0.001)
        yield bytes([i]) * 20_000

def make(folder):
    print("made", flush=True)
    cache.write(folder / "one", chunks())
    cache.write(folder / "two", chunks())
    return {"n": 60}

def load(folder, known):
    one, two = ((folder / name).read_bytes() for name in ("one", "two"))
    assert one == two == b"".join(bytes([i]) * 20_000 for i in range(known["n"]))
    return len(one)

print(cache.cached("kind", "killed", {}, make, load), flush=True)
"""


def writer() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)


def test_writers_at_the_same_time() -> None:
    processes = [writer() for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(outputs) == ["(1200000, True)\n"] * 3 + ["made\n(1200000, False)\n"]


def test_killed_at_any_moment(cache_folder: Path) -> None:
    moments = random.Random(3)
    for _ in range(12):
        process = writer()
        assert process.stdout is not None
        line = process.stdout.readline()
        if line != "made\n":
            assert line == "(1200000, True)\n"  # the kill before came after the entry was whole
            process.wait(timeout=30)
            cache.clear()
        else:
            time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        assert [entry.size for entry in cache.entries()] in ([], [2_400_000])
    cache.clear()
    assert writer().communicate(timeout=60)[0] == "made\n(1200000, False)\n"
    assert list((cache_folder / "scratch").iterdir()) == []


@pytest.mark.parametrize("key", ["0" * 32, f"{'0' * 32}-1"])
def test_what_a_killed_writer_left_goes_with_the_next_entry(cache_folder: Path, key: str) -> None:
    put("a")
    left = cache_folder / "scratch" / f"kind-{key}"
    left.mkdir()
    (left / "one").write_bytes(b"half of it")
    with FileLock(cache_folder / "locks" / f"kind-{key}.lock"):
        put("b")
        assert left.exists()  # its writer lives
    put("c")
    assert not left.exists()
