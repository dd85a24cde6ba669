"""Real servers for tests, on loopback: PostgreSQL in a cluster of its own, and `mlflow server`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from helpers import forked

WAIT_SECONDS = 90

# MLflow's command starts one that serves; here it becomes that one, so that nothing is imported twice
SERVE = """
import os, runpy, sys
import mlflow.server
from mlflow.cli import cli

def become(command, *, extra_env, **_):
    os.environ.update(extra_env)
    sys.argv = command[2:]
    assert sys.argv[0] == "uvicorn", command
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)

mlflow.server._exec_cmd = become
cli(prog_name="mlflow")
"""


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


class Postgres:
    """A PostgreSQL server on 127.0.0.1 and a unix socket in its own folder; passwords by SCRAM.

    Attributes:
        port: Where it listens.
        user: Its superuser.
        password: That user's.
    """

    user = "tester"

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port, self.password = free_port(), secrets.token_urlsafe(16)
        self._programs, self._folder, self._numbers = programs, folder, count(1)
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            import pwd  # POSIX alone has it

            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        given = folder / "password"
        given.write_text(self.password, encoding="utf-8")
        self._run(
            "initdb", "--no-sync", "--encoding=UTF8", "--locale=C", f"--username={self.user}",
            "--auth=scram-sha-256", f"--pwfile={given}",
        )  # fmt: skip
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            settings.write(f"unix_socket_directories = '{folder}'\n")
        self._control("start")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, "-D", self._data, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            **self._as,
        )
        assert done.returncode == 0, f"{program} {arguments[0]}: {done.stderr}{self.log()}"

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", *arguments, "-w", "-s", f"--log={self._folder / 'log'}")

    def log(self) -> str:
        """What the server has written."""
        path = self._folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def url(self, database: str, password: bool = True) -> str:
        """SQLAlchemy's address of a database; without the password, as one writes it who has a ``~/.pgpass``."""
        who = f"{self.user}:{self.password}" if password else self.user
        return f"postgresql+psycopg://{who}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Address of a new, empty database."""
        name = f"test{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _sql(self, statement: str) -> None:
        address = {"host": "127.0.0.1", "port": self.port, "user": self.user, "password": self.password}
        with psycopg.connect(**address, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def restart(self) -> None:
        """Crash and come back: every connection is lost, transactions under way are rolled back."""
        self._control("restart", "-m", "immediate")

    def stop(self) -> None:
        """Stop at once; what is connected is cut off."""
        self._control("stop", "-m", "fast")


def _programs() -> Path | None:
    """The folder with initdb and pg_ctl, the newest where there are several."""
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return folders[-1] if folders else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole session; ``create()`` gives an empty database."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: no initdb in PATH or in /usr/lib/postgresql")
    # not in pytest's own folder: that is closed to the user the server runs as
    folder = Path(tempfile.mkdtemp(prefix="mobilenet-chest-postgresql-"))
    try:
        server = Postgres(programs, folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes empty databases, in SQLite and then in PostgreSQL; gives their addresses."""
    if request.param == "sqlite":
        folder, numbers = request.getfixturevalue("tmp_path"), count(1)
        yield lambda: f"sqlite:///{folder / f'empty{next(numbers)}.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    made: list[str] = []

    def make() -> str:
        made.append(server.create())
        return made[-1]

    yield make
    for url in made:
        server.drop(url)


class MlflowServer:
    """`mlflow server` on 127.0.0.1, with artifacts that pass through it; stays at its port when started again.

    Args:
        folder: For its log, its working folder and, unless told otherwise, all that it stores.
        backend: SQLAlchemy's address of its database.
        artifacts: Where it keeps artifacts: a folder or ``s3://bucket/path``.
        environment: Further variables.
        certificate: A certificate and its key, in one file: it then speaks HTTPS.
    """

    def __init__(
        self,
        folder: Path,
        backend: str | None = None,
        artifacts: str | None = None,
        environment: dict[str, str] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.port, self._certificate = free_port(), certificate
        self.uri = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._folder, self._process = folder, None
        variables = {
            # in the environment, which other users cannot read; it may hold a password
            "MLFLOW_BACKEND_STORE_URI": backend or f"sqlite:///{folder / 'server.db'}",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | variables
        self._environment |= environment or {}
        self._command = [
            sys.executable, "-c", SERVE, "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--artifacts-destination", artifacts or str(folder / "artifacts"),
            "--allowed-hosts", f"127.0.0.1:{self.port}", "--cors-allowed-origins", self.uri,
            *(["--uvicorn-opts", f"--ssl-keyfile={certificate} --ssl-certfile={certificate}"] if certificate else []),
        ]  # fmt: skip
        self.start()

    _process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = forked.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"mlflow server ended: {self.log()}"
            assert time.monotonic() < deadline, f"mlflow server does not answer: {self.log()}"
            time.sleep(0.1)

    @property
    def runs(self) -> bool:
        """Whether it has been started and not killed."""
        return self._process is not None

    def _answers(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy to this machine
                session.verify = str(self._certificate) if self._certificate else True
                return session.get(f"{self.uri}/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def log(self) -> str:
        """What the server has written."""
        return (self._folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it and its workers at once (SIGKILL); nothing if it does not run."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=WAIT_SECONDS)
            self._process = None


@pytest.fixture
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., MlflowServer]]:
    """Starts MLflow servers (see :class:`MlflowServer`); each is killed after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started: list[MlflowServer] = []

    def start(**settings: Any) -> MlflowServer:
        started.append(MlflowServer(tmp_path_factory.mktemp("server"), **settings))
        return started[-1]

    yield start
    for server in started:
        server.kill()
