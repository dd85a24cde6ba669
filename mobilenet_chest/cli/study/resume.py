"""The command ``study resume``."""

from __future__ import annotations

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done
from mobilenet_chest.cli.options import Json, Storage, StudyName
from mobilenet_chest.sweep import commands


def resume(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Have the workers of a paused study go on.

    Example: mobilenet-chest study resume quickstart
    """
    with exit_codes():
        print_done(commands.command(study, storage, commands.resume), as_json)
