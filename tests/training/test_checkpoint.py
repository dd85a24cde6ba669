"""Checkpoints: whole or not at all."""

from __future__ import annotations

import errno
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import forked

from mobilenet_chest.errors import DataError
from mobilenet_chest.training import checkpoint

CONTENTS: dict[str, Any] = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
    "history": [{"val_auc": 0.5}],
    "threshold": None,
    "config": {"name": "x", "hidden": [1, 2]},
}


class Reluctant:
    """Fails while it is being pickled, after what stands before it has been written."""

    def __reduce__(self) -> Any:
        raise OSError(28, "No space left on device")


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENTS)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["model"].pop("weight"), CONTENTS["model"]["weight"])
    assert loaded | {"model": CONTENTS["model"]} == CONTENTS
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("room", [0, 100, 5_000, 30_000])
def test_a_disk_that_is_full_is_an_error_of_the_disk(tmp_path: Path, room: int) -> None:
    """Wherever in the file it happens: torch tells some of them as a RuntimeError of its own."""
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"epoch": 1})
    code = (
        "import resource, sys, torch; from pathlib import Path; from mobilenet_chest.training import checkpoint\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try:\n    checkpoint.save(Path(sys.argv[1]), {'epoch': 2, 'weights': [torch.zeros(1000) for _ in range(9)]})\n"
        "except OSError as error:\n    print(error.errno)\n"
    )
    done = forked.run([sys.executable, "-c", code, str(path), str(room)], text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == errno.EFBIG
    assert checkpoint.load(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"epoch": 1})
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"epoch": 2, "model": {"weight": torch.zeros(10_000)}, "last": Reluctant()})
    assert path.read_bytes() == before
    assert checkpoint.load(path)["epoch"] == 1
    checkpoint.save(path, {"epoch": 3})
    assert checkpoint.load(path)["epoch"] == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "missing", "hostile"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    path, canary = tmp_path / "last.pt", tmp_path / "canary"
    checkpoint.save(path, CONTENTS)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("no checkpoint")
    elif damage == "missing":
        path.unlink()
    else:
        torch.save({"format": 2, "model": Hostile(canary)}, path)
    with pytest.raises(DataError) as caught:
        checkpoint.load(path)
    assert str(caught.value).startswith(f"{path}: not a readable checkpoint (")
    assert "\n" not in str(caught.value)
    assert not canary.exists()


def test_damage_anywhere(tmp_path: Path) -> None:
    """Cut off, or with a byte changed, at 50 places each: refused, or read as it was written."""
    path, chance, refused = tmp_path / "last.pt", random.Random(3), 0
    checkpoint.save(path, CONTENTS | {"more": torch.arange(2000.0)})
    whole = path.read_bytes()
    for attempt in range(100):
        place = chance.randrange(len(whole))
        changed = bytes([whole[place] ^ 0x5A])
        path.write_bytes(whole[:place] + (b"" if attempt % 2 else changed + whole[place + 1 :]))
        try:
            loaded = checkpoint.load(path)
        except DataError:
            refused += 1
            continue
        assert attempt % 2 == 0  # padding between the entries, which nothing reads
        assert torch.equal(loaded["more"], torch.arange(2000.0))
        assert loaded["history"] == CONTENTS["history"]
    assert refused >= 90


def test_other_values_than_were_written(tmp_path: Path) -> None:
    """As a file that was put together from two would have."""
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENTS)
    contents = torch.load(path, weights_only=True)
    for change in (
        {"model": {"weight": contents["model"]["weight"] + 1e-6}},
        {"model": {"wight": contents["model"]["weight"]}},
        {"model": {"weight": contents["model"]["weight"].reshape(3, 2)}},
        {"threshold": 0.5},
        {"history": []},
        {"digest": "0"},
    ):
        torch.save(contents | change, path)
        with pytest.raises(DataError, match=r"last\.pt: .*\bvalues\b"):
            checkpoint.load(path)
    torch.save(contents, path)
    assert checkpoint.load(path)["threshold"] is None


@pytest.mark.parametrize("contents", [{"model": {}}, {"format": 1}, [1, 2], torch.zeros(2)])
def test_files_of_others(tmp_path: Path, contents: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(contents, path)
    with pytest.raises(DataError, match=r"other\.pt: .*\(format 2\)"):
        checkpoint.load(path)
