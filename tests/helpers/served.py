"""The command ``serve`` in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import forked
from helpers.browsers import answers, until
from helpers.load import SECONDS


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run ``serve`` in a process on a free port for the block; yield the process and the port."""
    command = [sys.executable, "-m", "mobilenet_chest", "serve", *words, "--port", "0"]
    with Path("log").open("w") as log:
        process = forked.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        said = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert said is not None, Path("log").read_text()
        until(lambda: answers(f"http://127.0.0.1:{said[1]}/readyz"), SECONDS, "readyz")
        yield process, int(said[1])
    finally:
        process.kill()
        process.communicate()
