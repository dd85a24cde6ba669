"""The command ``promote``, with ``--rollback``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import interval_ends, line, metric_lines, print_json
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.cli.logged_report import log_quietly
from mobilenet_chest.cli.options import Again, DryRun, Json
from mobilenet_chest.errors import PromotionRefused, UserError
from mobilenet_chest.registry.promote import promote as promote_best
from mobilenet_chest.registry.rollback import rollback as move_back
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.registry.gates import GateResult
    from mobilenet_chest.registry.promotion import Promotion


def promote(
    reference: Annotated[
        str | None, typer.Argument(metavar="STUDY|RUN_ID", help="With --rollback: the registered model.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Registered model; the experiment's name by default.")] = None,
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "champion",
    even_if_worse: Annotated[
        bool,
        typer.Option(
            "--even-if-worse", help="Promote even where the alias has a better run, or a constraint is violated."
        ),
    ] = False,
    again: Again = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Move the alias back to its previous version.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register the best run, test it at the gates, and move the alias.

    The registered model must predict as the run did. The sealed test split is evaluated once.

    Example: mobilenet-chest promote quickstart --dry-run
    """
    with exit_codes():
        if rollback:
            if even_if_worse or again or (name and reference not in (None, name)):
                raise UserError("promote: name the registered model: promote --rollback NAME, and nothing else")
            reference = name = name or reference
        if reference is None:
            raise UserError(
                "promote: name the registered model: promote --rollback NAME"
                if rollback
                else "promote: name a study or run: promote STUDY|RUN_ID"
            )
        try:
            if rollback:
                promotion = move_back(reference, alias, dry_run)
            else:
                promotion = promote_best(reference, name, alias, dry_run, even_if_worse, again)
        except PromotionRefused as refusal:
            try:
                _print_refusal(refusal, name, alias, as_json)
            finally:
                if refusal.gates:  # gates are tested on the test split, which was opened
                    log_quietly(reference)
            raise
        try:
            print_promotion(promotion, as_json)
        finally:  # a pipe may be closed before all is printed, as by head
            if promotion.test and not rollback:
                log_quietly(reference)


def print_promotion(promotion: Promotion, as_json: bool) -> None:
    """Print what a promotion did, or would do."""
    if as_json:
        print_json(asdict(promotion) | {"intervals": interval_ends(promotion.intervals)})
        return
    for reason in promotion.reasons:
        line(reason)
    _print_gates(promotion.gates)
    if not promotion.promoted:
        return
    line(f"{promotion.alias} of '{promotion.name}' is version {promotion.version}, run {short_id(promotion.run_id)}")
    metric_lines(promotion.test, promotion.intervals)
    print_accesses(promotion.openings)
    line(f'use: mlflow.pyfunc.load_model("models:/{promotion.name}@{promotion.alias}").predict(uint8_images)')


def _print_refusal(refusal: PromotionRefused, name: str | None, alias: str, as_json: bool) -> None:
    if not as_json:
        _print_gates(refusal.gates)
        return
    print_json(
        {
            "name": name,
            "version": None,
            "alias": alias,
            "run_id": None,
            "promoted": False,
            "reasons": list(refusal.reasons),
            "test": {},
            "gates": [asdict(gate) for gate in refusal.gates],
        }
    )


def _print_gates(gates: Sequence[GateResult]) -> None:
    for gate in gates:
        line(str(gate))
