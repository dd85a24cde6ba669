"""One process that answers: its models, its log, its port, and how it stops without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import signal
import socket
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvicorn

from mobilenet_chest.deploy.answer_log import FOLDER
from mobilenet_chest.deploy.serving.hourly import HourlyLog
from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Follower
from mobilenet_chest.deploy.serving.meters import Meters
from mobilenet_chest.deploy.serving.protocol import BoundedProtocol
from mobilenet_chest.deploy.serving.recorder import Recorder
from mobilenet_chest.deploy.serving.service import Rival, Service
from mobilenet_chest.deploy.serving.web import web_app
from mobilenet_chest.errors import UserError
from mobilenet_chest.processor import cores
from mobilenet_chest.tracking.store import connect, is_read_only

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""How long a server that was told to stop still takes connections, and asks each to close after its answer; and how
long it then waits for requests on those that are open."""

BACKLOG = 2048
"""Connections that the system keeps until they are accepted."""

HOURLY_FILE = "hourly.json"
"""Where the process that logs the hours keeps what the one in its place goes on with."""


@dataclass(frozen=True)
class Settings:
    """What is served, and how.

    Attributes:
        model_uri: ``models:/NAME@ALIAS``, which is followed, or ``models:/NAME/VERSION``.
        limits: What a process takes on.
        token: That requests must bear, if any.
        rival_uri: A second model, whose answers are compared with the first one's.
        share: Of the patients that the second model answers; 0 for a shadow, whose answers are not returned.
        log_folder: Where answers are logged. Without it there is a log, in the default folder, only with a second
            model.
    """

    model_uri: str
    limits: Limits
    token: str | None = None
    rival_uri: str | None = None
    share: float = 0.0
    log_folder: Path | None = None


class Started(NamedTuple):
    """What answers, once it does.

    Attributes:
        name: Of the registered model.
        version: Its version.
        rival: Name and version of a second model, if any.
    """

    name: str
    version: str
    rival: tuple[str, str] | None


class Place(NamedTuple):
    """A worker's place among those that share a port.

    Attributes:
        number: From 0 on; a worker that takes the place of another has its number.
        ready: For each number, 1 while its worker answers; in memory that all share.
        counts: Folder of the counts of all.
        lifeline: File descriptor that can be read when the process that watches is gone.
    """

    number: int
    ready: MutableSequence[int]
    counts: Path
    lifeline: int


def answer(
    settings: Settings, listener: socket.socket, on_ready: Callable[[Started], object], place: Place | None = None
) -> None:
    """Answer requests until SIGTERM, SIGINT or SIGHUP, or until the process that watches is gone.

    Args:
        settings: What is served.
        listener: A bound socket; other workers may have it too.
        on_ready: Called once requests are answered.
        place: Among workers; ``None`` for a process alone.

    Raises:
        UserError: The two models have other classes.
        DataError: The log cannot be written.
        TrackingError: There is no such model, or it cannot be loaded.
    """
    service = _service(settings, place)
    name = service.follower.model.name
    state = None if place is None else place.counts / HOURLY_FILE
    hourly = HourlyLog(service.meters, name, lambda: service.follower.model.version, connect, state)
    server = _Server(service, settings.token, None if place is None else place.lifeline)
    shared = _Listener(fileno=listener.detach())
    try:
        shared.listen()  # who has read the address may ask at once
        if not is_read_only() and (place is None or place.number == 0):
            hourly.start()
        if place is not None:
            place.ready[place.number] = 1
        rival = None if service.rival is None else service.rival.follower.model
        on_ready(Started(name, service.follower.model.version, None if rival is None else (rival.name, rival.version)))
        server.run(sockets=[shared])
    finally:
        shared.close()
        hourly.close()
        service.close()


