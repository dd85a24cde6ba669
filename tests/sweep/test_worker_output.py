"""Lines of workers, passed on to a stderr that is a terminal."""

from __future__ import annotations

import io
import multiprocessing
import subprocess
import sys

import pytest

from mobilenet_chest.sweep.worker_output import OutputRelay


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_workers_write_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert OutputRelay().pipe() is None


def test_lines_of_several_workers_arrive_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    relay = OutputRelay()
    pipes = [relay.pipe() for _ in range(2)]
    for number, pipe in enumerate(pipes):
        assert pipe is not None
        # a process that knows nothing of pipes: its file descriptor 2 is the worker's
        code = f"import os\nfor n in range(3): os.write(2, b'worker {number} line %d\\n' % n)\nos.write(2, b'the end')"
        subprocess.run([sys.executable, "-c", code], stderr=pipe.fileno(), check=True)
        pipe.close()
    relay.finish()
    text = terminal.getvalue()
    assert text.count("the end") == 2
    for number in range(2):
        assert [f"worker {number} line {n}\n" in text for n in range(3)] == [True] * 3


def test_a_worker_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("mobilenet_chest.sweep.worker_output.LEAVE_SECONDS", 0.05)
    relay = OutputRelay()
    pipe = relay.pipe()
    relay.finish()  # the pipe is open, as that of a stopped worker
    assert pipe is not None
    pipe.close()
    assert multiprocessing.active_children() == []
