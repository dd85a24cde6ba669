"""The claims about the sealed test split: put on record before it is opened, and answered when it is.

Claim n of a study is the parameter ``test_claim_n`` of the study's run, as an access is in
:mod:`~mobilenet_chest.selection.ledger`: MLflow lets nobody change or remove a parameter. It holds the claim and its
SHA-256. Every access names the hashes of the claims that were on record before it. So a claim that was made later, or
edited in the store's database, is told from those. The answer follows in ``test_claim_n_answer``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.config.formats import times
from mobilenet_chest.config.plugin_files import named_in
from mobilenet_chest.evaluation.claim import Condition, Verdict, chance_false, measured, rule_verdict
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.ledger import CLAIM, accesses, all_accesses, find_recorded, log_once
from mobilenet_chest.selection.record_runs import record_runs
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import get_run, nested_runs, search_runs
from mobilenet_chest.tracking.store import all_experiment_ids


@dataclass(frozen=True)
class Measured:
    """A condition of a rule with its value on the test split, the ends of its 95% interval, and the verdict."""

    rule: str
    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What the test split said to a claim.

    Attributes:
        verdict: ``held``, ``not held`` or ``not decidable``.
        conditions: What was measured of each condition.
        images: Images of the split.
        openings: How often these test rows were opened in the whole store, this time included.
        trials: Trainings of the study that had ended well.
        trials_after: Those of them that began after the rows were first opened, so that results on them were known.
        claims: Claims of the study, this one included.
        tries: ``openings`` + ``trials_after`` + the other claims.
        chance_false: :func:`~mobilenet_chest.evaluation.claim.chance_false` of a claim that held; ``None`` of others,
            and where the power is unknown.
        when: Time of the access that answered it.
        sha256: Of the claim as it was answered.
    """

    verdict: Verdict
    conditions: list[Measured]
    images: int
    openings: int
    trials: int
    trials_after: int
    claims: int
    tries: int
    chance_false: float | None
    when: str | None
    sha256: str

    @property
    def text(self) -> str:
        """What people read of the verdict."""
        return f"not decidable with {self.images} images" if self.verdict == "not decidable" else self.verdict

    @property
    def tried(self) -> str:
        """What counts as a try."""
        return (
            f"of {self.tries} {'try' if self.tries == 1 else 'tries'}: test rows opened {times(self.openings)}, "
            f"{self.trials_after} of {self.trials} trainings begun after the first opening, other claims "
            f"{self.claims - 1}"
        )


@dataclass(frozen=True)
class Claim:
    """A claim on record. The attributes are the keys of ``claim --json``.

    Attributes:
        number: In its study, from 1.
        rule: As :func:`~mobilenet_chest.evaluation.claim.rule_text` writes it.
        conditions: Of the rule.
        run_id: The run that it is about.
        threshold: Smallest probability of class 1, as validation chose it.
        digest: Of the test rows, 16 hex digits.
        images: Of class 0 and class 1 in the test split.
        against: Run to compare with, or ``None``.
        against_threshold: Its threshold.
        analysis: How values and intervals are computed.
        power: Chance that the split answers *held* if its images are like those of validation; ``None`` where that
            cannot be computed.
        study: Name of the study, or ``None``.
        when: UTC in ISO 8601.
        who: ``user@host``.
        token: Tells it from a claim of the same words.
        sha256: Hash (64 hex digits) that was logged with the claim.
        edited: Whether the claim on record is no longer the one that was logged or answered.
        openings_before: Accesses of the study that were made before it; a claim with any was not made in advance.
        answer: ``None`` while its run was not scored.
    """

    number: int
    rule: str
    conditions: list[Condition]
    run_id: str
    threshold: float
    digest: str
    images: tuple[int, int]
    against: str | None
    against_threshold: float | None
    analysis: dict[str, Any]
    power: float | None
    study: str | None
    when: str
    who: str
    token: str
    sha256: str = ""
    edited: bool = False
    openings_before: int = 0
    answer: Answer | None = field(default=None)


NOT_HASHED = ("number", "sha256", "edited", "openings_before", "answer")
"""What is not part of a claim, but of where it stands and what came after."""


