"""Finding runs and studies in MLflow: by name, by tags, the best of a study."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.errors import TrackingError, nearest
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.client import is_away
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.store import all_experiment_ids, masked, reason, tracking_uri

RUN_ID = re.compile(r"[0-9a-f]{32}")

FIRST_DIGITS = re.compile(r"[0-9a-f]{4,31}")
"""First digits of an id, which name the run if no other begins with them."""

SHOWN_DIGITS = 8
"""First digits of a run's id that tables for people show."""

SINGLE_KINDS = (tags.TRAIN_KIND, tags.ENSEMBLE_KIND, tags.SOUP_KIND, tags.COMPRESSED_KIND)
"""Values of the tag ``kind`` of runs that are found by themselves; a trial is found by its study."""

STUDIES = f"tags.{tags.KIND} = '{tags.STUDY_KIND}'"
"""Filter of the runs of studies."""


@dataclass(frozen=True)
class Candidate:
    """A run to compare or promote.

    Attributes:
        run: The run.
        study: Its study, if the run was named by its study as the best or confirmed one.
    """

    run: Run
    study: Run | None = None

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        """Name of the study, or of the run if it was not named by its study."""
        return str(self.study.data.tags[tags.STUDY] if self.study else self.run.info.run_name)


def rows_digest(run: Run) -> str | None:
    """Return the digest of the validation rows; runs of early versions have one of training and validation rows."""
    return run.data.tags.get(tags.VAL_DIGEST, run.data.tags.get(tags.DATA_DIGEST))


def short_id(run_id: str | None) -> str:
    """Return the first digits of a run's id, for tables; nothing without an id."""
    return (run_id or "")[:SHOWN_DIGITS]


def full_id(client: MlflowClient, run_id: str) -> str:
    """Return the whole id of the run that its first digits name; anything else is returned as it is.

    Raises:
        TrackingError: Several runs begin with these digits, or the store is away.
    """
    try:
        run = _with_first_digits(client, run_id)
    except MlflowException as error:
        if is_away(error):
            raise _away(error) from error
        raise
    return run_id if run is None else str(run.info.run_id)


def _away(error: MlflowException) -> TrackingError:
    return TrackingError(f"tracking store {masked(tracking_uri())} is away ({reason(error)})")


def _with_first_digits(client: MlflowClient, digits: str) -> Run | None:
    if not FIRST_DIGITS.fullmatch(digits):
        return None
    return _only(search_runs(client, all_experiment_ids(client), f"attributes.run_id LIKE '{digits}%'"), digits)


def _only(runs: Sequence[Run], digits: str) -> Run | None:
    """Return the one run whose id begins with these digits, if there is one.

    Raises:
        TrackingError: There are several.
    """
    if len(runs) > 1:
        ids = ", ".join(str(run.info.run_id)[: len(digits) + 4] for run in runs[:5])
        raise TrackingError(f"the ids of {len(runs)} runs begin with {digits}: {ids}; give more digits")
    return runs[0] if runs else None


def get_run(client: MlflowClient, run_id: str) -> Run:
    """Return a run by its id, or by the first four or more digits of it that no other id begins with.

    Raises:
        TrackingError: There is no run of this id, several begin with these digits, or the store is away.
    """
    try:
        return _with_first_digits(client, run_id) or client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):
            raise _away(error) from error
        raise TrackingError(
            f"no run {run_id} at {masked(tracking_uri())}; `mobilenet-chest compare` lists the runs there"
        ) from error


def existing_run(client: MlflowClient, run_id: str | None) -> Run | None:
    """Return a run, also one in the trash; ``None`` where it was deleted for good, or there is no run id."""
    try:
        return client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def run_exists(client: MlflowClient, run_id: str) -> bool:
    """Return whether the store has the run, not deleted."""
    run = existing_run(client, run_id)
    return run is not None and bool(run.info.lifecycle_stage == "active")


def search_runs(client: MlflowClient, experiments: list[str], filter_string: str) -> list[Run]:
    """Return every run of the experiments that matches, newest first; MLflow gives a page at a time."""
    runs: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


def nested_runs(client: MlflowClient, parent: str) -> list[Run]:
    """Return all runs that are nested under a run, newest first."""
    experiment = client.get_run(parent).info.experiment_id
    return search_runs(client, [experiment], f"tags.`{tags.PARENT_RUN}` = '{parent}'")


def find_runs(client: MlflowClient, reference: str) -> list[Candidate]:
    """Return the runs that a name on the command line means.

    Args:
        client: The tracking store.
        reference: A run id or its first digits, or the name of a study, which means its best complete trial, or the
            name of an experiment, which means the best trials of its studies and all its finished single trainings.
            A name goes before first digits.

    Raises:
        TrackingError: There is none of these, or it has no finished run.
    """
    if RUN_ID.fullmatch(reference):
        return [_candidate(client, get_run(client, reference))]
    studies = search_runs(client, all_experiment_ids(client), STUDIES)
    for study in studies:
        if study.data.tags.get(tags.STUDY) == reference:
            return [best_of_study(client, study)]
    experiment = client.get_experiment_by_name(reference)
    _check_not_deleted(client, reference)
    if experiment is not None and experiment.lifecycle_stage == "active":
        candidates = find_all(client, [experiment.experiment_id])
        if not candidates:
            raise TrackingError(f"experiment '{reference}' has no finished run yet; wait, or run it again to continue")
        return candidates
    if run := _with_first_digits(client, reference):
        return [_candidate(client, run)]
    names = {run.data.tags.get(tags.STUDY, "") for run in studies} | {e.name for e in client.search_experiments()}
    listed = ", ".join(sorted(names - {"", "Default"})) or "none yet: run sweep.py first"
    raise TrackingError(
        f"no run, study or experiment '{reference}' at {masked(tracking_uri())}{nearest(reference, names)} "
        f"(there are: {listed})"
    )


