"""A forked process is what a started one is: its code, streams, arguments, folder, environment and signals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import forked

CASES = {
    "an exit code and two streams": "print('out'); print('err', file=sys.stderr); sys.exit(3)",
    "a text as exit code": "sys.exit('one line')",
    "an exception": "raise ValueError('of it')",
    "an interrupt": "raise KeyboardInterrupt",
    "a signal": "os.kill(os.getpid(), signal.SIGTERM)",
    # a shell's background job ignores it
    "an interrupt by signal": "signal.signal(signal.SIGINT, signal.default_int_handler); signal.raise_signal(2)",
    "what is given": "print(sys.argv, os.getcwd(), os.environ['GIVEN'], sys.stdin.read(), os.getsid(0) == os.getpid())",
    "what it does at its end": "import atexit; atexit.register(print, 'end'); print('begin')",
    "threads that it waits for": "import threading; threading.Timer(0.2, print, ['late']).start()",
    "a module": "print(__name__, multiprocessing.parent_process(), threading.active_count())",
}
PRELUDE = "import multiprocessing, os, signal, sys, threading, time\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all processes are started")
@pytest.mark.parametrize("name", CASES)
def test_a_forked_process_is_what_a_started_one_is(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PRELUDE + CASES[name], "a", "b c"]
    options = {
        "cwd": tmp_path, "env": os.environ | {"GIVEN": "value"}, "text": True, "input": "typed",
        "start_new_session": True,
    }  # fmt: skip
    forks = forked.run(command, **options)
    starts = subprocess.run(command, capture_output=True, timeout=60, **options)
    assert (forks.returncode, forks.stdout) == (starts.returncode, starts.stdout)
    assert forks.stderr.splitlines()[-1:] == starts.stderr.splitlines()[-1:]
