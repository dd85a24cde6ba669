"""The command ``study set``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done
from mobilenet_chest.cli.options import Json, Storage, StudyName
from mobilenet_chest.config.loading import split_override
from mobilenet_chest.sweep import commands


def set(
    study: StudyName,
    value: Annotated[str, typer.Argument(metavar="trials=N", help="Trials of the study in all.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Change the number of a study's trials.

    Sweeps that run obey at once. Sweep commands with the number that was in force before take the new one; one with
    another number has the last word.

    Example: mobilenet-chest study set quickstart trials=12
    """
    with exit_codes():
        field, number = split_override(value)
        print_done(commands.command(study, storage, partial(commands.set_field, field=field, value=number)), as_json)
