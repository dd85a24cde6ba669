"""A claim about a test split or a cohort as it is on record, and what an opening answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobilenet_chest.config.formats import times
from mobilenet_chest.evaluation.claim import Condition, Verdict


@dataclass(frozen=True)
class Measured:
    """A condition of a rule with its value on the rows claimed about, the ends of its 95% interval, and the verdict."""

    rule: str
    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What an opening said to a claim.

    Attributes:
        verdict: ``held``, ``not held`` or ``not decidable``.
        conditions: What was measured of each condition.
        images: Number of images.
        openings: How often these rows were opened in the whole store, this time included.
        trials: Trainings of the study that had ended well.
        trials_after: Those of them that began after the rows were first opened, so that results on them were known.
        claims: Claims of the study about the same split or cohort, this one included.
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
            f"of {self.tries} {'try' if self.tries == 1 else 'tries'}: its rows opened {times(self.openings)}, "
            f"{self.trials_after} of {self.trials} trainings begun after the first opening, other claims "
            f"{self.claims - 1}"
        )


@dataclass(frozen=True)
class Claim:
    """A claim on record. The attributes are the keys of ``claim --json``.

    Attributes:
        number: From 1, among its study's claims about the test split, or among those about cohorts.
        rule: As :func:`~mobilenet_chest.evaluation.claim.rule_text` writes it.
        conditions: Of the rule.
        run_id: The run that it is about.
        threshold: Smallest probability of class 1, as validation chose it.
        digest: Of the rows that it is about, 16 hex digits.
        images: Of class 0 and class 1 among them.
        against: Run to compare with, or ``None``.
        against_threshold: Its threshold.
        analysis: How values and intervals are computed.
        power: Chance that the rows answer *held* if they are like those of validation; ``None`` where that
            cannot be computed.
        study: Name of the study, or ``None``.
        when: UTC in ISO 8601.
        who: ``user@host``.
        token: Tells it from a claim of the same words.
        sha256: Hash (64 hex digits) that was logged with the claim.
        edited: Whether the claim on record is no longer the one that was logged or answered.
        openings_before: Accesses of the study to these rows that were made before it; a claim with any was not made in
            advance.
        answer: ``None`` while its run was not scored.
        cohort: Name of the cohort that it is about; ``None`` for the test split.
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
    answer: Answer | None = None
    cohort: str | None = None

    @property
    def about(self) -> str:
        """What is opened to answer it."""
        return "the test split" if self.cohort is None else f"cohort '{self.cohort}'"


NOT_HASHED = ("number", "sha256", "edited", "openings_before", "answer")
"""What is not part of a claim, but of where it stands and what came after."""


def claim_hash(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a claim's fields: all but those of :data:`NOT_HASHED`."""
    hashed = {name: value for name, value in fields.items() if name not in NOT_HASHED}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
