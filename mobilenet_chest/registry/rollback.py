"""An alias goes back to where it stood before."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import PromotionRefused, TrackingError, nearest
from mobilenet_chest.registry import package
from mobilenet_chest.registry.promote import Promotion, check_names, previous_tag
from mobilenet_chest.registry.queue import alias_version, queue_slot, revoke_dead
from mobilenet_chest.selection.evaluate import stored_intervals, stored_test_metrics
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking.store import as_tracking_lost, connect


@as_tracking_lost()
def rollback(name: str, alias: str = "champion", dry_run: bool = False) -> Promotion:
    """Move an alias back to the version that it stood at before the one it stands at.

    Each promotion notes in its version what it took the alias from, so doing it twice goes back two; a promotion
    after it notes the version gone back to. The version's files are compared with their digests, and it is loaded
    and predicts, before the alias moves. The one that is left stays in the registry.

    Args:
        name: Registered model.
        alias: The alias to move.
        dry_run: Check the version, and only say what would happen.

    Raises:
        TrackingError: No such model or alias, or the version's files are not those that were promoted.
        PromotionRefused: There is no version to go back to.
    """
    client = connect()
    check_names(name, alias)
    if not dry_run:
        revoke_dead(client, name)
    current = alias_version(client, name, alias)
    if current is None:
        names = [model.name for model in client.search_registered_models()]
        raise TrackingError(
            f"no registered model '{name}' with the alias '{alias}'{nearest(name, names)} (registered: "
            f"{', '.join(sorted(names)) or 'none yet'})"
        )
    target = _before(client, name, alias, current)
    if dry_run:
        package.check_loads(client, target)
        would = f"the alias '{alias}' would go back from version {current} to version {target.version}"
        return Promotion(name, None, alias, str(target.run_id), False, [would])
    # its own version in the queue is never filled: leaving the block takes it back
    with queue_slot(client, name, str(target.run_id)) as mine:
        while True:
            current = alias_version(client, name, alias)
            if current is None:
                raise PromotionRefused([f"the alias '{alias}' of '{name}' was removed in this moment"])
            target = _before(client, name, alias, current)
            package.check_loads(client, target)
            mine.check()
            if alias_version(client, name, alias) != current:
                continue
            client.set_registered_model_alias(name, alias, target.version)
            if alias_version(client, name, alias) == str(target.version):
                break
    done = [f"{alias} went back from version {current} to version {target.version}, which is whole and loads"]
    run = client.get_run(str(target.run_id))
    figures = stored_test_metrics(client, str(target.run_id))
    intervals = stored_intervals(client, run, "test", figures) if figures else {}
    return Promotion(name, str(target.version), alias, str(target.run_id), True, done, figures, accesses(client, run),
                     intervals)  # fmt: skip


def _before(client: MlflowClient, name: str, alias: str, current: str) -> ModelVersion:
    previous = client.get_model_version(name, current).tags.get(previous_tag(alias))
    if not previous:
        raise PromotionRefused([f"version {current} is the first that was promoted to {alias} of '{name}': there is "
                                "none to go back to"])  # fmt: skip
    try:
        target = client.get_model_version(name, previous)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PromotionRefused([f"version {previous} of '{name}', which was {alias} before version {current}, is no "
                                "longer registered"]) from error  # fmt: skip
    if not target.run_id:
        raise PromotionRefused([f"version {previous} of '{name}' was made from no run: not promoted by this tool"])
    return target
