"""``data fetch``."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import assert_refused, run

from mobilenet_chest.cli.data import fetch as module


@pytest.mark.parametrize(("arguments", "names"), [(["phantom"], "phantom"), (["chestmnst"], "'chestmnist'")])
def test_what_cannot_be_downloaded(folder: Path, arguments: list[str], names: str) -> None:
    assert_refused(folder, "data", "fetch", *arguments, wants=names)


def test_the_path_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(dataset: str, size: int, root: Path) -> Path:
        return root / f"{dataset}_{size}.npz"

    monkeypatch.setattr(module, "fetch_dataset", fetched)
    assert run("data", "fetch", "chestmnist", "--size", "64", "--root", "~/here").stdout == (
        f"{Path('~/here').expanduser() / 'chestmnist_64.npz'}\n"
    )
