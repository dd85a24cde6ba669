"""The command ``browse``: MLflow's pages, opened at the study or run that is meant."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import webbrowser
from typing import Annotated

import typer

from mobilenet_chest import interrupts
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.errors import MobilenetChestError, TrackingError
from mobilenet_chest.tracking.store import as_tracking_lost, connect
from mobilenet_chest.tracking.ui_server import ui_server
from mobilenet_chest.tracking.view import page_address, server_address

NO_DISPLAY = ("linux", "freebsd")
"""Platforms on which a browser needs a display that a variable names."""


def browse(
    reference: Annotated[
        str | None, typer.Argument(metavar="[STUDY|RUN_ID]", help="By default the study that was begun last.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of this machine; a free one by default.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Open a study's leaderboard, or a run, in MLflow's pages.

    Starts MLflow's server for this machine alone, until Ctrl-C. Where MLFLOW_TRACKING_URI names a server already, its
    pages are opened and the command ends.

    Example: mobilenet-chest browse quickstart
    """
    with exit_codes():
        if (server := server_address()) is not None:
            _show(page_address(connect(), server, reference), open_browser)
            return
        page_address(connect(), "", reference)  # a wrong name is said before a server is started
        if hasattr(signal, "SIGHUP"):  # a terminal that is closed ends the server too
            interrupts.install(signal.SIGHUP)
        try:
            with ui_server(port) as (address, process):
                _show(page_address(connect(), address, reference), open_browser)
                line("Ctrl-C stops the server")
                sys.stdout.flush()
                process.wait()
        except KeyboardInterrupt:
            return
        raise TrackingError(f"MLflow's server ended by itself (exit code {process.returncode}); run the same command")


def _show(address: str, open_browser: bool) -> None:
    line(address)
    has_display = sys.platform not in NO_DISPLAY or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if open_browser and has_display:
        webbrowser.open(address)


def browse_hint(study: str) -> str:
    """Return what the end of a sweep says of the study's page: its address, or the command that opens it."""
    if (server := server_address()) is not None:
        with contextlib.suppress(MobilenetChestError), as_tracking_lost():
            return page_address(connect(), server, study)
    return f"mobilenet-chest browse {shlex.quote(study)}"
