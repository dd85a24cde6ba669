"""Going on with an unfinished training."""

from __future__ import annotations

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.evaluate import check_same_rows
from mobilenet_chest.tracking.artifacts import ResumePoint, resume_point
from mobilenet_chest.tracking.outbox.delivery import flush_run
from mobilenet_chest.tracking.run_owners import living_owner
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect


def find_resume_point(run_id: str, config: Config) -> ResumePoint | None:
    """Where an unfinished run of this experiment stands; none where it died before its first epoch was kept.

    Raises:
        TrackingError: No such run, it is finished, a trial of a study or in the hands of a living process, or the data
            has changed.
        ConfigError: The run was made from another experiment.
    """
    client = connect()
    flush_run(run_id)  # how it ended may wait on the disk
    run = get_run(client, run_id)
    tags = run.data.tags
    if run.info.status == "FINISHED":
        raise TrackingError(f"--resume {run_id}: the run is finished; there is nothing to go on with")
    if tags.get("kind") != "train":
        raise TrackingError(
            f"--resume {run_id}: a {tags.get('kind', 'run of other code')}, not a training; a study goes on with the "
            "same sweep.py command"
        )
    if owner := living_owner(run):
        raise TrackingError(
            f"--resume {run_id}: process {owner['pid']} on {owner['host']} is training it; wait for it, or stop it"
        )
    if tags.get("config_digest") != config.digest():
        raise ConfigError(
            [
                f"--resume {run_id}: made from another experiment (digest {tags.get('config_digest')}, here "
                f"{config.digest()}); give the same file and overrides as then"
            ]
        )
    check_same_rows(run, config)
    return resume_point(client, run)
