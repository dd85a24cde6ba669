"""What the figures stand on: the rows, the openings of the test split, the code and data they come from."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from mlflow import MlflowClient

from mobilenet_chest.data.audit import audit
from mobilenet_chest.data.audit_findings import AuditFinding
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.markup import folded, missing, paragraph, table, with_interval
from mobilenet_chest.report.material import Examined, Material
from mobilenet_chest.selection.evaluate import stored_intervals
from mobilenet_chest.selection.ledger import Access, accesses
from mobilenet_chest.tracking.runs import get_run, rows_digest

TEST_FIGURES = ("test_auc_tta", "test_accuracy_tta_threshold", "test_sensitivity", "test_specificity")

IMAGES = 20
"""Of a finding, listed at most."""


def same_images(leader: Examined, baseline: Examined) -> tuple[Examined | None, str | None]:
    """The baseline, if its curve may be drawn beside the leader's; otherwise why not."""
    if leader.run.info.run_id == baseline.run.info.run_id:
        return None, None
    digests = [rows_digest(one.run) for one in (leader, baseline)]
    if digests[0] != digests[1] or not np.array_equal(leader.rows, baseline.rows):
        return None, (
            f"The curves of the baseline {baseline.name} are not drawn: it was scored on other images (digests "
            f"{digests[0]} and {digests[1]})."
        )
    return baseline, None


def provenance(one: Examined) -> Markup:
    """Run, digests, commit, and how the intervals are made."""
    tags = one.run.data.tags
    dirty = {"false": "", "true": ", with uncommitted changes"}.get(tags.get("git_dirty", ""), "")
    lines = [
        ("run", one.run.info.run_id),
        ("model", f"{tags.get('model')}, weights {tags.get('weights')}"),
        ("experiment digest", tags.get("config_digest")),
        ("data digest", tags.get("data_digest")),
        ("code", f"commit {tags.get('git_commit')}{dirty}, version {tags.get('package_version')}"),
        ("predictions", "predictions/val.parquet of the run"),
        (
            "intervals",
            "95%: DeLong for AUC (DeLong et al., 1988), Wilson for shares (Wilson, 1927), stratified BCa bootstrap for "
            "the rest (Efron, 1987), and for all of them where patients have several images, which are drawn whole. "
            "They say what other images would give this model, not what another seed would.",
        ),
    ]
    return Markup("<dl>{}</dl>").format(
        Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, value or "unknown") for name, value in lines)
    )


def ledger(client: MlflowClient, material: Material) -> Markup:
    """Every opening of the test split for the study or run, and what it showed."""
    found = accesses(client, material.study or material.leader.run)
    if not found:
        return missing("The test split has not been opened for this: there are no test figures.")
    rows = []
    for place, opening in enumerate(found, 1):
        intervals = _test_intervals(client, opening)
        rows.append(
            [
                f"{place}{', again' if opening.again else ''}",
                "unknown" if opening.when is None else opening.when[:16].replace("T", " ") + " UTC",
                opening.who or "unknown",
                *(with_interval(opening.result.get(name), intervals.get(name)) for name in TEST_FIGURES),
                Markup("<code>{}</code>").format(opening.run_id),
                Markup("<code>{}</code>").format(opening.digest or "unknown"),
            ]
        )
    headings = ["opening", "when", "by whom", "AUC with TTA", "accuracy, TTA, threshold", "sensitivity", "specificity",
                "run", "digest of the rows"]  # fmt: skip
    said = "once" if len(found) == 1 else f"{len(found)} times"
    return paragraph(
        f"The test split was opened {said}. Only the first look is at images that had no say in anything."
    ) + table("ledger", "Openings of the test split, and what they showed, with 95% intervals", headings, rows, left=3)


def _test_intervals(client: MlflowClient, opening: Access) -> dict[str, Interval]:
    """Of an opening's figures, where the predictions that they are of are stored."""
    try:
        run = get_run(client, opening.run_id)
        return stored_intervals(client, run, "test", opening.result)
    except TrackingError:
        return {}


def data(one: Examined) -> Markup:
    """Rows of the splits that training and selection see, and what the audit finds in them."""
    try:
        found = audit(one.config.data)
    except UserError as error:
        return missing(f"No audit of the data: {error}.")
    classes = list(next(iter(found.counts.values())))
    rows = [
        [
            split,
            str(sum(counts.values())),
            *(f"{counts[name]} ({counts[name] / sum(counts.values()):.1%})" for name in classes),
            f"{found.brightness[split]:.1f}",
            f"{found.contrast[split]:.1f}",
        ]
        for split, counts in found.counts.items()
    ]
    caption = "Rows of the two classes, as the file has them; brightness and contrast in gray values from 0 to 255"
    listed = table("rows", caption, ["split", "rows", *classes, "brightness", "contrast"], rows)
    if not found.findings:
        return listed + paragraph("The audit finds nothing that speaks against these data.")
    items = Markup("").join(Markup("<li>{}</li>").format(_finding(finding)) for finding in found.findings)
    return listed + Markup("<h3>What the audit finds</h3><ul>{}</ul>").format(items)


def _finding(finding: AuditFinding) -> Markup:
    said = Markup("<strong>{}:</strong> {}").format(finding.severity, finding.text)
    if not finding.images:
        return said
    images = Markup("").join(Markup("<li>{}</li>").format(image) for image in finding.images[:IMAGES])
    more = len(finding.images) - IMAGES
    rest = paragraph(f"and {more} more: mobilenet-chest data audit lists all", "soft") if more > 0 else Markup("")
    return said + folded("Which", Markup("<ul>{}</ul>").format(images) + rest)
