"""The command ``docs``: the manual, which is installed with the package."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import out
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.errors import UserError, nearest


def docs(
    page: Annotated[str | None, typer.Argument(metavar="[PAGE]", help="A page's name, such as sweeps.")] = None,
) -> None:
    """Print a page of the manual, or list its pages.

    Example: mobilenet-chest docs sweeps
    """
    with exit_codes():
        pages = {file.name.removesuffix(".md"): file for file in _files() if file.name.endswith(".md")}
        if page is None:
            _print_list(pages)
        elif (name := page.removesuffix(".md")) in pages:
            typer.echo(pages[name].read_text(encoding="utf-8"), nl=False)
        else:
            raise UserError(f"no page '{page}'{nearest(name, pages)}; list the pages with: mobilenet-chest docs")


def _files() -> list[Traversable]:
    folder = files("mobilenet_chest") / "docs"
    return sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []


def _print_list(pages: dict[str, Traversable]) -> None:
    rows = Table(["page", "about"], left=["page", "about"], title="print one with: mobilenet-chest docs PAGE")
    for name, file in pages.items():
        heading = file.read_text(encoding="utf-8").partition("\n")[0]
        rows.add_row(name, heading.lstrip("# "))
    out.print(rows)
