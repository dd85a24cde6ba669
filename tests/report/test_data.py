"""The data on the page, and what the audit finds in them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mobilenet_chest.data.audit_findings import AuditFinding
from mobilenet_chest.errors import DataError
from mobilenet_chest.report import data as module
from mobilenet_chest.report.data import IMAGES, data
from mobilenet_chest.report.elements import Findings, Items, Paragraph

if TYPE_CHECKING:
    from report.conftest import Written

RUN: Any = SimpleNamespace(config=SimpleNamespace(data=None))


def audited(monkeypatch: pytest.MonkeyPatch, *findings: AuditFinding) -> None:
    counts = {"train": {"a": 3, "b": 1}}
    made = SimpleNamespace(counts=counts, brightness={"train": 100.0}, contrast={"train": 20.0}, findings=findings)
    monkeypatch.setattr(module, "audit", lambda _: made)


def test_the_rows_of_train_and_val_are_counted(written: Written) -> None:
    rows = written.page.rows("rows")
    assert {split: cells[0] for split, cells in rows.items()} == {"train": "68", "val": "34"}


def test_many_images_of_a_finding_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [f"train row {n}" for n in range(IMAGES + 3)]
    audited(monkeypatch, AuditFinding("warning", "x", images), AuditFinding("note", "y"))
    _, findings = data(RUN)
    assert isinstance(findings, Findings)
    many, none = findings.findings
    assert none.details is None
    assert many.details is not None
    listed, more = many.details.contents
    assert isinstance(listed, Items)
    assert isinstance(more, Paragraph)
    assert list(listed.texts) == images[:IMAGES]
    assert "3 more" in more.text


def test_an_audit_without_findings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    audited(monkeypatch)
    _, paragraph = data(RUN)
    assert isinstance(paragraph, Paragraph)


def test_data_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise DataError("chest.npz is gone")

    monkeypatch.setattr(module, "audit", fail)
    (paragraph,) = data(RUN)
    assert isinstance(paragraph, Paragraph)
    assert paragraph.style == "missing"
    assert "chest.npz" in paragraph.text
