"""The command ``ledger``: the accesses to the test split and to cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.claim import print_claims
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import ID, Table
from mobilenet_chest.selection.access import cohort_prefix
from mobilenet_chest.selection.claims import all_claims, find_claims
from mobilenet_chest.selection.ledger import all_accesses, all_cohort_accesses, find_accesses
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import connect

if TYPE_CHECKING:
    from mobilenet_chest.selection.access import Access

RESULTS = {"auc_tta": "AUC", "accuracy_tta_threshold": "accuracy"}
"""What metrics of an access are called here, by their names without the split or cohort; JSON has all."""


def ledger(
    reference: Annotated[str | None, typer.Argument(metavar="[STUDY|RUN_ID]")] = None,
    as_json: Json = False,
) -> None:
    """List every access to the sealed test split and to cohorts, and all claims.

    Without a name: all of the tracking store.

    Example: mobilenet-chest ledger quickstart
    """
    with exit_codes():
        client = connect(to_read=True)
        if reference is None:
            accesses, claims = all_accesses(client) + all_cohort_accesses(client), all_claims(client)
        else:
            accesses, claims = find_accesses(client, reference), find_claims(client, reference)
        if as_json:
            print_json({"openings": [asdict(each) for each in accesses], "claims": [asdict(each) for each in claims]})
            return
        print_accesses(accesses)
        print_claims(claims)


def print_accesses(accesses: Sequence[Access]) -> None:
    """Print a row for each access to the test split, numbered in their order; then those to each cohort."""
    if not accesses:
        line("the test split has not been opened")
        return
    for cohort in dict.fromkeys(access.cohort for access in accesses):
        _print_accesses_to(cohort, [access for access in accesses if access.cohort == cohort])
    if any(access.when is None for access in accesses):
        line("an access without a time is older than the access log")


def _print_accesses_to(cohort: str | None, accesses: Sequence[Access]) -> None:
    headings = ["access", "when (UTC)", "by", ID, "study", "result"]
    what = "the test split" if cohort is None else f"cohort {cohort}"
    rows = Table(headings, left=headings, title=f"accesses to {what}", whole=[ID, "when (UTC)"])
    for number, access in enumerate(accesses, 1):
        rows.add_row(
            f"{number}, again" if access.again else str(number),
            _minute(access.when),
            access.who or "",
            short_id(access.run_id),
            access.study or "",
            _result(access),
        )
    out.print(rows)


def _minute(when: str | None) -> str:
    return "" if when is None else datetime.fromisoformat(when).strftime("%Y-%m-%d %H:%M")


def _result(access: Access) -> str:
    """Return a line for each result; an access that failed, or is still running, has none."""
    prefix = "test" if access.cohort is None else cohort_prefix(access.cohort)
    names = {f"{prefix}_{score}": label for score, label in RESULTS.items()}
    return "\n".join(f"{label} {access.result[name]:.4f}" for name, label in names.items() if name in access.result)
