"""The commands ``study …``: a hand on a sweep that runs in another shell, or on another machine.

They are a group of their own, not words behind ``sweep``: that takes a file, which may have any name.
"""

from __future__ import annotations

from mobilenet_chest.cli.lazy import lazy_group

COMMANDS = {
    "pause": "Have the workers of a study save their trials and wait.",
    "resume": "Have the workers of a paused study go on.",
    "stop": "Stop the sweeps of a study, or one of its trials.",
    "add": "Queue a configuration in a study.",
    "set": "Change the number of a study's trials.",
}

group = lazy_group(__name__, "Pause, resume, stop and change the sweep of a study.", {"Commands": COMMANDS})
