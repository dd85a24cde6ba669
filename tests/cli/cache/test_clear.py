"""``cache clear``."""

from __future__ import annotations

from pathlib import Path

from helpers.commands import run

from mobilenet_chest import cache


def make(place: Path) -> dict[str, int]:
    cache.write(place / "bytes", [b"x" * 2_500_000])
    return {}


def test_everything_is_removed_once(folder: Path) -> None:
    cache.cached("features", "three images", {}, make, lambda place, known: None)
    assert run("cache", "clear").stdout == "2 MB freed\n"
    assert run("cache", "clear").stdout == "0 MB freed\n"
    assert cache.entries() == []
