"""One writer, whole or absent, bounded: whatever is killed when."""

from __future__ import annotations

import ast
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mobilenet_chest import cache
from mobilenet_chest.errors import CacheError

PACKAGE = Path(cache.__file__).parent

MB = 1_000_000


def put(name: str, size: int = 3, made: list[str] | None = None) -> tuple[bytes, bool]:
    """An entry of ``size`` bytes; ``made`` collects the names of those that were computed."""

    def make(folder: Path) -> Mapping[str, Any]:
        if made is not None:
            made.append(name)
        cache.write(folder / "bytes", [b"x" * (size - 1), memoryview(b"y")])
        return {"name": name}

    def load(folder: Path, fields: dict[str, Any]) -> bytes:
        assert fields == {"name": name}
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
        cache.cached("kind", "", {"name": "a"}, make, lambda folder, fields: None)
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

    def load(folder: Path, fields: dict[str, Any]) -> torch.Tensor:
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

    value, _ = cache.cached("kind", "b", {}, make, lambda folder, fields: (folder / "bytes").read_bytes())
    assert value == b"z"
    assert [entry.about for entry in cache.entries()] == ["b"]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "off")
    assert cache.folder() is None
    assert (cache.entries(), cache.clear()) == ([], 0)
    with pytest.raises(CacheError, match="MOBILENET_CHEST_CACHE"):
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
    with pytest.raises(CacheError, match=f"MOBILENET_CHEST_CACHE_GB: '{text}'"):
        put("a")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match="MOBILENET_CHEST_CACHE") as raised:
        put("a")
    assert str(tmp_path / "file" / "cache") in str(raised.value)


def test_an_error_of_the_computation_is_its_own() -> None:
    error = FileNotFoundError("the data are not there")

    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise error

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / "bytes", chunks())
        return {}

    with pytest.raises(FileNotFoundError) as raised:
        cache.cached("kind", "", {}, make, lambda folder, fields: None)
    assert raised.value is error


def test_the_digest_of_sources() -> None:
    everything = cache.source_digest("data", "models")
    assert len(everything) == 16
    assert everything != cache.source_digest("data")
    assert cache.source_digest("data", "models") == everything
    with pytest.raises(FileNotFoundError, match="none.py"):
        cache.source_digest("data", "none.py")


def digested_sources() -> dict[str, list[str]]:
    """Return, for each module that asks for a digest of sources, the names it gives."""
    names: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "cache.source_digest":
                names[path.relative_to(PACKAGE).as_posix()] = [ast.literal_eval(argument) for argument in node.args]
    return names


def test_digested_sources_exist() -> None:
    sources = digested_sources()
    assert {"data/dataset.py", "training/features.py", "training/stages.py"} <= sources.keys()
    for names in sources.values():
        for name in names:
            assert list((PACKAGE / name).rglob("*.py")) or (PACKAGE / name).is_file(), name


def imported(module: str, seen: set[str]) -> set[str]:
    """Return the package's modules that a module imports, as paths, and those that they import, and so on."""
    seen.add(module)
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mobilenet_chest"):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                path = f"{'/'.join(str(name).split('.')[1:])}.py"
                if (PACKAGE / path).is_file() and path not in seen:
                    imported(path, seen)
    return seen


@pytest.mark.parametrize("module", ["data/dataset.py", "training/stages.py"])
def test_a_cached_result_depends_on_no_source_outside_its_digest(module: str) -> None:
    """Except for sources that decide whether there is a result, but not what it is."""
    # the contents of plugins are part of the key where they have an effect
    without_effect = {"cache.py", "errors.py", "file_lock.py", "files.py", "liveness.py", "logs.py", "plugins.py"}
    # what is downloaded is compared with its digest
    without_effect |= {"plugin_source.py", "download.py"}
    # what the processor can is part of the key of a quantised network, and a trained one is as wide as that
    without_effect |= {"processor.py"}
    names = digested_sources()[module]
    outside = {
        path for path in imported(module, set()) if not any(path == n or path.startswith(f"{n}/") for n in names)
    }
    # the values of an experiment's fields are part of the key; the directions of metrics are in no field
    assert {path for path in outside - without_effect if not path.startswith("config/")} == set()
    assert "config/metrics.py" not in outside or module == "data/dataset.py"


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


def test_a_file_rebuilt_with_its_old_size_and_time_has_another_state(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(b"old")
    status, before = path.stat(), cache.file_state(path)
    assert cache.file_state(path) == before
    path.write_bytes(b"new")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert cache.file_state(path) != before
