"""Command lines as a reader of the manual types them, run so that nothing heavy is imported twice."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import forked
from helpers.programs import forking_path
from mobilenet_chest.data.dataset import load_train_val

ROOT = Path(__file__).parents[2]
SHELL_SYNTAX = re.compile(r"[|<>;&`$]")
QUOTED = re.compile(r"'[^']*'|\"[^\"$`]*\"")
"""What a shell takes as it stands."""

LIMIT = 900.0
"""Seconds that a sweep may take."""

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""


def run_line(line: str) -> str:
    """Run a line of a shell and return what it prints on stdout, or where that is nothing, on stderr.

    Progress goes to stderr and differs from run to run; an error is all that a refused command prints.
    ``mobilenet-chest …`` and ``python train.py …`` run in this process. ``python sweep.py …`` runs in one of its own,
    which may fork its workers, as this one may not. All else runs in a shell.
    """
    words = shlex.split(line)
    variables = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    script = None
    if words[0] == "mobilenet-chest":
        script = "mobilenet_chest"
    elif words[0] == "python" and words[1] in ("sweep.py", "train.py"):
        words = words[1:]
        script = str(ROOT / words[0])
    if script is None or SHELL_SYNTAX.search(QUOTED.sub("", line)):
        return _in_shell(line)
    if words[0] == "sweep.py" and "--dry-run" not in words:
        return _forked(words, variables)
    return _in_process(script, words, variables)


def _in_shell(line: str) -> str:
    with forking_path() as path:
        variables = os.environ | {"PATH": path}
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=variables, check=False)
    return done.stdout or done.stderr


def _forked(words: list[str], variables: dict[str, str]) -> str:
    script = str(ROOT / words[0])
    done = forked.run([sys.executable, script, *words[1:]], env=os.environ | variables, text=True, timeout=LIMIT)
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    return str(done.stdout or done.stderr)


def _in_process(script: str, words: list[str], variables: dict[str, str]) -> str:
    """Run a script with arguments here.

    Raises:
        KeyboardInterrupt: It was interrupted, so what it printed is not its output.
    """
    out, err = io.StringIO(), io.StringIO()
    with _unchanged_process(), pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", words)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if script == "mobilenet_chest":
                    from mobilenet_chest.cli import main

                    main()
                else:
                    runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                if end.code == INTERRUPTED:
                    raise KeyboardInterrupt from None
    load_train_val.cache_clear()
    return out.getvalue() or err.getvalue()


@contextlib.contextmanager
def _unchanged_process() -> Iterator[None]:
    """Take back what a command line sets for its whole process: signal handlers, hooks and the logger."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    logger, hook = logging.getLogger("mobilenet_chest"), sys.unraisablehook
    level, propagate, before = logger.level, logger.propagate, list(logger.handlers)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = before
