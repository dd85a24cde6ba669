"""Starts a server of a registered model on a port: one process, or several that one watches."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.process import Settings, Started, answer
from mobilenet_chest.deploy.serving.workers import Workers
from mobilenet_chest.errors import UserError
from mobilenet_chest.processor import cores

MAX_WORKERS = 64


def serve(
    model_uri: str,
    host: str,
    port: int,
    limits: Limits,
    token_file: Path | None,
    on_ready: Callable[[Started, str], object],
    rival_uri: str | None = None,
    share: float = 0.0,
    log_folder: Path | None = None,
    workers: int = 1,
) -> None:
    """Serve a registered model until SIGTERM, SIGINT or SIGHUP; requests that have arrived are answered first.

    Args:
        model_uri: ``models:/NAME@ALIAS``, which is followed, or ``models:/NAME/VERSION``.
        host: Address to listen on. One that other machines reach needs a token.
        port: Port to listen on; 0 is a free one.
        limits: What each process takes on.
        token_file: File with the token that requests must bear.
        on_ready: Called with what answers and the server's address, once it listens.
        rival_uri: A second model, whose answers are compared with the first one's.
        share: Of the patients that the second model answers; 0 for a shadow, whose answers are not returned.
        log_folder: Where answers are logged. Without it there is a log, in the default folder, only with a second
            model.
        workers: Processes that answer; of more than 1, this one starts and watches them.

    Raises:
        UserError: The port is taken, the host is not this machine's, there is no token where one is needed, the two
            models have other classes, or there are too many workers or none.
        DataError: The log cannot be written.
        TrackingError: There is no such model, or it cannot be loaded.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise UserError(f"--workers {workers}: give 1 to {MAX_WORKERS}; this machine has {cores()} cores for them")
    token = None if token_file is None else _token(token_file)
    if token is None and not _is_loopback(host):
        raise UserError(f"--host {host}: others could send films to it; give --token-file FILE, or --host 127.0.0.1")
    settings = Settings(model_uri, limits, token, rival_uri, share, log_folder)
    with contextlib.closing(bound_listener(host, port)) as listener:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}/"
        if workers == 1:
            answer(settings, listener, lambda started: on_ready(started, address))
        else:
            Workers(workers, settings, listener).run(lambda started: on_ready(started, address))


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
