"""The command ``study add``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done
from mobilenet_chest.cli.options import Json, Storage, StudyName
from mobilenet_chest.config.loading import split_override
from mobilenet_chest.sweep import commands


def add(
    study: StudyName,
    values: Annotated[list[str], typer.Argument(metavar="key=value ...", help="Values of searched fields.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Queue a configuration in a study.

    It runs next, after what is queued already. The sampler gives the searched fields that are left out.

    Example: mobilenet-chest study add quickstart model.dropout=0.4
    """
    with exit_codes():
        given = dict(map(split_override, values))
        print_done(commands.command(study, storage, partial(commands.add, values=given)), as_json)
