"""The command ``serve``: a registered model behind HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.deploy.serving.live_model import LiveModel, model_address
from mobilenet_chest.deploy.serving.server import serve as serve_model
from mobilenet_chest.deploy.serving.service import Limits


def serve(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME@champion, NAME/VERSION, or with models:/ before.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is a free one.")] = 8000,
    max_batch: Annotated[int, typer.Option(help="Images predicted at once.")] = 16,
    max_waiting: Annotated[int, typer.Option(help="Images that may wait; more get status 429.")] = 64,
    deadline: Annotated[float, typer.Option(help="Seconds within which a request is answered or refused.")] = 10.0,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request.")] = 64 << 20,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token that requests must bear.")
    ] = None,
) -> None:
    """Serve a registered model over HTTP.

    The alias is followed: a promotion or rollback is taken up within seconds. SIGTERM and Ctrl-C stop the server
    once all requests are answered.

    Example: mobilenet-chest serve chest@champion --port 8000
    """
    with exit_codes():
        limits = Limits(max_batch, max_waiting, deadline, max_bytes)
        serve_model(model_address(model), host, port, limits, token_file, _say)


def _say(model: LiveModel, address: str) -> None:
    line(f"version {model.version} of '{model.name}' answers at {address}")
    line("Ctrl-C stops the server")
    sys.stdout.flush()
