"""``cache ls``."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import run

from mobilenet_chest import cache


def make(place: Path) -> dict[str, int]:
    cache.write(place / "bytes", [b"x" * 2_500_000])
    return {}


def test_entries_are_listed_with_their_sizes(folder: Path, cache_folder: Path) -> None:
    assert run("cache", "ls").stdout == f"0 of 10000 MB used in {cache_folder}\n"
    cache.cached("features", "three images", {}, make, lambda place, known: None)
    lines = run("cache", "ls").stdout.splitlines()
    (entry,) = [line for line in lines if "three images" in line]
    assert [cell.strip() for cell in entry.strip("│").split("│")][:3] == ["features", "three images", "2.5"]
    assert lines[-1] == f"2 of 10000 MB used in {cache_folder}"


def test_a_cache_that_is_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")
    result = run("cache", "ls")
    assert result.exit_code == 0
    assert "MOBILENET_CHEST_CACHE=off" in result.stdout


def test_a_size_that_is_no_number(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(tmp_path))
    monkeypatch.setenv("MOBILENET_CHEST_CACHE_GB", "x")
    result = run("cache", "ls")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith("MOBILENET_CHEST_CACHE_GB: 'x' ")
