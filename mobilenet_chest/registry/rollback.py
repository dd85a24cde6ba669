"""Rollback: an alias returns to the version that it pointed to before."""

from __future__ import annotations

import shlex

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.registry import package
from mobilenet_chest.registry.promotion import Promotion, check_names, previous_tag
from mobilenet_chest.registry.queue import alias_version, queue_slot, revoke_dead
from mobilenet_chest.registry.versions import unknown_model, versions_left
from mobilenet_chest.selection.evaluate import stored_intervals, stored_test_metrics
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking.store import as_tracking_lost, connect


@as_tracking_lost()
def rollback(name: str, alias: str = "champion", dry_run: bool = False) -> Promotion:
    """Move an alias back to the version that it pointed to before the current one.

    Each promotion records in its version which version the alias pointed to before. So two rollbacks go back two
    versions, and a promotion after a rollback records the version that the rollback chose. Before the alias moves,
    the version's files are compared with their digests, and the model must load and predict. The version that loses
    the alias stays in the registry.

    Args:
        name: Registered model.
        alias: The alias to move.
        dry_run: Check the version, and only report what would happen.

    Raises:
        TrackingError: There is no such model or alias, or the version's files are not those that were promoted.
        PromotionRefused: There is no version to go back to.
    """
    client = connect()
    check_names(name, alias)
    if not dry_run:
        revoke_dead(client, name)
    current = alias_version(client, name, alias)
    if current is None:
        missing = f"no registered model '{name}' with the alias '{alias}'"
        others = unknown_model(client, name)
        raise TrackingError(missing + (f"; {_way_out(client, name, alias)}" if others is None else others))
    target = _previous_version(client, name, alias, current)
    if dry_run:
        package.check_loads(client, target)
        plan = f"the alias '{alias}' would go back from version {current} to version {target.version}"
        return Promotion(name, None, alias, str(target.run_id), False, [plan])
    current, target = _move_back(client, name, alias, str(target.run_id))
    run_id = str(target.run_id)
    done = f"the alias '{alias}' went back from version {current} to version {target.version}, whose files are intact"
    test, run = stored_test_metrics(client, run_id), client.get_run(run_id)
    intervals = stored_intervals(client, run, "test", test) if test else {}
    return Promotion(name, str(target.version), alias, run_id, True, [done], test, accesses(client, run), intervals)


def _move_back(client: MlflowClient, name: str, alias: str, run_id: str) -> tuple[str, ModelVersion]:
    """Move the alias by compare and set; return the version that it left and the version that it points to now."""
    # this slot's version is never filled: leaving the block deletes it
    with queue_slot(client, name, run_id) as slot:
        while True:
            current = alias_version(client, name, alias)
            if current is None:
                raise PromotionRefused([f"the alias '{alias}' of '{name}' was removed meanwhile"])
            target = _previous_version(client, name, alias, current)
            package.check_loads(client, target)
            slot.check_held()
            if alias_version(client, name, alias) != current:
                continue
            client.set_registered_model_alias(name, alias, target.version)
            if alias_version(client, name, alias) == str(target.version):
                return current, target


def _previous_version(client: MlflowClient, name: str, alias: str, current: str) -> ModelVersion:
    previous = client.get_model_version(name, current).tags.get(previous_tag(alias))
    if not previous:
        raise PromotionRefused(
            [f"version {current} is the first that the alias '{alias}' of '{name}' pointed to: there is none to go "
             "back to"]
        )  # fmt: skip
    try:
        target = client.get_model_version(name, previous)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PromotionRefused(
            [f"version {previous} of '{name}', which the alias '{alias}' pointed to before version {current}, was "
             f"deleted; {_way_out(client, name, alias)}"]
        ) from error  # fmt: skip
    if not target.run_id:
        raise PromotionRefused(
            [f"version {previous} of '{name}' was made from no run: mobilenet-chest did not promote it"]
        )
    return target


def _way_out(client: MlflowClient, name: str, alias: str) -> str:
    """Return the versions that are left, and the line that gives the alias to the run of one."""
    line = f"mobilenet-chest promote RUN_ID --name {shlex.quote(name)} --alias {alias}"
    return f"{versions_left(client, name)}; to choose a run, type: {line}"
