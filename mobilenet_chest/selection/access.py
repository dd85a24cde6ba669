"""One access to the sealed test split or to a cohort, and the line that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

_SHOWN_SCORES = ("auc_tta", "accuracy_tta_threshold")


@dataclass(frozen=True)
class CohortKey:
    """What the access log knows a cohort by: its name, and the digest of its rows (16 hex digits)."""

    name: str
    digest: str


@dataclass(frozen=True)
class Access:
    """One access to the test split or to a cohort. The attributes are the keys of ``ledger --json``.

    Attributes:
        run_id: The run that was scored.
        study: Name of its study, or of its members' studies; ``None`` without a study.
        when: UTC in ISO 8601, to the millisecond; ``None`` for accesses older than the access log.
        digest: Digest of the rows, 16 hex digits; ``None`` where the access ended before they were read.
        who: ``user@host, command``; ``None`` for accesses older than the access log.
        result: The metrics of these rows; empty where the access failed or is still running.
        again: Whether the study had been opened before.
        cohort: Name of the cohort; ``None`` for the test split.
        claims: Hashes (first 16 hex digits) of the claims that were on record before: none can be added or changed
            later without being told from these.
    """

    run_id: str
    study: str | None
    when: str | None
    digest: str | None
    who: str | None
    result: dict[str, float]
    again: bool
    cohort: str | None = None
    claims: list[str] = field(default_factory=list)


def access_lines(recorded: Sequence[Access]) -> list[str]:
    """Return a line for each access, numbered: when, by whom, for which run, with which result."""
    return [
        f"access {number}{', again' if access.again else ''}: {line_of(access)}"
        for number, access in enumerate(recorded, 1)
    ]


def line_of(access: Access) -> str:
    """Return when, by whom and for which run an access was, with its result."""
    run = f"run {access.run_id}" + (f" of study '{access.study}'" if access.study else "")
    if access.when is None:
        return f"time unknown, {run}: older than the access log"
    when = datetime.fromisoformat(access.when).strftime("%Y-%m-%d %H:%M UTC")
    prefix = "test" if access.cohort is None else cohort_prefix(access.cohort)
    names = [f"{prefix}_{score}" for score in _SHOWN_SCORES]
    metrics = ", ".join(f"{name} {access.result[name]:.4f}" for name in names if name in access.result)
    return f"{when}, {access.who}, {run}: {metrics or 'no result on record'}"


def cohort_prefix(name: str) -> str:
    """Return what stands before ``_auc`` and so on in the names of metrics of a cohort."""
    return f"cohort-{name}"
