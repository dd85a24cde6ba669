"""The claims about the sealed test split and cohorts: put on record before the opening, and answered by it.

Claim n of a study is the parameter ``test_claim_n`` of the study's run, as an access is in
:mod:`~mobilenet_chest.selection.ledger`: MLflow lets nobody change or remove a parameter. It holds the claim and its
SHA-256. Every access names the hashes of the claims that were on record before it. So a claim that was made later, or
edited in the store's database, is told from those. The answer follows in ``test_claim_n_answer``. Claims about cohorts
are numbered by themselves, ``cohort_claim_n``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.config.plugin_files import named_in
from mobilenet_chest.evaluation.claim import Condition, chance_false, measured, rule_verdict
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.access import Access, cohort_prefix
from mobilenet_chest.selection.claim import NOT_HASHED, Answer, Claim, Measured, claim_hash
from mobilenet_chest.selection.ledger import (
    CLAIM,
    accesses,
    all_accesses,
    all_cohort_accesses,
    cohort_accesses,
    find_recorded,
    log_once,
)
from mobilenet_chest.selection.record_runs import record_runs
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import get_run, nested_runs, search_runs
from mobilenet_chest.tracking.store import all_experiment_ids

TEST, COHORT = "test_claim", "cohort_claim"
"""What the parameters of claims about the test split, and about cohorts, begin with."""


def log_claim(client: MlflowClient, run: Run, claim: Claim) -> Claim:
    """Put a claim on record under the next free number of each study that its run belongs to, and return it."""
    fields = {name: value for name, value in asdict(claim).items() if name not in NOT_HASHED}
    if claim.cohort is None:
        del fields["cohort"]  # versions without claims about cohorts know no such field
    sha256, kind = claim_hash(fields), TEST if claim.cohort is None else COHORT
    for owner in record_runs(client, run):
        logged = False
        while not logged:  # another process may have taken the number
            taken = [number for name, number in _numbers(client.get_run(owner)).items() if name.startswith(kind)]
            entry = f"{kind}_{1 + max(taken, default=0)}"
            logged = log_once(client, owner, entry, json.dumps({"sha256": sha256, "claim": fields}))
    return next(claim for claim in claims(client, run) if claim.sha256 == sha256)


def claims(client: MlflowClient, run: Run) -> list[Claim]:
    """Return the claims of the run's study, or of the run itself without a study, the oldest first."""
    return _claims(record_runs(client, run).values(), _openings(client, run))


def find_claims(client: MlflowClient, reference: str) -> list[Claim]:
    """Return :func:`claims` for a run id or the name of a study.

    Raises:
        TrackingError: There is no such run or study.
    """
    return claims(client, find_recorded(client, reference))


def all_claims(client: MlflowClient) -> list[Claim]:
    """Return every claim in the tracking store, the oldest first."""
    recorded = {
        claim.sha256: claim
        for owner in _owners(client, TEST, COHORT)
        for claim in _claims([owner], _openings(client, owner))
    }
    return sorted(recorded.values(), key=lambda claim: claim.when)


def claimed_cohorts(client: MlflowClient) -> list[tuple[str, str]]:
    """Return name and digest of the cohort of each claim about a cohort in the tracking store."""
    owners = _owners(client, COHORT)
    entries = [json.loads(owner.data.params[name])["claim"] for owner in owners for name in _numbers(owner)]
    return [(entry["cohort"], entry["digest"]) for entry in entries if "cohort" in entry]


def _owners(client: MlflowClient, *kinds: str) -> list[Run]:
    """Return every run that keeps claims of some kinds."""
    found = [
        owner for kind in kinds for owner in search_runs(client, all_experiment_ids(client), f"params.{kind}_1 != ''")
    ]
    return list({owner.info.run_id: owner for owner in found}.values())


def _openings(client: MlflowClient, run: Run) -> list[Access]:
    return accesses(client, run) + cohort_accesses(client, run)


def _numbers(owner: Run) -> dict[str, int]:
    """Return the number of each claim that a run keeps, by its parameter, the smallest first."""
    found = {name: int(match[1]) for name in owner.data.params if (match := CLAIM.fullmatch(name))}
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


def _claims(owners: Iterable[Run], openings: Sequence[Access]) -> list[Claim]:
    recorded: dict[str, Claim] = {}
    for owner in owners:
        params = owner.data.params
        for name, number in _numbers(owner).items():
            entry = json.loads(params[name])
            sha256 = claim_hash(entry["claim"])
            answer = json.loads(params.get(f"{name}_answer", "null"))
            fields = entry["claim"] | {
                "conditions": [Condition(**condition) for condition in entry["claim"]["conditions"]],
                "images": tuple(entry["claim"]["images"]),
            }
            recorded[entry["sha256"]] = Claim(
                number=number,
                sha256=entry["sha256"],
                edited=sha256 != entry["sha256"] or (answer is not None and answer["sha256"] != sha256),
                openings_before=sum(
                    entry["sha256"][:16] not in access.claims for access in openings if _opens(access, fields)
                ),
                answer=None if answer is None else _read_answer(answer),
                **fields,
            )
    return sorted(recorded.values(), key=lambda claim: claim.when)


