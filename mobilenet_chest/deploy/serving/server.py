"""Starts a server of a registered model on a port, and stops it without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from mobilenet_chest.deploy.answer_log import FOLDER
from mobilenet_chest.deploy.serving.hourly import HourlyLog
from mobilenet_chest.deploy.serving.live_model import Follower
from mobilenet_chest.deploy.serving.recorder import Recorder
from mobilenet_chest.deploy.serving.service import Limits, Rival, Service
from mobilenet_chest.deploy.serving.web import web_app
from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking.store import connect, is_read_only

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""How long a server that was told to stop still takes connections, and asks each to close after its answer; and how
long it then waits for requests on those that are open."""

BACKLOG = 2048
"""Connections that the system keeps until they are accepted."""


class _Server(uvicorn.Server):
    """A server whose signals begin the draining; uvicorn's own would close connections between two requests."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            loop.add_signal_handler(number, self._drain, loop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and answer what has come until then.

        The system resets the connections that wait to be accepted when their port is closed. So all are accepted just
        before, and uvicorn, which closes connections without a request, comes after their requests are answered.
        """
        accepted = []
        for listener in sockets or []:
            with contextlib.suppress(BlockingIOError):
                while True:
                    accepted.append(listener.accept()[0])
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


def serve(
    model_uri: str,
    host: str,
    port: int,
    limits: Limits,
    token_file: Path | None,
    on_ready: Callable[[Service, str], object],
    rival_uri: str | None = None,
    share: float = 0.0,
    log_folder: Path | None = None,
) -> None:
    """Serve a registered model until SIGTERM, SIGINT or SIGHUP; requests that have arrived are answered first.

    Args:
        model_uri: ``models:/NAME@ALIAS``, which is followed, or ``models:/NAME/VERSION``.
        host: Address to listen on. One that other machines reach needs a token.
        port: Port to listen on; 0 is a free one.
        limits: What is taken on.
        token_file: File with the token that requests must bear.
        on_ready: Called with the service and the server's address, once it listens.
        rival_uri: A second model, whose answers are compared with the first one's.
        share: Of the patients that the second model answers; 0 for a shadow, whose answers are not returned.
        log_folder: Where answers are logged. Without it there is a log, in the default folder, only with a second
            model.

    Raises:
        UserError: The port is taken, the host is not this machine's, there is no token where one is needed, or the two
            models have other classes.
        DataError: The log cannot be written.
        TrackingError: There is no such model, or it cannot be loaded.
    """
    token = None if token_file is None else _token(token_file)
    if token is None and not _is_loopback(host):
        raise UserError(f"--host {host}: others could send films to it; give --token-file FILE, or --host 127.0.0.1")
    listener = bound_listener(host, port)
    with contextlib.closing(listener):
        service = _service(model_uri, limits, rival_uri, share, log_folder)
        hourly = HourlyLog(service.meters, service.follower.model.name, lambda: service.follower.model.version, connect)
        # what is in flight has so long; a client that never reads its answer must not hold up the end
        config = uvicorn.Config(web_app(service, token), log_config=None, access_log=False, lifespan="off",
                                backlog=BACKLOG, timeout_graceful_shutdown=round(limits.deadline) + 1)  # fmt: skip
        try:
            listener.listen(BACKLOG)  # who has read the address may ask at once
            shown = f"[{host}]" if ":" in host else host
            if not is_read_only():
                hourly.start()
            on_ready(service, f"http://{shown}:{listener.getsockname()[1]}/")
            _Server(config, service).run(sockets=[listener])
        finally:
            hourly.close()
            service.close()


def _service(
    model_uri: str, limits: Limits, rival_uri: str | None, share: float, log_folder: Path | None
) -> Service:  # fmt: skip
    """Load the models, open the log, and begin to follow the aliases."""
    follower = Follower(model_uri)
    followers, rival = [follower], None
    if rival_uri is not None:
        rival = Rival(Follower(rival_uri), share)
        followers.append(rival.follower)
        first, second = follower.model, rival.follower.model
        if first.classes != second.classes:
            raise UserError(f"{rival_uri}: its classes are {', '.join(second.classes)}, and those of {model_uri} are "
                            f"{', '.join(first.classes)}; give a model of the same classes")  # fmt: skip
        if (first.name, first.version) == (second.name, second.version):
            logger.warning("%s and %s are the same version now: there is nothing to compare yet", model_uri, rival_uri)
    logged = rival is not None or log_folder is not None
    recorder = Recorder(follower.model.name, log_folder or FOLDER) if logged else None
    service = Service(follower, limits, recorder, rival)
    for each in followers:
        each.start()
    return service


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file {file}: cannot be read ({error}); write the token into a text file") from error
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"--token-file {file}: a token is one word of at least 16 ASCII letters and digits")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound_listener(host: str, port: int) -> socket.socket:
    """Return a socket that is bound; connections are taken once the server runs.

    Raises:
        UserError: The address cannot be had.
    """
    # asyncio sends at once only where TCP is named; otherwise an answer's second part waits 40 ms for the client's ACK
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was in use a moment ago
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise UserError(
            f"--host {host} --port {port}: {reason}; leave --port out for 8000, or give 0 for a free one"
        ) from error
    return listener
