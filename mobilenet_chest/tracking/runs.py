"""Finding finished runs and studies in MLflow, and reading back what they left."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrackingError, nearest
from mobilenet_chest.tracking.client import is_away
from mobilenet_chest.tracking.provenance import code_version
from mobilenet_chest.tracking.run_owners import living_owner
from mobilenet_chest.tracking.store import all_experiment_ids, masked, reason, tracking_uri
from mobilenet_chest.tracking.tags import CONFIRMED_RUN

RUN_ID = re.compile(r"[0-9a-f]{32}")

SINGLE_KINDS = ("train", "ensemble", "soup")
"""Tag ``kind`` of runs that stand for themselves, unlike trials, which their study stands for."""


def rows_digest(run: Run) -> str | None:
    """Of the validation rows, which figures are of; of training rows as well where a run is older than that tag."""
    tags = run.data.tags
    return tags.get("val_digest", tags.get("data_digest"))


@dataclass(frozen=True)
class Candidate:
    """A run to compare or promote, and the study it is the best or confirmed one of, if it was named by its study."""

    run: Run
    study: Run | None = None

    @property
    def run_id(self) -> str:
        """Of the run itself."""
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        """Of the study, or of the run."""
        return str(self.study.data.tags["study"] if self.study else self.run.info.run_name)


def get_run(client: MlflowClient, run_id: str) -> Run:
    """A run.

    Raises:
        TrackingError: There is none of this id, or the store is away.
    """
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):
            raise TrackingError(f"tracking store {masked(tracking_uri())} is away ({reason(error)})") from error
        raise TrackingError(
            f"no run {run_id} at {masked(tracking_uri())}; `mobilenet-chest compare` lists the ones there are"
        ) from error


def find_runs(client: MlflowClient, reference: str) -> list[Candidate]:
    """What a name on the command line stands for.

    Args:
        client: The tracking store.
        reference: A run id; else a study's name, which stands for its best complete trial; else an experiment's
            name, which stands for the best trials of its studies and all its finished single trainings.

    Raises:
        TrackingError: There is none of these, or nothing finished in it.
    """
    if RUN_ID.fullmatch(reference):
        return [_of_run(client, get_run(client, reference))]
    studies = search_runs(client, all_experiment_ids(client), "tags.kind = 'study'")
    named = [run for run in studies if run.data.tags.get("study") == reference]
    if named:
        return [best_of_study(client, named[0])]
    experiment = client.get_experiment_by_name(reference)
    if experiment is not None and experiment.lifecycle_stage == "active":
        found = find_all(client, [experiment.experiment_id])
        if not found:
            raise TrackingError(f"experiment '{reference}' has no finished run yet; wait, or run it again to go on")
        return found
    names = {run.data.tags.get("study", "") for run in studies} | {e.name for e in client.search_experiments()}
    known = ", ".join(sorted(names - {"", "Default"})) or "none yet: run sweep.py first"
    raise TrackingError(
        f"no run, study or experiment '{reference}' at {masked(tracking_uri())}{nearest(reference, names)} "
        f"(there are: {known})"
    )


def find_study(client: MlflowClient, name: str) -> Run:
    """A study's own run, by its name or run id.

    Raises:
        TrackingError: There is none.
    """
    studies = search_runs(client, all_experiment_ids(client), "tags.kind = 'study'")
    for run in studies:
        if name in (run.data.tags.get("study"), run.info.run_id):
            return run
    known = sorted({run.data.tags.get("study", "") for run in studies})
    raise TrackingError(
        f"no study '{name}' at {masked(tracking_uri())}{nearest(name, known)} "
        f"(there are: {', '.join(known) or 'none yet'})"
    )


def find_run(client: MlflowClient, reference: str) -> Candidate:
    """As :func:`find`, for commands that want a single run.

    Raises:
        TrackingError: It stands for several.
    """
    found = find_runs(client, reference)
    if len(found) > 1:
        names = ", ".join(f"{candidate.name} ({candidate.run_id})" for candidate in found[:5])
        raise TrackingError(f"'{reference}' stands for {len(found)} runs; name one of them: {names}")
    return found[0]


def find_all(client: MlflowClient, experiments: list[str]) -> list[Candidate]:
    """The best trial of each study, and each finished training, ensemble and soup."""
    found = []
    for study in search_runs(client, experiments, "tags.kind = 'study'"):
        if best := _best_trial(client, study):
            found.append(Candidate(best, study))
    for kind in SINGLE_KINDS:
        finished = f"tags.kind = '{kind}' AND attributes.status = 'FINISHED'"
        found += [Candidate(run) for run in search_runs(client, experiments, finished)]
    return found


def top_trials(client: MlflowClient, study: Run, count: int) -> list[Candidate]:
    """The best complete trials of a study, the best first.

    Raises:
        TrackingError: There are fewer.
    """
    ranked = ranked_trials(client, study)
    if len(ranked) < count:
        raise TrackingError(
            f"study '{study.data.tags.get('study')}' has {len(ranked)} complete trials, not {count}; continue it with "
            "sweep.py, or ask for fewer"
        )
    return [Candidate(run, study) for run in ranked[:count]]


def find_finished_training(
    client: MlflowClient, config: Config, data_digest: str, teacher: str | None = None
) -> Run | None:
    """The latest finished training of an equal experiment, on the same rows, with the same code and teacher."""
    found = find_finished_runs(client, config.experiment, _training_tags(config, data_digest))
    return next((run for run in found if run.data.tags.get("teacher") == teacher), None)


def find_unfinished_training(
    client: MlflowClient, config: Config, data_digest: str, teacher: str | None = None
) -> Run | None:
    """The latest training of an equal experiment that was interrupted or killed, as in :func:`finished_like`."""
    found = [
        run
        for status in ("KILLED", "RUNNING")
        for run in _with_status(client, config.experiment, _training_tags(config, data_digest), status)
        if run.data.tags.get("teacher") == teacher and living_owner(run) is None
    ]
    return max(found, key=lambda run: int(run.info.start_time), default=None)


def find_finished_runs(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> list[Run]:
    """Finished runs of an MLflow experiment that have these tags and were made with the same code."""
    return _with_status(client, experiment, tags, "FINISHED")


def _training_tags(config: Config, data_digest: str) -> dict[str, str]:
    return {"kind": "train", "config_digest": config.digest(), "data_digest": data_digest}


def _with_status(client: MlflowClient, experiment: str, tags: Mapping[str, str], status: str) -> list[Run]:
    known = client.get_experiment_by_name(experiment)
    if known is None or known.lifecycle_stage != "active":
        return []
    query = " AND ".join(f"tags.{name} = '{value}'" for name, value in {**tags, **code_version()}.items())
    return search_runs(client, [known.experiment_id], f"{query} AND attributes.status = '{status}'")


def best_of_study(client: MlflowClient, study: Run) -> Candidate:
    """The run that the study's confirmation has chosen; without one the complete trial with the best finite value of
    the study's metric, the earlier one where two are equal.

    Raises:
        TrackingError: No trial is complete.
    """
    best = _best_trial(client, study)
    if best is None:
        raise TrackingError(f"study '{study.data.tags.get('study')}' has no complete trial; continue it with sweep.py")
    return Candidate(best, study)


def _best_trial(client: MlflowClient, study: Run) -> Run | None:
    if (confirmed := study.data.tags.get(CONFIRMED_RUN)) and run_exists(client, confirmed):
        return client.get_run(confirmed)
    return next(iter(ranked_trials(client, study)), None)


def ranked_trials(client: MlflowClient, study: Run) -> list[Run]:
    """The complete trials of a study with a finite value of its metric, the best first."""
    metric, sign = study.data.tags["metric"], -1 if study.data.tags["direction"] == "maximize" else 1
    complete = [
        run
        for run in nested_runs(client, study.info.run_id)
        if run.data.tags.get("kind") == "trial"
        and run.data.tags.get("trial_state") == "COMPLETE"
        and math.isfinite(run.data.metrics.get(metric, math.nan))
    ]
    return sorted(complete, key=lambda run: (sign * run.data.metrics[metric], int(run.data.tags["trial"])))


def _of_run(client: MlflowClient, run: Run) -> Candidate:
    if run.data.tags.get("kind") == "study":
        return best_of_study(client, run)
    return Candidate(run)


def nested_runs(client: MlflowClient, parent: str) -> list[Run]:
    """All runs under a parent, however many pages they take."""
    experiment = client.get_run(parent).info.experiment_id
    return search_runs(client, [experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def search_runs(client: MlflowClient, experiments: list[str], filter_string: str) -> list[Run]:
    """Every run that matches, newest first; MLflow gives a page at a time."""
    runs: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


def run_exists(client: MlflowClient, run_id: str) -> bool:
    """Whether the store has the run, and it is not deleted."""
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
