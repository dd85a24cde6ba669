"""The phantom is drawn once for all processes that share a cache."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.data import data_file
from mobilenet_chest.data.data_file import open_file

Make = Callable[..., Config]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the phantoms that were drawn; three rows of each split are enough."""
    sizes: list[int] = []
    generate = data_file.phantom.generate

    def few(size: int) -> object:
        sizes.append(size)
        return generate(size, {"train": 3, "val": 3, "test": 3})

    monkeypatch.setattr(data_file.phantom, "generate", few)
    data_file._phantom_bytes.cache_clear()
    return sizes


def splits(config: Config) -> list[str]:
    """Open the file as a process does that has opened none before."""
    data_file._phantom_bytes.cache_clear()
    return list(open_file(config.data).splits)


def test_the_phantom_is_drawn_once_for_all_processes(phantom_config: Make, drawn: list[int]) -> None:
    small, large = (phantom_config({"data": {"dataset": "phantom", "source_size": size}}) for size in (28, 64))
    assert splits(small) == splits(small) == ["train", "val", "test"]
    assert drawn == [28]
    assert splits(large) == ["train", "val", "test"]
    assert drawn == [28, 64]
    assert {entry.about for entry in cache.entries() if entry.kind == "data"} >= {
        "phantom, 28 pixels", "phantom, 64 pixels"
    }  # fmt: skip


def test_without_a_cache_it_is_drawn_once_in_a_process(
    phantom_config: Make, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "off")
    config = phantom_config({"data": {"dataset": "phantom", "source_size": 28}})
    for _ in range(2):
        assert list(open_file(config.data).splits) == ["train", "val", "test"]
    assert drawn == [28]
    splits(config)
    assert drawn == [28, 28]
