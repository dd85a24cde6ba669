"""The data that a run was trained and selected on, and what the audit finds in them."""

from __future__ import annotations

from mobilenet_chest.data.audit import audit
from mobilenet_chest.data.audit_findings import AuditFinding
from mobilenet_chest.errors import UserError
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Element, Finding, Findings, Folded, Items, Paragraph, Table

IMAGES = 20
"""Of a finding, listed at most."""


def data(run: RunDetails) -> list[Element]:
    """Return the rows of the training and the validation split, and the findings of the audit."""
    try:
        audited = audit(run.config.data)
    except UserError as error:
        return [Paragraph(f"No audit of the data: {error}.", "missing")]
    classes = list(next(iter(audited.counts.values())))
    rows = [
        [
            split,
            str(sum(counts.values())),
            *(f"{counts[name]} ({counts[name] / sum(counts.values()):.1%})" for name in classes),
            f"{audited.brightness[split]:.1f}",
            f"{audited.contrast[split]:.1f}",
        ]
        for split, counts in audited.counts.items()
    ]
    caption = "Rows of the two classes, as the file has them; brightness and contrast in gray values from 0 to 255"
    table = Table("rows", caption, ["split", "rows", *classes, "brightness", "contrast"], rows)
    if not audited.findings:
        return [table, Paragraph("The audit found no problem in these data.")]
    return [table, Findings([_finding(finding) for finding in audited.findings])]


def _finding(finding: AuditFinding) -> Finding:
    if not finding.images:
        return Finding(finding.severity, finding.text)
    images: list[Element] = [Items(finding.images[:IMAGES])]
    if (more := len(finding.images) - IMAGES) > 0:
        images.append(Paragraph(f"and {more} more; mobilenet-chest data audit lists all", "soft"))
    return Finding(finding.severity, finding.text, Folded("Show the images", images))
