"""One page about the small study, written once for all tests of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from helpers.pages import Page

from mobilenet_chest.report import Report, report
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.selection.new_claim import new_claim

if TYPE_CHECKING:
    from helpers.stores import Store


@dataclass(frozen=True)
class Written:
    """A page that was written: the store it is about, what ``report`` returned, and the page as a browser reads it."""

    store: Store
    report: Report
    page: Page


@pytest.fixture(scope="package")
def original(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A page about the study with the single training as baseline, after a claim and one access to the test split."""
    from helpers.stores import STUDY, copied, working_in

    copy = copied(finished, tmp_path_factory.mktemp("report") / "store")
    with working_in(copy.folder):
        for name, share in (("model.dropout", 0.75), ("stage2.lr", 0.25)):
            copy.client.log_metric(copy.study_run, f"importance.{name}", share)
        new_claim(STUDY, "auc >= 0.01")
        evaluate(copy.trials[copy.best], "test")
        made = report([STUDY], copy.folder / "report.html", baseline=copy.single, reported=True)
    return Written(copy, made, Page(made.out.read_text(encoding="utf-8")))


@pytest.fixture
def written(original: Written) -> Iterator[Written]:
    """The page, with its store as the working one."""
    from helpers.stores import working_in

    with working_in(original.store.folder):
        yield original
