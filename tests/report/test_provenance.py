"""Where a run comes from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mobilenet_chest.report.elements import Definitions
from mobilenet_chest.report.provenance import provenance

if TYPE_CHECKING:
    from report.conftest import Written


def test_the_page_has_the_run_s_id_and_digests(written: Written) -> None:
    store = written.store
    tags = store.run(store.trials[store.best]).data.tags
    shown = written.page.by_id("provenance").text
    for value in (store.trials[store.best], tags["data_digest"], tags["config_digest"], tags["git_commit"]):
        assert value in shown


@pytest.mark.parametrize(("dirty", "said"), [("true", True), ("false", False), (None, False)])
def test_uncommitted_changes_are_said_where_they_are_known(dirty: str | None, said: bool) -> None:
    tags = {"git_commit": "abc"} | ({} if dirty is None else {"git_dirty": dirty})
    run: Any = SimpleNamespace(run_id="r", run=SimpleNamespace(data=SimpleNamespace(tags=tags)))
    (definitions,) = provenance(run)
    assert isinstance(definitions, Definitions)
    pairs = dict(definitions.pairs)
    assert ("uncommitted" in pairs["code"]) is said
    assert pairs["data digest"] == "unknown"
