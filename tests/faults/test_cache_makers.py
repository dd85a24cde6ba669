"""Several processes make one entry of the cache: at the same time, killed, stopped, slow, or stopped together."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest import cache, file_lock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

WORD = "the same whoever makes it"

MAKER = f"""
import signal, sys
from mobilenet_chest import cache, file_lock

file_lock.HEARTBEAT_SECONDS, file_lock.STALE_SECONDS = map(float, sys.argv[1:])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def make(folder):
    print("making", flush=True)
    sys.stdin.readline()  # as long as it takes
    cache.write(folder / "word", [b"{WORD}"])
    return {{}}

print("here", flush=True)
print(*cache.cached("kind", "slow", {{}}, make, lambda folder, known: (folder / "word").read_text()), flush=True)
"""

Maker = subprocess.Popen[str]
Make = Callable[..., Maker]


@pytest.fixture
def maker() -> Iterator[Make]:
    """Starts a process that makes the entry, or waits for it."""
    with ExitStack() as stack:

        def start(beat: float = 0.1, silent: float = 2.0) -> Maker:
            process = subprocess.Popen(
                [sys.executable, "-c", MAKER, str(beat), str(silent)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert line(process) == "here\n"
            return process

        yield start


def line(process: Maker) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def stop(process: Maker) -> None:
    process.send_signal(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])


def here(made: list[str]) -> tuple[str, bool]:
    """The entry, made or waited for in this process."""

    def make(folder: Path) -> dict[str, Any]:
        made.append("here")
        cache.write(folder / "word", [WORD.encode()])
        return {}

    return cache.cached("kind", "quick", {}, make, lambda folder, known: (folder / "word").read_text())


def beats(cache_folder: Path) -> list[Path]:
    return list((cache_folder / "locks").glob("*.beat"))


def test_a_stopped_holder_is_not_waited_for(maker: Make, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, made = maker(), list[str]()
    assert line(stopped) == "making\n"
    while not beats(cache_folder):
        time.sleep(0.01)
    stop(stopped)
    monkeypatch.setattr(file_lock, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(file_lock, "STALE_SECONDS", 0.5)
    assert here(made) == (WORD, False)
    (entry,) = cache.entries()
    assert (entry.kind, entry.about, entry.key.partition("-")[2]) == ("kind", "quick", "1")
    # one has waited for all: the next process reads its entry at once
    monkeypatch.setattr(file_lock, "STALE_SECONDS", 1e9)
    assert here(made) == (WORD, True)
    assert made == ["here"]
    assert len(beats(cache_folder)) == 1  # of the stopped process

    stopped.send_signal(signal.SIGCONT)
    assert stopped.communicate("\n", timeout=60) == (f"{WORD} False\n", "")
    assert [entry.about for entry in cache.entries()] == ["quick", "slow"]
    assert list((cache_folder / "scratch").iterdir()) == []
    assert beats(cache_folder) == []
    assert here(made) == (WORD, True)
    assert cache.clear() == 2 * len(WORD)


@pytest.mark.slow
def test_a_waiter_that_makes_it_may_be_stopped_as_well(maker: Make) -> None:
    for place in ("", "1", "2"):
        process = maker(silent=0.3)
        assert line(process) == "making\n", place
        stop(process)
    last = maker(silent=0.3)
    assert last.communicate("\n", timeout=60) == (f"making\n{WORD} False\n", "")
    assert [entry.key.partition("-")[2] for entry in cache.entries()] == ["3"]


def test_a_stopped_holder_that_never_resumes(maker: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, made = maker(), list[str]()
    assert line(stopped) == "making\n"
    stop(stopped)
    monkeypatch.setattr(file_lock, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(file_lock, "STALE_SECONDS", 0.3)
    assert here(made) == (WORD, False)
    stopped.kill()
    stopped.wait(30)
    assert here(made) == (WORD, True)
    assert made == ["here"]


@pytest.mark.slow
def test_a_slow_holder_is_waited_for(maker: Make, cache_folder: Path) -> None:
    """Also when Ctrl-Z stops it together with its waiters: time in which nobody observed it does not count."""
    slow = maker()
    assert line(slow) == "making\n"
    waiting = maker(silent=1.5)
    time.sleep(2.0)
    for process in (slow, waiting):
        stop(process)
    time.sleep(2.0)
    for process in (waiting, slow):
        process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert slow.communicate("\n", timeout=60) == (f"{WORD} False\n", "")
    assert waiting.communicate("\n", timeout=60) == (f"{WORD} True\n", "")
    assert len(cache.entries()) == 1
    assert beats(cache_folder) == []


def test_a_waiter_can_be_interrupted(maker: Make) -> None:
    stopped = maker()
    assert line(stopped) == "making\n"
    stop(stopped)
    waiting = maker(beat=30, silent=900)
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(5) == -signal.SIGINT
    assert waiting.communicate()[1].endswith("KeyboardInterrupt\n")


def test_a_heartbeat_that_cannot_be_written_is_no_error(cache_folder: Path) -> None:
    made: list[str] = []
    here(made)
    cache.clear()
    (file,) = (cache_folder / "locks").iterdir()
    file.with_suffix(".beat").mkdir()
    assert here(made) == (WORD, False)
    assert made == ["here"] * 2


WRITER = """
import sys, time
from pathlib import Path
from mobilenet_chest import cache

def chunks():
    for i in range(60):
        time.sleep(0.001)
        yield bytes([i]) * 20_000

def make(folder):
    print("made", flush=True)
    cache.write(folder / "one", chunks())
    cache.write(folder / "two", chunks())
    return {"n": 60}

def load(folder, known):
    one, two = ((folder / name).read_bytes() for name in ("one", "two"))
    assert one == two == b"".join(bytes([i]) * 20_000 for i in range(known["n"]))
    return len(one)

print(cache.cached("kind", "killed", {}, make, load), flush=True)
"""


def writer() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)


def test_writers_at_the_same_time() -> None:
    processes = [writer() for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(outputs) == ["(1200000, True)\n"] * 3 + ["made\n(1200000, False)\n"]


@pytest.mark.slow
def test_killed_at_any_moment(cache_folder: Path) -> None:
    moments = random.Random(3)
    for _ in range(12):
        process = writer()
        assert process.stdout is not None
        line = process.stdout.readline()
        if line != "made\n":
            assert line == "(1200000, True)\n"  # the kill before came after the entry was whole
            process.wait(timeout=30)
            cache.clear()
        else:
            time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        assert [entry.size for entry in cache.entries()] in ([], [2_400_000])
    cache.clear()
    assert writer().communicate(timeout=60)[0] == "made\n(1200000, False)\n"
    assert list((cache_folder / "scratch").iterdir()) == []
