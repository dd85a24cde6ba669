"""The command ``studies export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done, print_json
from mobilenet_chest.cli.options import Json, Storage
from mobilenet_chest.sweep.studies_file import export_studies


def export(
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="File to write.")],
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY ...]", help="Names of studies; all by default.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write what studies have found to a file, without images or paths.

    The file has each study's metric, search space, data set and trials with their values.

    Example: mobilenet-chest studies export quickstart --out studies.json
    """
    with exit_codes():
        done = export_studies(studies or (), out, storage)
        if as_json:
            print_json({"studies": done})
        else:
            for each in done:
                print_done(each, as_json)
