"""Claims on record: made before the opening, answered by it, and told from those that were changed or came later."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.data.dataset import describe_test, load_test
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.evaluation.claim import chance_false
from mobilenet_chest.selection.claim import Claim, claim_hash
from mobilenet_chest.selection.claims import all_claims, claims, find_claims
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.selection.new_claim import new_claim
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from helpers.stores import Store

LOW = "auc >= 0.01 and specificity <= 0.999"


def study_claims(store: Store) -> list[Claim]:
    return claims(store.client, store.run(store.study_run))


def test_a_claim_is_on_record_and_opens_nothing(store: Store) -> None:
    made = new_claim("dropout-study", "auc>=0.9")
    assert [made] == study_claims(store) == find_claims(store.client, "dropout-study") == all_claims(store.client)
    best, test = store.run(store.trials[store.best]), load_test(store.config().data)
    assert (made.number, made.rule, made.run_id) == (1, "auc >= 0.9", best.info.run_id)
    assert made.threshold == metrics_of(best)["threshold"]
    assert (made.digest, made.images) == (test.digest[:16], tuple(test.rows_of_classes().values()))
    assert made.power is not None
    assert 0 <= made.power <= 1
    assert (made.edited, made.openings_before, made.answer) == (False, 0, None)
    assert accesses(store.client, best) == []
    stored = json.loads(store.run(store.study_run).data.params["test_claim_1"])
    assert stored["sha256"] == made.sha256 == claim_hash(stored["claim"])
    assert {"rule", "run_id", "threshold", "digest", "analysis", "when"} < stored["claim"].keys()


def test_the_opening_answers_claims_about_its_run(store: Store) -> None:
    run_id = store.trials[store.best]
    made = new_claim("dropout-study", LOW)
    new_claim(store.trials[1 - store.best], LOW)
    new_claim("dropout-study", "auc <= 0.001")
    evaluation = evaluate(run_id, "test")
    first, second, third = evaluation.claims
    (access,) = evaluation.openings
    assert access.claims == sorted(claim.sha256[:16] for claim in evaluation.claims)
    assert second.answer is None
    assert third.answer is not None
    assert (third.answer.verdict, third.answer.chance_false) == ("not held", None)
    assert first.answer is not None
    assert (first.edited, first.openings_before, first.answer.sha256) == (False, 0, made.sha256)
    assert [each.value for each in first.answer.conditions] == [
        evaluation.metrics["test_auc_tta"], evaluation.metrics["test_specificity"],
    ]  # fmt: skip
    ends = evaluation.intervals["test_auc_tta"]
    assert (first.answer.conditions[0].low, first.answer.conditions[0].high) == (ends.low, ends.high)
    assert (first.answer.images, first.answer.when) == (evaluation.rows, access.when)
    # two trials, none of them after the first opening; three claims
    assert (first.answer.openings, first.answer.trials, first.answer.trials_after) == (1, 2, 0)
    assert (first.answer.claims, first.answer.tries) == (3, 3)
    assert first.answer.verdict == "held"
    assert made.power is not None
    assert first.answer.chance_false == chance_false(3, made.power)


def test_a_claim_after_the_opening_is_shown_as_such(store: Store) -> None:
    before = new_claim(store.single, "auc >= 0.9")
    evaluate(store.single, "test")
    after = new_claim(store.single, "auc >= 0.5")
    assert (after.number, after.openings_before) == (2, 1)
    first, second = evaluate(store.single, "test", again=True).claims
    assert (first.sha256, first.openings_before) == (before.sha256, 0)
    assert (second.sha256, second.openings_before) == (after.sha256, 1)
    assert first.answer is not None
    assert second.answer is not None
    # the first answer stays that of the first opening
    assert (first.answer.openings, first.answer.tries) == (1, 1)
    assert (second.answer.openings, second.answer.tries) == (2, 3)


def rewrite(store: Store, run_id: str, name: str, value: str) -> None:
    """Change a parameter in the store's database, as MLflow itself never does."""
    with closing(sqlite3.connect(store.folder / "mlflow.db")) as database, database:
        database.execute("UPDATE params SET value = ? WHERE run_uuid = ? AND key = ?", (value, run_id, name))


def test_an_edited_claim_is_shown_as_such(store: Store) -> None:
    new_claim(store.single, "auc >= 0.9")
    evaluate(store.single, "test")
    entry = json.loads(store.run(store.single).data.params["test_claim_1"])
    entry["claim"]["conditions"][0]["bound"] = 0.5
    rewrite(store, store.single, "test_claim_1", json.dumps(entry))
    (claim,) = claims(store.client, store.run(store.single))
    assert claim.edited
    # with its hash made to fit it is still not what was answered, nor what was there before the opening
    entry["sha256"] = claim_hash(entry["claim"])
    rewrite(store, store.single, "test_claim_1", json.dumps(entry))
    (claim,) = claims(store.client, store.run(store.single))
    assert (claim.edited, claim.openings_before) == (True, 1)


def test_an_edited_claim_is_not_answered(store: Store) -> None:
    new_claim(store.single, "auc >= 0.9")
    entry = json.loads(store.run(store.single).data.params["test_claim_1"])
    entry["claim"]["threshold"] = 0.1
    rewrite(store, store.single, "test_claim_1", json.dumps(entry))
    (claim,) = evaluate(store.single, "test").claims
    assert (claim.edited, claim.answer) == (True, None)


def test_a_comparison_needs_test_results_of_the_other_run(store: Store) -> None:
    with pytest.raises(TrackingError, match="evaluate"):
        new_claim("dropout-study", "auc", store.single)
    evaluate(store.single, "test")
    made = new_claim("dropout-study", "auc", store.single, 0.3)
    assert (made.against, made.rule, made.openings_before) == (store.single, "auc difference >= -0.3", 0)
    assert made.against_threshold == metrics_of(store.run(store.single))["threshold"]
    assert made.power is not None
    (claim,) = evaluate(store.trials[store.best], "test").claims
    assert claim.answer is not None
    values = [metrics_of(store.run(run))["test_auc_tta"] for run in (store.trials[store.best], store.single)]
    assert claim.answer.conditions[0].value == pytest.approx(values[0] - values[1])
    # the other run's opening was one of these test rows
    assert claim.answer.openings == 2


def test_wrong_inputs_write_nothing(store: Store) -> None:
    wrong: list[tuple[type[UserError], tuple[str, ...]]] = [
        (UserError, (store.single, "auc")),
        (UserError, (store.single, "auc > 2")),
        (TrackingError, ("nothing", "auc >= 0.9")),
        (TrackingError, (store.interrupted, "auc >= 0.9")),
        (TrackingError, (store.single, "auc", store.single)),
    ]
    for error, arguments in wrong:
        with pytest.raises(error):
            new_claim(*arguments)
    with pytest.raises(UserError, match="--against"):
        new_claim(store.single, "auc >= 0.9", margin=0.1)
    assert all_claims(store.client) == []


def test_a_file_without_test_rows_is_refused(store: Store, rewrite_data: object) -> None:
    assert callable(rewrite_data)
    rewrite_data(test_images=None, test_labels=None)
    with pytest.raises(DataError, match="test_images"):
        new_claim(store.single, "auc >= 0.9")


def test_of_the_test_rows_only_digest_and_counts_are_told(store: Store) -> None:
    digest, counts = describe_test(store.config().data)
    assert len(digest) == 16
    assert sum(counts) == len(load_test(store.config().data))
