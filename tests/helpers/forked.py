"""Python processes that start at once: forked from a process that has imported the package and has computed nothing.

Importing torch, MLflow and Optuna costs a process about six seconds of processor time, and the tests start hundreds.
:class:`Popen` and :func:`run` are those of :mod:`subprocess`, for commands of this Python: a real process with a
number, a working folder, an environment, streams and signals of its own. What is tested must not be how a process
starts: the order of its imports, its encoding, its own options. Such a test uses :mod:`subprocess`.

This file is also the program that the server runs.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import inspect
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

ROOT = Path(__file__).parents[2]

PRELOADED = (
    "mobilenet_chest.sweep", "mobilenet_chest.fork_server", "mobilenet_chest.api", "mobilenet_chest.registry.promote",
    "mlflow.pyfunc.loaders.code_model",
    "mlflow.genai", "mlflow.store.tracking.sqlalchemy_store", "fastapi", "uvicorn", "matplotlib.figure",
    "pyarrow.parquet", "scipy.stats", "timm",
    "torch._dynamo", "torch.export",
)  # fmt: skip

KEPT = ("OMP_NUM_THREADS", "PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONUTF8", "LANG", "LC_ALL", "HOME")
"""Variables that are read while modules are imported, or by the interpreter: they must be those of the server."""

SET_BY_IMPORTS: dict[str, str] = {}
"""Variables that modules set while they are imported, as the package does; known to the server alone."""

PLACES = ("PATH", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD")
"""What a server has besides: where things are. With more, what imports set where it is missing would not be seen."""

Key = tuple[int, tuple[str | None, ...]]

_SERVERS: dict[Key, Server] = {}
"""Of each process of tests, for each set of values of :data:`KEPT`."""


class Popen(subprocess.Popen[Any]):
    """A process of this Python, as of :class:`subprocess.Popen`; its command is a script, ``-c`` code or ``-m`` module.

    It is a child of the server, which tells its exit status through a pipe.
    """

    def __init__(self, command: list[str], *, server: Server | None = None, **options: Any) -> None:
        self._status, self._server = -1, server
        super().__init__(command, **options)

    def _execute_child(self, *given: Any, **named: Any) -> None:
        asked = inspect.signature(subprocess.Popen._execute_child).bind(self, *given, **named).arguments
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        assert asked["args"][0] == sys.executable, asked["args"]
        assert asked["preexec_fn"] is None
        standard = [asked["p2cread"], asked["c2pwrite"], asked["errwrite"]]
        self._status, end = os.pipe()
        try:
            self.pid = (self._server or _server(environment)).start(
                {
                    "command": [str(word) for word in asked["args"][1:]],
                    "folder": str(asked["cwd"] or Path.cwd()),
                    "environment": environment,
                    "session": asked["start_new_session"],
                    "cores": os.sched_getaffinity(0),
                },
                [*(number if own < 0 else own for number, own in enumerate(standard)), end],
            )
        finally:
            os.close(end)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._status < 0 or (flags and not select.select([self._status], [], [], 0)[0]):
            return 0, 0
        told = os.read(self._status, 4)
        os.close(self._status)
        self._status = -1
        return self.pid, int.from_bytes(told, "little") if told else signal.SIGKILL

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


if sys.platform != "linux":  # a server needs its numbers of processes that are open files
    Popen = subprocess.Popen  # type: ignore[misc]


def run(command: list[str], *, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end with its output captured; ``timeout`` is in seconds."""
    given = options.pop("input", None)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if given is not None:
        streams["stdin"] = subprocess.PIPE
    with Popen(command, **streams, **options) as process:
        try:
            out, err = process.communicate(given, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


class Server:
    """The tests' side of a server.

    Args:
        words: Before its command; they say as whom it runs, and all that it forks.
        environment: Its variables, by default those of this process.
    """

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._environment = {name: given[name] for name in (*KEPT, *PLACES) if name in given}
        paths = os.pathsep.join([str(ROOT), given.get("PYTHONPATH", "")])
        self._control, other = Pipe()
        self._lock = threading.Lock()
        with other:
            self._process = subprocess.Popen(
                [*words, sys.executable, __file__, str(other.fileno())],
                pass_fds=[other.fileno()],
                env=self._environment | {"PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(self, request: dict[str, Any], files: list[int]) -> int:
        """Fork a process; ``files`` are its standard streams and the pipe for its exit status. Return its number."""
        differing = [name for name in KEPT if self._environment.get(name) != request["environment"].get(name)]
        assert not differing, f"{differing} must be as in the process of the tests; use subprocess"
        with self._lock:
            self._control.send(request)
            for file in files:
                send_handle(self._control, file, self._process.pid)
            pid: int = self._control.recv()
        return pid

    def end(self) -> None:
        """End the server; what it has forked goes on."""
        self._control.close()
        self._process.wait(timeout=30)


def _server(environment: dict[str, str]) -> Server:
    """Return the server of this process for commands with such variables, which is started at first."""
    key = os.getpid(), tuple(environment.get(name) for name in KEPT)
    if key not in _SERVERS:
        _SERVERS[key] = server = Server(environment=environment)
        atexit.register(server.end)
    return _SERVERS[key]


def end_servers() -> None:
    """End the servers of this process: the next command gets a new one, which sees what this process sees by then."""
    for key in [key for key in _SERVERS if key[0] == os.getpid()]:
        server = _SERVERS.pop(key)
        atexit.unregister(server.end)
        server.end()


# --- the server's side ---------------------------------------------------------------------------------------------


def _serve(control: Connection) -> dict[str, Any]:
    """Fork processes as the tests ask until they end; return only in a forked process, with what it is to run."""
    living: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([control, *living], [], [])[0]:
            if ready is not control:
                pid, status = living.pop(ready)
                os.write(status, os.waitpid(pid, 0)[1].to_bytes(4, "little"))
                os.close(status)
                os.close(ready)
                continue
            try:
                request: dict[str, Any] = control.recv()
                *streams, status = [recv_handle(control) for _ in range(4)]
            except EOFError:
                os._exit(0)
            pid = os.fork()
            if not pid:
                control.close()
                for opened in (*living, *(end for _, end in living.values()), status):
                    os.close(opened)
                _become(request, streams)
                return request
            for opened in streams:
                os.close(opened)
            living[os.pidfd_open(pid)] = (pid, status)
            control.send(pid)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Make this process what the request says, as if it had been started."""
    if request["session"]:
        os.setsid()
    os.sched_setaffinity(0, request["cores"])
    for number, opened in enumerate(streams):
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = map(_reopened, (sys.stdin, sys.stdout, sys.stderr), ("r", "w", "w"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(SET_BY_IMPORTS | request["environment"])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in paths if path and path not in sys.path]

    import numpy as np

    from mobilenet_chest import fork_server

    tempfile.tempdir = None
    np.random.seed()  # noqa: NPY002 - else all would draw the same
    # what it forbids, a process that has imported torch and may have computed, this one has not done
    fork_server.may_fork = lambda: threading.active_count() == 1


def _reopened(stream: TextIO, mode: str) -> TextIO:
    """Return a stream on the same descriptor, which is another file by now; stderr goes line by line."""
    buffering = 1 if stream.line_buffering else -1  # type: ignore[attr-defined]
    return open(stream.fileno(), mode, buffering, stream.encoding, stream.errors, closefd=False)  # type: ignore[return-value]


def _run(command: list[str]) -> None:
    """Run a command line, without the name of the interpreter, as the main program of this process."""
    kind, rest = command[0], command[1:]
    if kind == "-c":
        code, sys.argv = rest[0], ["-c", *rest[1:]]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.argv = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(kind).resolve().parent))
        runpy.run_path(kind, run_name="__main__")


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this process
    sys.path.pop(0)  # the folder of this file
    given = dict(os.environ)
    for module in PRELOADED:
        importlib.import_module(module)
    SET_BY_IMPORTS.update({name: value for name, value in os.environ.items() if given.get(name) != value})
    assert threading.active_count() == 1
    gc.freeze()  # no collection writes to the memory that all share
    request = _serve(Connection(int(sys.argv[1])))
    code = 0
    try:
        _run(request["command"])
    except SystemExit as end:
        if isinstance(end.code, int):
            code = end.code
        elif end.code is not None:
            print(end.code, file=sys.stderr)
            code = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    _end(code)


def _end(code: int) -> None:
    """End as the interpreter does, without taking down module by module what all share: that takes seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    _main()