def claim_hash(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a claim's fields: all but those of :data:`NOT_HASHED`."""
    hashed = {name: value for name, value in fields.items() if name not in NOT_HASHED}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def log_claim(client: MlflowClient, run: Run, claim: Claim) -> Claim:
    """Put a claim on record under the next free number of each study that its run belongs to, and return it."""
    fields = {name: value for name, value in asdict(claim).items() if name not in NOT_HASHED}
    sha256 = claim_hash(fields)
    for owner in record_runs(client, run):
        logged = False
        while not logged:  # another process may have taken the number
            number = 1 + max(_numbers(client.get_run(owner)), default=0)
            logged = log_once(client, owner, f"test_claim_{number}", json.dumps({"sha256": sha256, "claim": fields}))
    return next(claim for claim in claims(client, run) if claim.sha256 == sha256)


def claims(client: MlflowClient, run: Run) -> list[Claim]:
    """Return the claims of the run's study, or of the run itself without a study, the oldest first."""
    return _claims(record_runs(client, run).values(), accesses(client, run))


def find_claims(client: MlflowClient, reference: str) -> list[Claim]:
    """Return :func:`claims` for a run id or the name of a study.

    Raises:
        TrackingError: There is no such run or study.
    """
    return claims(client, find_recorded(client, reference))


def all_claims(client: MlflowClient) -> list[Claim]:
    """Return every claim in the tracking store, the oldest first."""
    owners = search_runs(client, all_experiment_ids(client), "params.test_claim_1 != ''")
    recorded = {claim.sha256: claim for owner in owners for claim in _claims([owner], accesses(client, owner))}
    return sorted(recorded.values(), key=lambda claim: claim.when)


def _numbers(owner: Run) -> list[int]:
    return sorted(int(match[1]) for name in owner.data.params if (match := CLAIM.fullmatch(name)))


def _claims(owners: Iterable[Run], openings: Sequence[Access]) -> list[Claim]:
    recorded: dict[str, Claim] = {}
    for owner in owners:
        params = owner.data.params
        for number in _numbers(owner):
            entry = json.loads(params[f"test_claim_{number}"])
            sha256 = claim_hash(entry["claim"])
            answer = json.loads(params.get(f"test_claim_{number}_answer", "null"))
            fields = entry["claim"] | {
                "conditions": [Condition(**condition) for condition in entry["claim"]["conditions"]],
                "images": tuple(entry["claim"]["images"]),
            }
            recorded[entry["sha256"]] = Claim(
                number=number,
                sha256=entry["sha256"],
                edited=sha256 != entry["sha256"] or (answer is not None and answer["sha256"] != sha256),
                openings_before=sum(entry["sha256"][:16] not in access.claims for access in openings),
                answer=None if answer is None else _read_answer(answer),
                **fields,
            )
    return sorted(recorded.values(), key=lambda claim: claim.when)


def _read_answer(stored: Mapping[str, Any]) -> Answer:
    return Answer(**{**stored, "conditions": [Measured(**each) for each in stored["conditions"]]})


def answer_claims(client: MlflowClient, run: Run, predictions: Predictions, digest: str) -> list[Claim]:
    """Answer each claim about a run that has no answer, from its test predictions, and return all of its study.

    A claim that was edited, or that is about other test rows, is not answered.

    Args:
        client: Client of the tracking store.
        run: The run that was scored.
        predictions: Of the test split.
        digest: Of its rows, first 16 hex digits.
    """
    recorded = claims(client, run)
    for claim in recorded:
        if claim.run_id == run.info.run_id and claim.answer is None and not claim.edited and claim.digest == digest:
            answer = _answer(client, run, claim, len(recorded), predictions)
            for owner in record_runs(client, run).values():
                for number in _numbers(owner):
                    if json.loads(owner.data.params[f"test_claim_{number}"])["sha256"] == claim.sha256:
                        log_once(client, owner.info.run_id, f"test_claim_{number}_answer", json.dumps(asdict(answer)))
    return claims(client, run)


def at_threshold(run: Run, predictions: Predictions, threshold: float) -> RunPredictions:
    """Return the predictions of a run as a claim sees them: at the claim's threshold, whatever the run's is now."""
    return replace(run_predictions(run, predictions), metrics={"threshold": threshold})


def _answer(client: MlflowClient, run: Run, claim: Claim, count: int, predictions: Predictions) -> Answer:
    other = None
    if claim.against is not None and claim.against_threshold is not None:
        against = get_run(client, claim.against)
        table = stored_predictions(client, against, "test")
        other = at_threshold(against, predictions_from_table(table), claim.against_threshold)
    with plugins.using(named_in({"plugins": json.loads(run.data.params.get("plugins", "[]"))})):
        values = measured(claim.conditions, "test", at_threshold(run, predictions, claim.threshold), other)
    verdicts = [condition.verdict(value) for condition, value in zip(claim.conditions, values, strict=True)]
    verdict = rule_verdict(verdicts)
    openings = [access for access in all_accesses(client) if access.digest == claim.digest and access.when]
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
