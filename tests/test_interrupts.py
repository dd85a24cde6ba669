from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time, weakref
from mobilenet_chest import interrupts

interrupts.install(signal.SIGTERM)

class Held: ...

def strike(_=None):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000): pass  # the handler runs in here

class Finalized:
    def __del__(self): strike()

class Broken:
    def __del__(self): raise ValueError("not an interrupt")

if sys.argv[1] == "broken":
    Broken()
    sys.exit(0)
if sys.argv[1] == "translated":
    try:
        with interrupts.translated():
            try:
                strike()
            finally:
                raise RuntimeError("the file is cut short")
    except KeyboardInterrupt as interrupt:
        print("interrupted:", interrupt.__cause__)
    sys.exit(0)
if sys.argv[1] == "twice":
    try:
        strike()
    except KeyboardInterrupt:
        strike()
        interrupts.END_SECONDS = 0.0
        try:
            strike()
        except KeyboardInterrupt:
            print("interrupted again")
    sys.exit(0)
if sys.argv[1] == "uncut":
    try:
        with interrupts.deferred():
            with interrupts.deferred():
                strike()
            print("whole", end=", ")
        print("not reached")
    except KeyboardInterrupt:
        print("interrupted")
    with interrupts.deferred():
        print("once")
    sys.exit(0)
if sys.argv[1] == "error":
    with interrupts.translated():
        raise RuntimeError("an error of its own")
try:
    if sys.argv[1] == "weakref":
        held = Held(); reference = weakref.ref(held, strike); del held
    else:
        Finalized()
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""


def run(where: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, where]
    return subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("where", ["weakref", "finalizer"])
def test_an_interrupt_that_python_swallows_comes_again(where: str) -> None:
    done = run(where)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_an_error_that_the_interrupt_caused() -> None:
    done = run("translated")
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted: the file is cut short\n", "")


def test_an_error_of_its_own() -> None:
    done = run("error")
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: an error of its own\n")


def test_other_exceptions_of_finalizers_are_reported_as_ever() -> None:
    done = run("broken")
    assert done.returncode == 0
    assert "ValueError: not an interrupt" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_second_interrupt_is_the_same_for_a_while() -> None:
    done = run("twice")
    assert done.stdout == "interrupted again\n"
    assert done.stderr == "stopping: saving the current epoch\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_what_must_not_be_cut_short_is_ended_first() -> None:
    done = run("uncut")
    assert (done.stdout, done.stderr) == ("whole, interrupted\nonce\n", "")
