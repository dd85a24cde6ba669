"""Output in encodings that lack signs: every command ends as it does in UTF-8."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import forked

from mobilenet_chest.cli.encoding import HANDLER, replace_unknown_signs


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8"])
def test_every_sign_can_be_written(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    replace_unknown_signs()
    assert sys.stdout.errors == HANDLER
    sys.stdout.write("0.5 (0.2–0.9) × Δ é 胸 \udce9 ▁█ ≥")
    assert raw.getvalue().decode(encoding).startswith("0.5 (0.2")
    if encoding == "ascii":
        assert raw.getvalue() == b"0.5 (0.2-0.9) x d  e ? ? 07 >="


MAIN = """
import os, sys
os.environ["PYTHONIOENCODING"] = encoding = sys.argv.pop(1)
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding=encoding)
from mobilenet_chest.cli import main
main()
"""
"""A command in a forked process, whose streams get their encoding there."""


def test_commands_and_their_errors(tracking: Path) -> None:
    for words, code in ((["--help"], 0), (["docs"], 0), (["compare", "—胸部—"], 2)):
        command = [sys.executable, "-m", "mobilenet_chest", *words]
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        result = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
        assert (words, result.returncode, b"Traceback" in result.stderr) == (words, code, False)
        assert result.stdout or result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_all_commands(tracking: Path, encoding: str) -> None:
    commands = [["compare", "--reported"], ["doctor"], ["docs", "intervals"], ["cache", "ls"], ["ledger"], ["repair"]]
    for words in commands:
        result = forked.run([sys.executable, "-c", MAIN, encoding, *words])
        assert (words, result.returncode, b"Traceback" in result.stderr) == (words, 0, False)
        assert result.stdout.decode(encoding) or words == ["repair"]
