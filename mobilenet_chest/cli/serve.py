"""The command ``serve``: a registered model behind HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.process import Started
from mobilenet_chest.deploy.serving.server import serve as serve_model
from mobilenet_chest.errors import UserError
from mobilenet_chest.registry.digests import model_address

SHARE = 0.1
"""Share of a challenger by default."""


def serve(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="NAME@champion, NAME/VERSION, or with models:/ before.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer; limits are each one's.")] = 1,
    max_batch: Annotated[int, typer.Option(help="Images predicted at once.")] = 16,
    max_waiting: Annotated[int, typer.Option(help="Images that may wait; more get status 429.")] = 64,
    deadline: Annotated[float, typer.Option(help="Seconds within which a request is answered or refused.")] = 10.0,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request.")] = 64 << 20,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token that requests must bear.")
    ] = None,
    challenger: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model, which answers a share of the patients.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Share of the patients whom the challenger answers; 0.1 by default.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model, whose answers are logged and not returned.")
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Log every answer in this folder.")] = None,
) -> None:
    """Serve a registered model over HTTP.

    The alias is followed: a promotion or rollback is taken up within seconds. SIGTERM and Ctrl-C stop the server
    once all requests are answered.

    Example: mobilenet-chest serve chest@champion --port 8000
    """
    with exit_codes():
        limits = Limits(max_batch, max_waiting, deadline, max_bytes)
        rival, share = _rival(challenger, share, shadow)

        def say(started: Started, address: str) -> None:
            _say(started, address, share, workers)

        serve_model(model_address(model), host, port, limits, token_file, say, rival, share, log_dir, workers)


def _rival(challenger: str | None, share: float | None, shadow: str | None) -> tuple[str | None, float]:
    """Return the address of the second model, and its share; 0 for a shadow.

    Raises:
        UserError: The options contradict each other, or the share is none.
    """
    if challenger is not None and shadow is not None:
        raise UserError("--challenger and --shadow: give one of them")
    if challenger is None:
        if share is not None:
            raise UserError(f"--share {share:g}: is a challenger's; name it with --challenger MODEL")
        return None if shadow is None else model_address(shadow), 0.0
    share = SHARE if share is None else share
    if not 0 < share < 1:
        raise UserError(f"--share {share:g}: give a share between 0 and 1, such as 0.1")
    return model_address(challenger), share


def _say(started: Started, address: str, share: float, workers: int) -> None:
    by = "" if workers == 1 else f", in {workers} workers"
    line(f"version {started.version} of '{started.name}' answers at {address}{by}")
    if started.rival is not None:
        name, version = started.rival
        whom = f"answers {share:.0%} of the patients" if share else "answers in the shadow"
        line(f"version {version} of '{name}' {whom}; compare: mobilenet-chest ab {started.name}")
    line("Ctrl-C stops the server")
    sys.stdout.flush()
