"""The command ``study pause``."""

from __future__ import annotations

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import print_done
from mobilenet_chest.cli.options import Json, Storage, StudyName
from mobilenet_chest.sweep import commands


def pause(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Have the workers of a study save their trials and wait.

    Each worker obeys within an epoch, on every machine; what was trained is kept.

    Example: mobilenet-chest study pause quickstart
    """
    with exit_codes():
        print_done(commands.command(study, storage, commands.pause), as_json)
