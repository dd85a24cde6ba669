"""The command line that is shown again."""

from __future__ import annotations

import sys

import pytest

from mobilenet_chest.cli.typed import typed_command


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["sweep.py", "a.yaml", "--trials", "5"], "python sweep.py a.yaml --trials 5"),
        (["/usr/bin/mobilenet-chest", "sweep", "my file.yaml"], "mobilenet-chest sweep 'my file.yaml'"),
        (["/x/mobilenet_chest/__main__.py", "sweep"], "python -m mobilenet_chest sweep"),
    ],
)
def test_what_can_be_typed_again(argv: list[str], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert typed_command() == shown


@pytest.mark.parametrize("words", [[], ["--resume", "old"], ["--resume=old"]])
def test_an_option_takes_the_place_of_the_same_one(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "a.yaml", *words, "seed=8"])
    assert typed_command("--resume", "new") == "python train.py a.yaml seed=8 --resume new"
