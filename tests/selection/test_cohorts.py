"""Scoring a run on data of another source: figures, record and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import assert_one_line, run
from helpers.stores import STUDY, Store

from mobilenet_chest.data.phantom import generate
from mobilenet_chest.errors import DataError, SealedError, TrackingError, UserError
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.report.elements import Table
from mobilenet_chest.report.elsewhere import elsewhere
from mobilenet_chest.selection.claims import all_claims, find_claims
from mobilenet_chest.selection.cohort_compare import compare_on_cohort
from mobilenet_chest.selection.cohorts import cohort_facts, evaluate_cohort
from mobilenet_chest.selection.ledger import accesses, all_cohort_accesses
from mobilenet_chest.selection.new_claim import new_claim
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

NOTHING = {"images": np.empty((0, 32, 32), np.uint8), "labels": np.empty((0, 14), np.uint8), "site": np.empty(0, "U1")}
"""A split without rows."""


def cohort_arrays(**changes: Any) -> dict[str, Any]:
    made = generate(32, {"train": 0, "val": 40, "test": 40}, seed=5, sites=("A", "B"))
    made = {key: value for key, value in made.items() if not key.startswith("train_")}
    return {key: value for key, value in (made | changes).items() if value is not None}


@pytest.fixture
def cohort(store: Store) -> Path:
    path = store.folder / "elsewhere.npz"
    np.savez(path, **cohort_arrays())
    return path


def test_what_is_on_record(store: Store, cohort: Path) -> None:
    run_id = store.single
    found = evaluate_cohort(run_id, cohort, "clinic-b")
    scored = store.run(run_id)
    assert cohort_facts(scored) == {
        "clinic-b": {"digest": found.digest, "rows": found.rows, "prevalence": found.prevalence}
    }
    table = stored_predictions(store.client, scored, "cohort-clinic-b")
    assert len(table) == found.rows == 68
    assert found.prevalence == table["label"].mean()
    assert metrics_of(scored)["cohort-clinic-b_auc_tta"] == auc(
        table["label"].to_numpy(), table["probability_tta"].to_numpy()
    )
    assert scored.data.metrics["cohort-clinic-b/auc_tta"] == found.metrics["cohort-clinic-b_auc_tta"]
    assert sorted(set(table["site"])) == ["A", "B"]
    assert [(group.name, group.value) for group in found.groups] == [("all", ""), ("site", "A"), ("site", "B")]
    assert sum(group.rows for group in found.groups[1:]) == found.rows
    # cohort minus validation
    of_val = metrics_of(scored)["val_auc_tta"]
    difference = found.differences["auc_tta"]
    assert difference.value == pytest.approx(found.metrics["cohort-clinic-b_auc_tta"] - of_val)
    assert difference.low < difference.value < difference.high
    (access,) = all_cohort_accesses(store.client)
    assert (access.cohort, access.digest, access.result, access.again) == (
        "clinic-b", found.digest, found.metrics, False,
    )  # fmt: skip
    assert accesses(store.client, scored) == []  # the test split is still closed


def test_a_split_without_rows_adds_nothing(store: Store, cohort: Path) -> None:
    with_empty = store.folder / "with_empty.npz"
    np.savez(with_empty, **cohort_arrays(**{f"train_{part}": values for part, values in NOTHING.items()}))
    found = evaluate_cohort(store.single, with_empty, "clinic-b")
    assert (found.rows, [group.rows for group in found.groups]) == (68, [68, 38, 30])


def test_a_study_opens_a_cohort_once(store: Store, cohort: Path) -> None:
    evaluate_cohort(STUDY, cohort, "clinic-b")
    other = store.trials[store.best]
    with pytest.raises(SealedError, match="cohort 'clinic-b' was opened for study 'dropout-study' once"):
        evaluate_cohort(other, cohort, "clinic-b")
    again = evaluate_cohort(other, cohort, "clinic-b", again=True)
    assert [access.again for access in again.openings] == [False, True]
    # renaming does not hide an opening, and a name means one set of rows
    with pytest.raises(UserError, match="on record as 'clinic-b'"):
        evaluate_cohort(store.single, cohort, "clinic-c")
    np.savez(cohort, **cohort_arrays(test_labels=None, test_images=None, test_site=None))
    with pytest.raises(UserError, match=f"taken by other rows .digest {again.digest}"):
        evaluate_cohort(store.single, cohort, "clinic-b")
    other_rows = evaluate_cohort(STUDY, cohort, "half")
    assert [access.again for access in other_rows.openings] == [False]


def test_a_claim_about_a_cohort_is_answered_by_its_opening(store: Store, cohort: Path) -> None:
    of_test = new_claim(store.single, "auc >= 0.5")
    made = new_claim(store.single, "auc >= 0.01 and specificity <= 0.999", data=cohort, name="clinic-b")
    assert (made.number, made.cohort, sum(made.images), made.openings_before) == (1, "clinic-b", 68, 0)
    assert [of_test, made] == all_claims(store.client) == find_claims(store.client, store.single)
    assert all_cohort_accesses(store.client) == []  # nothing was opened
    # a claim takes the name as an access does
    with pytest.raises(UserError, match="on record as 'clinic-b'"):
        evaluate_cohort(store.single, cohort, "clinic-c")
    found = evaluate_cohort(store.single, cohort, "clinic-b")
    (access,) = found.openings
    assert set(access.claims) == {of_test.sha256[:16], made.sha256[:16]}
    (claim,) = found.claims
    assert claim.answer is not None
    assert (claim.sha256, claim.edited, claim.openings_before) == (made.sha256, False, 0)
    metrics = [found.metrics[f"cohort-clinic-b_{score}"] for score in ("auc_tta", "specificity")]
    assert [each.value for each in claim.answer.conditions] == metrics
    ends = found.intervals["cohort-clinic-b_auc_tta"]
    assert (claim.answer.conditions[0].low, claim.answer.conditions[0].high) == (ends.low, ends.high)
    assert (claim.answer.verdict, claim.answer.images, claim.answer.when) == ("held", 68, access.when)
    # the claim about the test split is no try on these rows, and has no answer
    assert (claim.answer.openings, claim.answer.claims, claim.answer.tries) == (1, 1, 1)
    after = new_claim(STUDY, "auc", store.single, 0.5, cohort, "clinic-b")
    assert (after.number, after.openings_before) == (1, 0)  # another study, which has not opened it
    late = new_claim(store.single, "auc >= 0.9", data=cohort, name="clinic-b")
    assert (late.number, late.openings_before) == (2, 1)
    (difference,) = evaluate_cohort(STUDY, cohort, "clinic-b").claims
    assert difference.answer is not None
    assert difference.answer.openings == 2
    assert [claim.answer for claim in all_claims(store.client) if claim.cohort is None] == [None]


def test_a_claim_about_a_cohort_with_a_wrong_name_is_not_logged(store: Store, cohort: Path) -> None:
    wrong: list[tuple[tuple[Path | None, str | None], str]] = [
        ((cohort, "Clinic B"), "--as Clinic B: 1 to 40 small letters"),
        ((cohort, None), "--as NAME"),
        ((None, "clinic-b"), "--data FILE"),
        ((store.data, "own"), "of its images are in"),
    ]
    for (data, name), names in wrong:
        with pytest.raises(UserError, match=names):
            new_claim(store.single, "auc >= 0.9", data=data, name=name)
    with pytest.raises(TrackingError, match="--data FILE --as clinic-b"):
        new_claim(store.single, "auc", STUDY, data=cohort, name="clinic-b")
    new_claim(store.single, "auc >= 0.9", data=cohort, name="clinic-b")
    np.savez(cohort, **cohort_arrays(test_labels=None, test_images=None, test_site=None))
    with pytest.raises(UserError, match="taken by other rows"):
        new_claim(store.single, "auc >= 0.9", data=cohort, name="clinic-b")
    assert len(all_claims(store.client)) == 1


def test_runs_side_by_side_and_on_the_page(store: Store, cohort: Path) -> None:
    single = evaluate_cohort(store.single, cohort, "clinic-b")
    best = evaluate_cohort(STUDY, cohort, "clinic-b")
    base, other = compare_on_cohort("clinic-b", [STUDY], baseline=store.single)
    assert (base.run_id, other.run_id) == (single.run_id, best.run_id)
    assert base.differences == {}
    assert other.metrics["auc_tta"] == best.metrics["cohort-clinic-b_auc_tta"]
    assert other.intervals["auc_tta"] == best.intervals["cohort-clinic-b_auc_tta"]
    assert other.from_validation == best.differences
    assert other.differences["auc_tta"].value == pytest.approx(other.metrics["auc_tta"] - base.metrics["auc_tta"])
    everything = compare_on_cohort("clinic-b", [])
    assert {row.run_id for row in everything} == {single.run_id, best.run_id}
    document = json.loads(run("compare", "--cohort", "clinic-b", "--json").stdout)
    assert [row["run_id"] for row in document["rows"]] == [row.run_id for row in everything]
    assert run("compare", "--cohort", "clinic-b", "--baseline", store.single).exit_code == 0
    assert_one_line("compare", store.single, "--cohort", "clinic-c", wants="clinic-b")
    assert_one_line("compare", "--cohort", "clinic-c", wants="no run was scored")
    # the report's part
    _, table = elsewhere(store.client, store.run(store.single))
    assert isinstance(table, Table)
    (cells,) = table.rows
    assert cells[:2] == ["clinic-b", "1"]
    assert str(cells[5]).startswith(f"{single.metrics['cohort-clinic-b_auc_tta']:.3f} (")
    assert elsewhere(store.client, store.run(store.interrupted)) == []


@pytest.mark.parametrize("name", ["", "Clinic", "b_c", "1a", "x" * 41])
def test_names(name: str) -> None:
    with pytest.raises(UserError, match="--as"):
        evaluate_cohort("any", Path("any.npz"), name)


SMALL = np.zeros((40, 16, 16), np.uint8)
LABELS = np.array([["healthy"], ["ill"]] * 20)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"val_labels": None, "test_labels": None}, "data check"),
        ({"val_labels": LABELS, "test_labels": LABELS}, "classes"),
        ({"val_images": SMALL, "test_images": SMALL}, "--size 32"),
        ({"val_images": np.zeros((40, 32, 32, 3), np.uint8)}, "colour"),
        ({"val_images": np.zeros((40, 32, 32), np.float32)}, "uint8"),
        ({f"{split}_{part}": NOTHING[part] for split in ("val", "test") for part in NOTHING}, "none of its 0 images"),
        ({"val_labels": np.eye(14, dtype=np.uint8)[[7] * 40], "test_labels": np.eye(14, dtype=np.uint8)[[7] * 40]},
         "'cardiomegaly'"),
    ],
)  # fmt: skip
def test_files_that_are_no_cohort(store: Store, changes: dict[str, Any], names: str) -> None:
    path = store.folder / "wrong.npz"
    np.savez(path, **cohort_arrays(**changes))
    with pytest.raises(DataError) as caught:
        evaluate_cohort(store.single, path, "wrong")
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all_cohort_accesses(store.client) == []


def test_rows_of_the_runs_own_file_are_no_cohort(store: Store) -> None:
    with np.load(store.data) as file:
        arrays = {"test_images": file["test_images"], "test_labels": file["test_labels"]}
    path = store.folder / "copy.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="40 of its images are in test of .*--split test"):
        evaluate_cohort(store.single, path, "copy")
    with pytest.raises(DataError, match="no such file"):
        evaluate_cohort(store.single, store.folder / "gone.npz", "copy")


def test_other_names_of_the_classes(store: Store) -> None:
    arrays = cohort_arrays()
    flags = arrays["val_labels"]
    single = (flags.sum(1) == 1) & (flags[:, [1, 7]].sum(1) == 1)
    words = np.where(flags[single, 7] == 1, "air", "heart")
    path = store.folder / "words.npz"
    np.savez(path, val_images=arrays["val_images"][single], val_labels=words)
    with pytest.raises(DataError, match="YAML"):
        evaluate_cohort(store.single, path, "words")
    described = store.folder / "words.yaml"
    described.write_text(
        "name: words\ndata: {path: words.npz, classes: {cardiomegaly: [heart], pneumothorax: [air]}}\n"
    )
    assert evaluate_cohort(store.single, described, "words").prevalence == (words == "air").mean()
    described.write_text("name: words\ndata: {path: words.npz, classes: [heart, air]}\n")
    with pytest.raises(DataError, match="those of the run"):
        evaluate_cohort(store.single, described, "words")
