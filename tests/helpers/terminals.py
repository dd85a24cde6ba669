"""Commands run on a terminal of their own, which the tests read and type at."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
"""What moves and hides a terminal's cursor, and colours."""


class Terminal:
    """A pseudo-terminal on which a command runs.

    Args:
        pid: The command's process.
        descriptor: The terminal, as the command's user sees it.
    """

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid, self._descriptor, self._raw = pid, descriptor, b""

    @property
    def text(self) -> str:
        """All that was written so far, one view below the other: going back to the start of a line begins a new one."""
        return CONTROL.sub("", self._raw.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")

    def read_until(self, wanted: str, seconds: float) -> None:
        """Read until something was written that a regular expression finds.

        Raises:
            AssertionError: The command has ended, or the time is up.
        """
        deadline = time.monotonic() + seconds
        while not re.search(wanted, self.text):
            assert time.monotonic() < deadline, f"no {wanted!r} in {self.text[-2000:]!r}"
            assert self._read(), f"the end came before {wanted!r}: {self.text[-2000:]!r}"

    def type(self, keys: bytes) -> None:
        """Type at the terminal: ``b"\\x03"`` is Ctrl-C."""
        os.write(self._descriptor, keys)

    def wait(self, seconds: float) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.text[-2000:]
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        """Read what is there; ``False`` at the end."""
        if not select.select([self._descriptor], [], [], 1.0)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # Linux: the command has closed its end
            return False
        self._raw += data
        return bool(data)


@contextmanager
def on_terminal(*arguments: object, cwd: Path, columns: int = 100, lines: int = 30) -> Iterator[Terminal]:
    """Run Python with arguments on a terminal of its own; kill what is left of it at the end."""
    pid, descriptor = pty.fork()
    if pid == 0:  # nothing but exec: the tests' threads are not in this process
        os.chdir(cwd)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would this
        os.execv(sys.executable, [sys.executable, *map(str, arguments)])
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        yield Terminal(pid, descriptor)
    finally:
        os.close(descriptor)
        if psutil.pid_exists(pid):
            for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
                process.kill()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