def _candidate(client: MlflowClient, run: Run) -> Candidate:
    return best_of_study(client, run) if run.data.tags.get(tags.KIND) == tags.STUDY_KIND else Candidate(run)


def _check_not_deleted(client: MlflowClient, name: str) -> None:
    """Raise where the only run of a study of this name is in MLflow's trash."""
    ids = all_experiment_ids(client)
    deleted = client.search_runs(ids, STUDIES, run_view_type=ViewType.DELETED_ONLY, max_results=1000)
    for study in deleted:
        if study.data.tags.get(tags.STUDY) == name:
            raise TrackingError(
                f"the run of study '{name}' is deleted in MLflow; bring it back with: mlflow runs restore --run-id "
                f"{study.info.run_id}; or run the study's sweep again, which makes a new one with all its trials"
            )


def find_run(client: MlflowClient, reference: str) -> Candidate:
    """Return the one run that a name on the command line means, as :func:`find_runs`.

    Raises:
        TrackingError: There is none, or the name means several runs.
    """
    candidates = find_runs(client, reference)
    if len(candidates) > 1:
        names = ", ".join(f"{candidate.name} ({short_id(candidate.run_id)})" for candidate in candidates[:5])
        raise TrackingError(f"'{reference}' means {len(candidates)} runs; name one of them: {names}")
    return candidates[0]


def find_all(client: MlflowClient, experiments: list[str]) -> list[Candidate]:
    """Return the best trial of each study, and each finished training, ensemble, soup and compressed model."""
    candidates = []
    for study in search_runs(client, experiments, STUDIES):
        if best := _best_trial(client, study):
            candidates.append(Candidate(best, study))
    for kind in SINGLE_KINDS:
        finished = f"tags.{tags.KIND} = '{kind}' AND attributes.status = 'FINISHED'"
        candidates += [Candidate(run) for run in search_runs(client, experiments, finished)]
    return candidates


def find_study(client: MlflowClient, name: str) -> Run:
    """Return the run of a study, by the study's name, or by the run's id or its first digits.

    Raises:
        TrackingError: There is none.
    """
    studies = search_runs(client, all_experiment_ids(client), STUDIES)
    for run in studies:
        if name in (run.data.tags.get(tags.STUDY), run.info.run_id):
            return run
    starting = [run for run in studies if FIRST_DIGITS.fullmatch(name) and run.info.run_id.startswith(name)]
    if (study := _only(starting, name)) is not None:
        return study
    names = sorted({run.data.tags.get(tags.STUDY, "") for run in studies})
    raise TrackingError(
        f"no study '{name}' at {masked(tracking_uri())}{nearest(name, names)} "
        f"(there are: {', '.join(names) or 'none yet'})"
    )


def best_of_study(client: MlflowClient, study: Run) -> Candidate:
    """Return the run that a study's confirmation has chosen, or else its best trial.

    The best trial is complete and has the best finite value of the study's metric; of two equal ones the earlier.

    Raises:
        TrackingError: No trial is complete.
    """
    best = _best_trial(client, study)
    if best is None:
        name, violating = study.data.tags.get(tags.STUDY), any(map(_violates, nested_runs(client, study.info.run_id)))
        which = "complete trial that meets its constraints" if violating else "complete trial"
        raise TrackingError(f"study '{name}' has no {which}; continue it with sweep.py")
    return Candidate(best, study)


def top_trials(client: MlflowClient, study: Run, count: int) -> list[Candidate]:
    """Return the ``count`` best complete trials of a study, the best first.

    Raises:
        TrackingError: There are fewer.
    """
    ranked = ranked_trials(client, study)
    if len(ranked) < count:
        raise TrackingError(
            f"study '{study.data.tags.get(tags.STUDY)}' has {len(ranked)} complete trials, not {count}; continue it "
            "with sweep.py, or ask for fewer"
        )
    return [Candidate(run, study) for run in ranked[:count]]


def _best_trial(client: MlflowClient, study: Run) -> Run | None:
    if (confirmed := study.data.tags.get(tags.CONFIRMED_RUN)) and run_exists(client, confirmed):
        return client.get_run(confirmed)
    return next(iter(ranked_trials(client, study)), None)


def _violates(run: Run) -> bool:
    return run.data.tags.get(tags.CONSTRAINTS, "").startswith(tags.VIOLATED)


def ranked_trials(client: MlflowClient, study: Run) -> list[Run]:
    """Return the complete trials of a study that have a finite value of its metric, the best first.

    Trials that violate a constraint of the study are left out.
    """
    metric, direction = study.data.tags[tags.METRIC], cast(Direction, study.data.tags[tags.DIRECTION])
    complete = [
        run
        for run in nested_runs(client, study.info.run_id)
        if run.data.tags.get(tags.KIND) == tags.TRIAL_KIND
        and run.data.tags.get(tags.TRIAL_STATE) == "COMPLETE"
        and not _violates(run)
        and math.isfinite(metrics_of(run).get(metric, math.nan))
    ]

    def rank(run: Run) -> tuple[float, int]:
        score: float = as_score(metrics_of(run)[metric], direction)
        return -score, int(run.data.tags[tags.TRIAL])

    return sorted(complete, key=rank)
