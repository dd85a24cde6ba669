"""Finding the point from which an unfinished training can be resumed."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.evaluate import check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import ResumePoint, has_onnx_checkpoint, resume_point, run_config
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.parents import training_labels
from mobilenet_chest.tracking.run_owners import living_owner
from mobilenet_chest.tracking.runs import full_id, get_run, short_id
from mobilenet_chest.tracking.store import connect


def find_resume_point(run_id: str, config: Config) -> ResumePoint | None:
    """Return the resume point of an unfinished run; ``None`` where it died before its first checkpoint.

    Args:
        run_id: The run.
        config: The experiment, which must be the run's own.

    Raises:
        TrackingError: There is no such run; or it is finished, a trial of a study, or owned by a living process; or the
            data changed.
        ConfigError: The run was made from another experiment.
    """
    client = connect()
    run_id = full_id(client, run_id)
    process_outbox().flush_run(run_id)  # how the run ended may be a pending write on this disk
    run = get_run(client, run_id)
    if run.info.status == "FINISHED":
        raise TrackingError(f"--resume {short_id(run_id)}: the run is finished; there is nothing to resume")
    kind = run.data.tags.get(tags.KIND)
    if has_onnx_checkpoint(run):
        method, original = run.data.tags.get(tags.COMPRESSION), short_id(run.data.tags.get(tags.PARENT_RUN))
        raise TrackingError(
            f"--resume {short_id(run_id)}: is a compressed model, not a training; to make it again, type: "
            f"mobilenet-chest compress {original} --method {method}"
        )
    if any(run.data.tags.get(name) != value for name, value in training_labels(config).items()):
        raise TrackingError(
            f"--resume {short_id(run_id)}: is a {kind or 'run of other code'}, not a training; to resume a "
            "study, run the same "
            "sweep.py command again"
        )
    if owner := living_owner(run):
        raise TrackingError(
            f"--resume {short_id(run_id)}: process {owner['pid']} on {owner['host']} is training it; wait for "
            "it, or stop it"
        )
    digest = run.data.tags.get(tags.CONFIG_DIGEST)
    if digest != config.digest():
        _check_same_plugins(client, run, config)
        raise ConfigError(
            [
                f"--resume {short_id(run_id)}: made from another experiment (digest {digest}, this one has "
                f"{config.digest()}); "
                "give the file and overrides that the run was made from"
            ]
        )
    check_same_rows(run, config)
    return resume_point(client, run)


def _check_same_plugins(client: MlflowClient, run: Run, config: Config) -> None:
    """Check that an experiment has the plugins that a run was made with.

    Raises:
        ConfigError: It has others.
    """
    made_with, named = run_config(client, run).plugins, {plugin.sha256 for plugin in config.plugins}
    missing = [plugin for plugin in made_with if plugin.sha256 not in named]
    if missing or len(made_with) != len(config.plugins):
        what = (
            f"with the plugin {missing[0].path.name} of sha256 {missing[0].sha256[:12]}" if missing
            else "without these plugins" if not made_with else "with other plugins"
        )  # fmt: skip
        raise ConfigError(
            [
                f"--resume {short_id(run.info.run_id)}: made {what}, and never takes code from a run; name "
                "the same files again"
            ]
        )
