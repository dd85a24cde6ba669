"""The command ``study stop``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done
from mobilenet_chest.cli.options import Json, Storage, StudyName
from mobilenet_chest.sweep import commands


def stop(
    study: StudyName,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", help="One trial, instead of the sweeps.")] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Stop the sweeps of a study, or one of its trials.

    A stopped sweep keeps what it has, as after Ctrl-C, and the same sweep command continues it. A stopped trial ends
    after its epoch as pruned; one that is queued is not run.

    Example: mobilenet-chest study stop quickstart 3
    """
    with exit_codes():
        action = commands.stop if trial is None else partial(commands.stop_trial, number=trial)
        print_done(commands.command(study, storage, action), as_json)
