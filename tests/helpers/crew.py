"""A crew of processes that do the same thing at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from helpers import forked


class Crew:
    """Interpreters of their own, ready to do the same thing at the same moment."""

    def __init__(self, size: int, prelude: str) -> None:
        # a line in: JSON; a line out: what `act` makes of it, in JSON, or what it raised
        code = (
            f"import json, sys, traceback\n{prelude}\nprint('ready', flush=True)\n"
            "for line in sys.stdin:\n"
            "    try:\n        answer = {'answer': act(**json.loads(line))}\n"
            "    except Exception:\n        answer = {'error': traceback.format_exc()}\n"
            "    print(json.dumps(answer), flush=True)\n"
        )
        self._processes = [
            forked.Popen(
                [sys.executable, "-c", code], text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for _ in range(size)
        ]  # fmt: skip

    def wait_ready(self) -> None:
        assert [self._read(process) for process in self._processes] == ["ready\n"] * len(self._processes)

    @staticmethod
    def _read(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    def all_at_once(self, members: int | None = None, **arguments: Any) -> list[Any]:
        """Each, or so many of them, calls ``act(**arguments)``; what each returned. Fails when one raised."""
        called = self._processes[:members]
        for process in called:
            assert process.stdin is not None
            process.stdin.write(json.dumps(arguments) + "\n")
        answers = [json.loads(self._read(process) or '{"error": "ended"}') for process in called]
        assert [answer["error"] for answer in answers if "error" in answer] == []
        return [answer["answer"] for answer in answers]

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@contextmanager
def crew(size: int, prelude: str) -> Iterator[Crew]:
    """``size`` interpreters that have run ``prelude``, which defines ``act``."""
    made = Crew(size, prelude)
    try:
        made.wait_ready()
        yield made
    finally:
        made.end()
