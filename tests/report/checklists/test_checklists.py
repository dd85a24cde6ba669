"""Checklists of the small study: what is filled in is what its run has."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.stores import STUDY

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.report.checklists import write_checklist
from mobilenet_chest.report.checklists.facts import facts
from mobilenet_chest.report.checklists.items import AUTHOR, items
from mobilenet_chest.report.checklists.record import Record, read_record
from mobilenet_chest.selection.claims import claims
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from report.conftest import Written


@pytest.fixture
def record(written: Written) -> Record:
    return read_record(written.store.client, STUDY)


def test_the_facts_are_the_run_s(written: Written, record: Record) -> None:
    store, known = written.store, facts(record)
    run = store.run(store.trials[store.best])
    labels, metrics, config = run.data.tags, metrics_of(run), record.run.config
    assert record.run.run_id == run.info.run_id
    assert labels["dataset"] in known["data"]
    assert labels["data_digest"] in known["data"]
    for name, text in (("experiment", labels["config_digest"]), ("code", labels["git_commit"]),
                       ("software", labels["software"]), ("hardware", labels["hardware"]),
                       ("seeds", str(config.seed)), ("weights", labels["weights"]),
                       ("model", f"{metrics['parameters']:,.0f} parameters"),
                       ("threshold", f"{metrics['threshold']:.4g}"), ("calibration", f"{metrics['temperature']:.3f}"),
                       ("tuning", "2 complete trials, sampler grid, pruner none; searched: model.dropout in 0.2, 0.6"),
                       ("selection", "the highest val_auc"), ("openings", "opened once for this study")):  # fmt: skip
        assert text in known[name], name
    for split in ("train", "val"):
        (profile,) = (json.loads(item.dataset.profile) for item in run.inputs.dataset_inputs
                      if item.tags[0].value == split)  # fmt: skip
        assert f"{split}: {profile['rows']} images" in known["splits"]
        assert all(f"{count} {name}" in known["splits"] for name, count in profile["classes"].items())
    for name, interval in record.run.intervals.items():
        assert f"{name} {interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})" in known["performance"]
    assert f"AUC {metrics['test_auc_tta']:.3f} (" in known["performance"]
    assert record.test is not None
    assert f"test: {len(record.test.label)} images" in known["splits"]
    (claim,) = claims(store.client, run)
    assert claim.answer is not None
    assert known["claims"].startswith(f"claim 1: {claim.rule}, ")
    assert known["claims"].endswith(f"{claim.sha256[:16]}: {claim.answer.text}")


def test_what_is_not_on_record_is_left_to_the_author(record: Record) -> None:
    known = facts(record)
    assert {name for name, text in known.items() if not text} == {"groups", "cohorts", "robustness"}
    assert all("  " not in text and text == text.strip() for text in known.values())
    for name in ("tripod-ai", "claim"):
        filled = items(name, known)
        assert all(item.text for item in filled)
        assert 15 < sum(item.state != AUTHOR for item in filled) < len(filled)


def test_a_run_without_study_test_or_data_file(written: Written) -> None:
    client = written.store.client
    single = replace(read_record(client, written.store.single), study=None, claims=[], openings=[])
    single.__dict__["audit"] = "mine.npz: no such file"  # what cached_property would find
    known = facts(single)
    assert known["checks"] == "no audit: mine.npz: no such file"
    assert known["disjoint"] == "the split of the file"
    assert known["openings"] == "the test split was not opened"
    assert known["tuning"].startswith("no search")
    assert (known["claims"], known["power"]) == ("", "")
    assert "no result on test images" in known["limits"]


@pytest.mark.parametrize("out", ["list.md", "list.CSV"])
def test_both_forms_are_written(written: Written, tmp_path: Path, out: str) -> None:
    made = write_checklist(STUDY, "claim", tmp_path / out)
    text = made.out.read_text(encoding="utf-8")
    if out == "list.md":
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert len(rows) == 1 + 44
    else:
        assert [row["number"] for row in csv.DictReader(text.splitlines())] == [item.number for item in made.items]
    assert made.run_id in text


def test_wrong_files_and_names(written: Written, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"end the name in \.md or \.csv, such as list\.md"):
        write_checklist(STUDY, "claim", tmp_path / "list.html")
    with pytest.raises(UserError, match="is a folder"):
        write_checklist(STUDY, "claim", tmp_path)
    with pytest.raises(TrackingError):
        write_checklist("no-such-study", "claim", tmp_path / "list.md")
    assert list(tmp_path.iterdir()) == []
