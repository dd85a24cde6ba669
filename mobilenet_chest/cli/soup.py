"""The command ``soup``."""

from __future__ import annotations

from typing import Annotated

import typer

from mobilenet_chest.cli.ensemble import find_candidates, print_combination
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.options import Json, Top
from mobilenet_chest.combine.soup import soup as average_weights


def soup(
    references: Annotated[list[str], typer.Argument(metavar="STUDY | RUN_ID ...")],
    top: Top = None,
    as_json: Json = False,
) -> None:
    """Average the weights of several fine-tunings.

    They must share their stage-1 start. The average is uniform or greedy, whichever is better.

    Example: mobilenet-chest soup quickstart --top 3
    """
    with exit_codes():
        print_combination(average_weights(find_candidates(references, top)), "soup", as_json)
