"""What went wrong, as the user sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mobilenet_chest import interrupts
from mobilenet_chest.errors import MobilenetChestError


@contextmanager
def reporting() -> Iterator[None]:
    """Errors of this package as one line on stderr and their exit code; an interrupt as 130."""
    try:
        with interrupts.unmistaken():
            yield
    except MobilenetChestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where this one stopped", err=True)
        raise typer.Exit(130) from None
