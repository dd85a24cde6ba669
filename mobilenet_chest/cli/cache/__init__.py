"""The commands ``cache …``."""

from __future__ import annotations

from mobilenet_chest.cli.lazy import lazy_group

COMMANDS = {
    "ls": "List what is cached, and how much room it takes.",
    "clear": "Remove all of it, except what is being written now.",
}

group = lazy_group(__name__, "List and remove what was computed for later trials.", {"Commands": COMMANDS})
