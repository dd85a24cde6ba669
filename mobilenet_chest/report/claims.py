"""The claims about the test split and cohorts: what was to be shown, and whether it was."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.formats import ends, times
from mobilenet_chest.report.elements import MISSING, Cell, Code, Element, Paragraph, Table
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.claims import claims

HEADINGS = ("claim", "when", "rule", "answer", "measured", "in advance", "power", "chance that it is false",
            "run", "SHA-256")  # fmt: skip


def claim_table(client: MlflowClient, run: Run) -> list[Element]:
    """Return every claim about a run or study, with its answer."""
    return claims_shown(claims(client, run))


def claims_shown(recorded: Sequence[Claim]) -> list[Element]:
    """Return a table of claims, and below it what was tried before those that held."""
    if not recorded:
        return [Paragraph("Nothing was claimed about the test split or a cohort.", "missing")]
    caption = "Claims on record, with 95% intervals of what was measured"
    table = Table("claim-rows", caption, HEADINGS, [_row(claim) for claim in recorded], text_columns=6)
    tried = [
        Paragraph(f"Claim {claim.number}: the chance that it is false counts {claim.answer.tried}.", "soft")
        for claim in recorded
        if claim.answer is not None and claim.answer.chance_false is not None
    ]
    return [table, *tried]


def _row(claim: Claim) -> list[Cell]:
    answer = claim.answer
    verdict = "no answer yet" if answer is None else answer.text
    measured = MISSING if answer is None else "; ".join(
        f"{each.rule.split(' >=')[0].split(' <=')[0]} {each.value:.3f} ({ends(each, to=' to ')})"
        for each in answer.conditions
    )  # fmt: skip
    chance = None if answer is None else answer.chance_false
    return [
        str(claim.number),
        claim.when[:16].replace("T", " ") + " UTC",
        claim.rule if claim.cohort is None else f"{claim.rule}, on cohort {claim.cohort}",
        f"edited, proves nothing; was: {verdict}" if claim.edited else verdict,
        measured,
        f"no, opened {times(claim.openings_before)} before" if claim.openings_before else "yes",
        MISSING if claim.power is None else f"{claim.power:.2f}",
        MISSING if chance is None else f"{chance:.3f}",
        Code(claim.run_id),
        Code(claim.sha256[:16]),
    ]
