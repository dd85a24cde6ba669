"""The command that lists who has opened the test split."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from mobilenet_chest.cli.reporting import reporting


def ledger(
    reference: Annotated[str | None, typer.Argument(metavar="[STUDY|RUN_ID]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Every opening of the sealed test split: of a study, of a run, or all there are."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.selection.ledger import all_accesses, find_accesses
        from mobilenet_chest.tracking.store import connect

        client = connect()
        found = all_accesses(client) if reference is None else find_accesses(client, reference)
        if as_json:
            output.print_json({"openings": [asdict(opening) for opening in found]})
        else:
            output.openings(found)
