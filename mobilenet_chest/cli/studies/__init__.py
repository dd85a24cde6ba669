"""The commands ``studies …``: what studies have found, in files for other stores."""

from __future__ import annotations

from mobilenet_chest.cli.lazy import lazy_group

COMMANDS = {
    "export": "Write what studies have found to a file, without images or paths.",
    "import": "Add the studies of a file, for study.learn_from.",
}

group = lazy_group(__name__, "Carry finished studies to other stores, to learn from.", {"Commands": COMMANDS})