def _opens(access: Access, claim: Mapping[str, Any]) -> bool:
    """Return whether an access shows what a claim is about: the test split, or the rows of its cohort."""
    if claim.get("cohort") is None:
        return access.cohort is None
    return access.cohort is not None and access.digest == claim["digest"]


def _read_answer(stored: Mapping[str, Any]) -> Answer:
    return Answer(**{**stored, "conditions": [Measured(**each) for each in stored["conditions"]]})


def answer_claims(
    client: MlflowClient, run: Run, predictions: Predictions, digest: str, cohort: str | None = None
) -> list[Claim]:
    """Answer each claim of a run that has no answer about what was opened; return its study's claims about that.

    A claim that was edited, or that is about other test rows, is not answered.

    Args:
        client: Client of the tracking store.
        run: The run that was scored.
        predictions: Of the test split, or the cohort.
        digest: Of its rows, first 16 hex digits.
        cohort: Name of the cohort; ``None`` for the test split.
    """
    recorded = [claim for claim in claims(client, run) if claim.cohort == cohort]
    for claim in recorded:
        if claim.run_id == run.info.run_id and claim.answer is None and not claim.edited and claim.digest == digest:
            answer = _answer(client, run, claim, len(recorded), predictions)
            for owner in record_runs(client, run).values():
                for name in _numbers(owner):
                    if json.loads(owner.data.params[name])["sha256"] == claim.sha256:
                        log_once(client, owner.info.run_id, f"{name}_answer", json.dumps(asdict(answer)))
    return [claim for claim in claims(client, run) if claim.cohort == cohort]


def at_threshold(run: Run, predictions: Predictions, threshold: float) -> RunPredictions:
    """Return the predictions of a run as a claim sees them: at the claim's threshold, whatever the run's is now."""
    return replace(run_predictions(run, predictions), metrics={"threshold": threshold})


def _answer(client: MlflowClient, run: Run, claim: Claim, count: int, predictions: Predictions) -> Answer:
    split, other = "test" if claim.cohort is None else cohort_prefix(claim.cohort), None
    if claim.against is not None and claim.against_threshold is not None:
        against = get_run(client, claim.against)
        table = stored_predictions(client, against, split)
        other = at_threshold(against, predictions_from_table(table), claim.against_threshold)
    with plugins.using(named_in({"plugins": json.loads(run.data.params.get("plugins", "[]"))})):
        values = measured(claim.conditions, split, at_threshold(run, predictions, claim.threshold), other)
    verdicts = [condition.verdict(value) for condition, value in zip(claim.conditions, values, strict=True)]
    verdict = rule_verdict(verdicts)
    every = all_accesses(client) if claim.cohort is None else all_cohort_accesses(client)
    openings = [access for access in every if access.digest == claim.digest and access.when]
    first = min((str(access.when) for access in openings), default="")
    trials, after = _trials(client, run, first)
    tries = len(openings) + after + count - 1
    return Answer(
        verdict=verdict,
        conditions=[
            Measured(condition.text, value.value, value.low, value.high, each)
            for condition, value, each in zip(claim.conditions, values, verdicts, strict=True)
        ],
        images=len(predictions.row),
        openings=len(openings),
        trials=trials,
        trials_after=after,
        claims=count,
        tries=tries,
        chance_false=chance_false(tries, claim.power) if verdict == "held" and claim.power is not None else None,
        when=max((str(access.when) for access in openings if access.run_id == claim.run_id), default=None),
        sha256=claim.sha256,
    )


def _trials(client: MlflowClient, run: Run, first: str) -> tuple[int, int]:
    """Return how many finished trainings the run was chosen from, and how many of them began after a time (ISO)."""
    after = datetime.fromisoformat(first).timestamp() * 1000 if first else float("inf")
    trained: dict[str, Run] = {}
    for owner in record_runs(client, run).values():
        if owner.data.tags.get(tags.KIND) != tags.STUDY_KIND:
            trained[owner.info.run_id] = owner
            continue
        for each in nested_runs(client, owner.info.run_id):
            if each.data.tags.get(tags.KIND) in (tags.TRIAL_KIND, tags.CONFIRM_KIND):
                trained[each.info.run_id] = each
    finished = [each for each in trained.values() if each.info.status == "FINISHED"]
    return len(finished), sum(each.info.start_time > after for each in finished)
