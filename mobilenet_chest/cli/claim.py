"""The command ``claim``: what the test split or a cohort is to show, on record before it is opened."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.options import Json, RunOrStudy
from mobilenet_chest.config.formats import ends, times
from mobilenet_chest.errors import UserError
from mobilenet_chest.selection.new_claim import new_claim
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.selection.claim import Answer, Claim


def claim(
    reference: RunOrStudy,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Such as 'auc >= 0.95 and accuracy >= 0.90'.")],
    against: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID|STUDY", help="Claim, too, that no metric of the rule is worse than this run's."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(metavar="SHARE", help="With --against: what may be lost; 0 by default.")
    ] = None,
    split: Annotated[
        Literal["test"] | None, typer.Option(help="Split that the claim is about; test by default.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="COHORT.npz|YAML", help="Claim about data of another source instead of the test split."),
    ] = None,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="What these data are called.")] = None,
    as_json: Json = False,
) -> None:
    """Put a claim on record before the test split, or a cohort, is opened.

    ``evaluate`` answers it: held, not held, or not decidable.

    Example: mobilenet-chest claim quickstart "auc >= 0.95 and accuracy >= 0.90"
    """
    with exit_codes():
        if split is not None and data is not None:
            raise UserError(f"--split {split} is of the run's own file, --data {data} of another source; leave one out")
        made = new_claim(reference, rule, against, margin, data, name)
        if as_json:
            print_json(asdict(made))
        else:
            _print_new(made, data)


def _print_new(claim: Claim, data: Path | None) -> None:
    _print_head(claim)
    line(f"  threshold {claim.threshold:.4f}; {sum(claim.images)} {_images(claim)} ({claim.images[0]} of class 0, "
         f"{claim.images[1]} of class 1), digest {claim.digest}")  # fmt: skip
    line(f"  {_power(claim)}")
    line(f"  SHA-256 {claim.sha256}")
    rows = "--split test" if data is None else f"--data {shlex.quote(str(data))} --as {claim.cohort}"
    again = " --again" if claim.openings_before else ""
    line(f"next: mobilenet-chest evaluate {short_id(claim.run_id)} {rows}{again}")


def print_claims(claims: Sequence[Claim]) -> None:
    """Print each claim with its answer."""
    for claim in claims:
        _print_head(claim)
        if claim.answer is None:
            line(f"  no answer yet: its run was not scored on these {_images(claim)} since")
        else:
            _print_answer(claim, claim.answer)


def _print_head(claim: Claim) -> None:
    when = claim.when.replace("T", " ")[:16]
    about = "" if claim.cohort is None else f" on cohort {claim.cohort}"
    line(f"claim {claim.number}{about}, {when} UTC, run {short_id(claim.run_id)}: {claim.rule}")
    if claim.against is not None:
        line(f"  differences are from run {short_id(claim.against)}")
    if claim.edited:
        line("  EDITED: what is on record is not what was logged; it proves nothing")
    if claim.openings_before:
        line(f"  made after {claim.about} was opened {times(claim.openings_before)}: not in advance, its images were "
             "known")  # fmt: skip


def _print_answer(claim: Claim, answer: Answer) -> None:
    line(f"  {answer.text}; {_power(claim)}")
    for condition in answer.conditions:
        line(f"    {condition.rule}: {condition.value:.4f} ({ends(condition, 4)}), {condition.verdict}")
    if answer.chance_false is not None:
        line(f"  chance that it is false: {answer.chance_false:.3f}, {answer.tried}")


def _power(claim: Claim) -> str:
    if claim.power is None:
        return "power unknown: the two runs were validated on other rows"
    return f"power {claim.power:.2f} if {_images(claim)} are like those of validation"


def _images(claim: Claim) -> str:
    return "test images" if claim.cohort is None else f"images of {claim.cohort}"
