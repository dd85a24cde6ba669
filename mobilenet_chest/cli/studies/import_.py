"""The command ``studies import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done, print_json
from mobilenet_chest.cli.options import Json, Storage
from mobilenet_chest.sweep.studies_file import import_studies


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="A file that studies export has written.")],
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Put this before the names of the studies.")] = "",
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Add the studies of a file, for study.learn_from.

    Either all are added, or none. What is there already stays as it is.

    Example: mobilenet-chest studies import studies.json
    """
    with exit_codes():
        done = import_studies(file, prefix, storage)
        if as_json:
            print_json({"studies": done})
        else:
            for each in done:
                print_done(each, as_json)
