"""The command ``repair``."""

from __future__ import annotations

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.options import Json, Storage
from mobilenet_chest.errors import NotDelivered
from mobilenet_chest.sweep.repair import repair as reconcile
from mobilenet_chest.tracking.outbox.outbox import pending_summary, process_outbox


def repair(storage: Storage = None, as_json: Json = False) -> None:
    """Send pending writes to MLflow, and bring MLflow and Optuna into agreement.

    It can be run at any time.

    Example: mobilenet-chest repair
    """
    with exit_codes():
        done = reconcile(storage)
        if as_json:
            print_json({"done": done})
        else:
            for text in done or ["nothing to repair"]:
                line(text)
        if pending := process_outbox().pending():
            raise NotDelivered(pending_summary(pending))
