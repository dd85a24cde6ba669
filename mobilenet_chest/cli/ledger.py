"""The command ``ledger``: the accesses to the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.cli.tables import ID, Table
from mobilenet_chest.selection.ledger import all_accesses, find_accesses
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import connect

if TYPE_CHECKING:
    from mobilenet_chest.selection.ledger import Access

RESULTS = {"test_auc_tta": "AUC", "test_accuracy_tta_threshold": "accuracy"}
"""What metrics of an access are called here, by their names; JSON has all."""


def ledger(
    reference: Annotated[str | None, typer.Argument(metavar="[STUDY|RUN_ID]")] = None,
    as_json: Json = False,
) -> None:
    """List every access to the sealed test split.

    Without a name: all accesses of the tracking store.

    Example: mobilenet-chest ledger quickstart
    """
    with exit_codes():
        client = connect(to_read=True)
        accesses = all_accesses(client) if reference is None else find_accesses(client, reference)
        if as_json:
            print_json({"openings": [asdict(access) for access in accesses]})
        else:
            print_accesses(accesses)


def print_accesses(accesses: Sequence[Access]) -> None:
    """Print a row for each access to the test split, numbered in their order."""
    if not accesses:
        line("the test split has not been opened")
        return
    headings = ["access", "when (UTC)", "by", ID, "study", "result"]
    rows = Table(headings, left=headings, title="accesses to the test split", whole=[ID, "when (UTC)"])
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
    if any(access.when is None for access in accesses):
        line("an access without a time is older than the access log")


def _minute(when: str | None) -> str:
    return "" if when is None else datetime.fromisoformat(when).strftime("%Y-%m-%d %H:%M")


def _result(access: Access) -> str:
    """Return a line for each result; an access that failed, or is still running, has none."""
    return "\n".join(f"{label} {access.result[name]:.4f}" for name, label in RESULTS.items() if name in access.result)
