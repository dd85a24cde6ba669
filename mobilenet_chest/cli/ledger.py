"""The command ``ledger``: the accesses to the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.options import Json
from mobilenet_chest.selection.ledger import access_lines, all_accesses, find_accesses
from mobilenet_chest.tracking.store import connect

if TYPE_CHECKING:
    from mobilenet_chest.selection.ledger import Access


def ledger(
    reference: Annotated[str | None, typer.Argument(metavar="[STUDY|RUN_ID]")] = None,
    as_json: Json = False,
) -> None:
    """List every access to the sealed test split.

    Without a name: all accesses of the tracking store.
    """
    with exit_codes():
        client = connect()
        accesses = all_accesses(client) if reference is None else find_accesses(client, reference)
        if as_json:
            print_json({"openings": [asdict(access) for access in accesses]})
        else:
            print_accesses(accesses)


def print_accesses(accesses: Sequence[Access]) -> None:
    """Print the accesses to the test split, a line each."""
    line("accesses to the test split:" if accesses else "the test split has not been opened")
    for text in access_lines(accesses):
        line(f"  {text}")
