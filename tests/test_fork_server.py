"""The fork server: what its workers inherit, and what the driver learns of them. Each test forks a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from mobilenet_chest import fork_server

BEGIN = """
import gc, json, multiprocessing, os, signal, sys, time
from mobilenet_chest import fork_server
fork_server.IMPORTED, fork_server.PRELOADED = ("wave",), ("colorsys",)

def report(file, code, output):
    parent = multiprocessing.parent_process()
    with open(file, "w") as opened:
        json.dump({"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "name": multiprocessing.current_process().name,
                   "modules": [name in sys.modules for name in ("wave", "colorsys")],
                   "ppid": os.getppid(), "parent": parent.pid, "frozen": gc.get_freeze_count()}, opened)
    if output is not None:
        os.write(output.fileno(), b"a line\\n")
    sys.exit(code)

def sleep(file, output):
    open(file, "w").close()
    while multiprocessing.parent_process().is_alive():
        time.sleep(0.02)
    open(file, "a").write("parent gone")

def appears(file):
    while not os.path.exists(file):
        time.sleep(0.02)

say = lambda **what: print(json.dumps(what), flush=True)
"""


def run(script: str, folder: Path) -> dict[str, Any]:
    """Run a script in a fresh process, and return what it says."""
    code = BEGIN + script
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_workers_inherit_what_was_imported_and_the_driver_s_environment_of_the_moment(tmp_path: Path) -> None:
    said = run(
        """
with fork_server.fork_server() as server:
    os.environ["CUDA_VISIBLE_DEVICES"] = "5"
    worker = server.start("worker-3", report, ("seen.json", 74), None)
    worker.join()
    say(seen=json.load(open("seen.json")), code=worker.exitcode, alive=worker.is_alive(), own=os.getpid())
""",
        tmp_path,
    )
    seen = said["seen"]
    assert (seen["gpu"], seen["modules"], seen["name"]) == ("5", [True, True], "worker-3")
    assert seen["ppid"] == seen["parent"] != said["own"]
    assert seen["frozen"] > 1000  # no collection walks, and so copies, what was imported
    assert (said["code"], said["alive"]) == (74, False)


def test_a_worker_s_output_ends_with_it(tmp_path: Path) -> None:
    said = run(
        """
with fork_server.fork_server() as server:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = server.start("worker-0", report, ("seen.json", 0), sender)
    sender.close()
    with os.fdopen(receiver.fileno(), "rb", closefd=False) as opened:
        lines = opened.read().decode()  # until no process has the other end
    worker.join()
    say(lines=lines, code=worker.exitcode)
""",
        tmp_path,
    )
    assert said == {"lines": "a line\n", "code": 0}


def test_a_killed_worker_and_its_sibling(tmp_path: Path) -> None:
    said = run(
        """
with fork_server.fork_server() as server:
    one, other = (server.start("worker-0", sleep, (file,), None) for file in "ab")
    one.kill()
    one.join()
    before = [one.exitcode, other.exitcode, other.is_alive()]
    other.join(0.1)
    waited = other.exitcode
    other.terminate()
    other.join()
    say(before=before, waited=waited, after=other.exitcode)
""",
        tmp_path,
    )
    assert said == {"before": [-9, None, True], "waited": None, "after": -15}


def test_a_server_that_was_killed(tmp_path: Path) -> None:
    said = run(
        """
with fork_server.fork_server() as server:
    worker = server.start("worker-0", sleep, ("a",), None)
    appears("a")
    os.kill(next(iter(multiprocessing.active_children())).pid, signal.SIGKILL)
    worker.join()
    say(code=worker.exitcode, next=server.start("worker-1", sleep, ("b",), None))
while not open("a").read():  # the worker ends in order
    time.sleep(0.02)
""",
        tmp_path,
    )
    assert said == {"code": fork_server.LOST, "next": None}
    assert not (tmp_path / "b").exists()


def test_server_and_worker_notice_that_the_driver_was_killed(tmp_path: Path) -> None:
    code = (
        BEGIN
        + """
with fork_server.fork_server() as server:
    worker = server.start("worker-0", sleep, ("a",), None)
    appears("a")
    print(worker.pid, next(iter(multiprocessing.active_children())).pid, flush=True)
    time.sleep(60)
"""
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
        driver.kill()
        assert psutil.wait_procs(processes, timeout=20)[1] == []
    assert (tmp_path / "a").read_text() == "parent gone"


def test_a_process_that_may_have_computed_or_has_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not fork_server.may_fork()
    monkeypatch.delitem(sys.modules, "torch")
    assert fork_server.may_fork() is (sys.platform == "linux")
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not fork_server.may_fork()
    with fork_server.fork_server() as server:
        assert server is None


LOADED = """
import importlib, json, sys, threading, torch
asked = []
for module, name in [(torch.cuda, "is_available"), (torch.cuda, "device_count"), (torch.cuda, "_lazy_init"),
                     (torch._C, "_cuda_getDeviceCount")]:
    if hasattr(module, name):
        setattr(module, name, lambda *given, name=name: asked.append(name) or 0)
from mobilenet_chest import fork_server
for module in (*fork_server.IMPORTED, *fork_server.PRELOADED):
    importlib.import_module(module)
print(json.dumps({"asked": asked, "threads": threading.active_count(), "forked": torch.cuda._is_in_bad_fork()}))
"""


@pytest.mark.slow
def test_what_is_imported_before_a_fork_neither_starts_cuda_nor_threads(tmp_path: Path) -> None:
    """A process that has started CUDA cannot give it to its forks."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout) == {"asked": [], "threads": 1, "forked": False}