class _Listener(socket.socket):
    """A socket that keeps :data:`BACKLOG` connections: asyncio would have it keep as many as it accepts in a row."""

    def listen(self, _backlog: int = BACKLOG) -> None:
        """Take connections from now on."""
        super().listen(BACKLOG)

    @contextlib.contextmanager
    def filled(self) -> Iterator[list[socket.socket]]:
        """Yield all connections that wait to be accepted; no other comes for the block, in which the port is closed.

        The system resets those that wait when their port is closed, and one may come between the last that is accepted
        and the closing. So the queue is made as short as can be, and one connection of our own fills it: others hear
        after the closing that nobody listens, and have sent nothing.
        """
        super().listen(0)  # there is room for one
        waiting: list[socket.socket] = []
        host, port, *more = self.getsockname()
        address = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, *more)
        while True:
            with contextlib.suppress(BlockingIOError):
                while True:
                    waiting.append(self.accept()[0])
            with socket.socket(self.family, socket.SOCK_STREAM) as own:
                own.setblocking(False)
                if own.connect_ex(address) == 0 or _connected(own):
                    yield waiting
                    return


def _connected(connection: socket.socket) -> bool:
    """Whether a connection that has been begun comes about within a moment."""
    _, writable, _ = select.select([], [connection], [], 0.005)
    return bool(writable) and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


class _Server(uvicorn.Server):
    """A server whose signals begin the draining; uvicorn's own would close connections between two requests."""

    def __init__(self, service: Service, token: str | None, lifeline: int | None) -> None:
        # what is in flight has so long; a client that never reads its answer must not hold up the end. asyncio accepts
        # `backlog` connections in a row, and leaves the next ones to other workers; uvloop would reset those beyond it
        super().__init__(uvicorn.Config(
            web_app(service, token), log_config=None, access_log=False, lifespan="off", loop="asyncio",
            http=BoundedProtocol, backlog=1, timeout_graceful_shutdown=round(service.limits.deadline) + 1,
        ))  # fmt: skip
        self._service, self._lifeline = service, lifeline

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            loop.add_signal_handler(number, self._drain, loop)
        if self._lifeline is not None:
            loop.add_reader(self._lifeline, self._abandoned, loop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and answer what has come until then.

        uvicorn, which closes connections without a request, comes after the requests of those that waited are answered.
        """
        accepted: list[socket.socket] = []
        with contextlib.ExitStack() as ports:
            for listener in sockets or []:
                assert isinstance(listener, _Listener)
                accepted += ports.enter_context(listener.filled())
            for server in self.servers:
                server.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)
        deadline = loop.time() + DRAIN_SECONDS
        while self.server_state.connections and loop.time() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        # as in uvicorn's own startup
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self._service.draining = True
        loop.call_later(DRAIN_SECONDS, lambda: setattr(self, "should_exit", True))

    def _abandoned(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._lifeline is not None
        loop.remove_reader(self._lifeline)  # its end can be read for ever
        self._drain(loop)


def _service(settings: Settings, place: Place | None) -> Service:
    """Load the models, open the log, and begin to follow the aliases."""
    model_uri, rival_uri = settings.model_uri, settings.rival_uri
    follower = Follower(model_uri)
    followers, rival = [follower], None
    if rival_uri is not None:
        rival = Rival(Follower(rival_uri), settings.share)
        followers.append(rival.follower)
        first, second = follower.model, rival.follower.model
        if first.classes != second.classes:
            raise UserError(f"{rival_uri}: its classes are {', '.join(second.classes)}, and those of {model_uri} are "
                            f"{', '.join(first.classes)}; give a model of the same classes")  # fmt: skip
        if (first.name, first.version) == (second.name, second.version) and (place is None or place.number == 0):
            logger.warning("%s and %s are the same version now: there is nothing to compare yet", model_uri, rival_uri)
    logged = rival is not None or settings.log_folder is not None
    recorder = Recorder(follower.model.name, settings.log_folder or FOLDER) if logged else None
    if place is None:
        service = Service(follower, settings.limits, recorder, rival)
    else:
        meters, decoders = Meters(place.counts, place.number), max(1, cores() // len(place.ready))
        service = Service(follower, settings.limits, recorder, rival, meters, decoders)
        service.all_answer = lambda: all(place.ready)
    for each in followers:
        each.start()
    return service
