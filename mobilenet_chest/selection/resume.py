"""Going on with an interrupted training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.evaluate import same_rows
from mobilenet_chest.selection.runs import artifact, get_run
from mobilenet_chest.tracking.store import connect


@contextmanager
def last_checkpoint(run_id: str, config: Config) -> Iterator[Path]:
    """The ``last.pt`` of an interrupted run, for the length of the block.

    Raises:
        TrackingError: No such run, it is finished, it left no ``last.pt``, or the data has changed.
        ConfigError: The run was made from another experiment.
    """
    client = connect()
    run = get_run(client, run_id)
    if run.info.status == "FINISHED":
        raise TrackingError(f"--resume {run_id}: the run is finished; there is nothing to go on with")
    if run.data.tags.get("config_digest") != config.digest():
        raise ConfigError(
            [
                f"--resume {run_id}: made from another experiment (digest {run.data.tags.get('config_digest')}, here "
                f"{config.digest()}); give the same file and overrides as then"
            ]
        )
    same_rows(run, config)
    with artifact(client, run, "checkpoints/last.pt") as path:
        yield path
