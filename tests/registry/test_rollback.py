"""Rollback: to each earlier version in turn, and only to one whose files are intact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.registry import queue
from mobilenet_chest.registry.digests import find_version
from mobilenet_chest.registry.promotion import Promotion, previous_tag
from mobilenet_chest.registry.rollback import rollback
from mobilenet_chest.tracking import tags

if TYPE_CHECKING:
    from helpers.stores import Store

Promoted = tuple["Store", Promotion]


def champion(store: Store) -> str | None:
    return queue.alias_version(store.client, "tiny", "champion")


def promoted_again(store: Store) -> str:
    """A further version of the same files, as a promotion leaves it."""
    first, before = store.client.get_model_version("tiny", "1"), champion(store)
    version_tags = {tags.PROMOTION: queue.DONE, "sha256": first.tags["sha256"], previous_tag("champion"): str(before)}
    version = str(store.client.create_model_version("tiny", first.source, first.run_id, tags=version_tags).version)
    store.client.set_registered_model_alias("tiny", "champion", version)
    return version


@pytest.mark.slow
def test_back_one_by_one_and_on_again(promoted: Promoted) -> None:
    store, promotion = promoted
    second, third = promoted_again(store), promoted_again(store)
    assert (second, third, champion(store)) == ("2", "3", "3")
    back = rollback("tiny")
    assert (back.name, back.version, back.alias, back.run_id) == ("tiny", "2", "champion", promotion.run_id)
    assert back.promoted
    assert back.reasons == ["the alias 'champion' went back from version 3 to version 2, whose files are intact"]
    assert back.test == promotion.test
    assert rollback("tiny").version == "1"
    with pytest.raises(PromotionRefused, match="version 1 .*'champion' of 'tiny'"):
        rollback("tiny")
    assert champion(store) == "1"
    # numbers 4 and 5, and that of the refused third, were places in the queue
    last = promoted_again(store)
    assert int(last) > 5
    assert rollback("tiny").version == "1"
    assert {str(v.version) for v in store.client.search_model_versions("name = 'tiny'")} == {"1", "2", "3", last}
    assert all(v.tags[tags.PROMOTION] == queue.DONE for v in store.client.search_model_versions("name = 'tiny'"))


def test_a_dry_run_says_where_to(promoted: Promoted) -> None:
    store, _ = promoted
    promoted_again(store)
    plan = rollback("tiny", dry_run=True)
    assert (plan.version, plan.promoted) == (None, False)
    assert plan.reasons == ["the alias 'champion' would go back from version 2 to version 1"]
    assert champion(store) == "2"


def test_not_to_changed_files(promoted: Promoted) -> None:
    store, _ = promoted
    promoted_again(store)
    (code,) = (path for path in store.folder.glob("mlruns/*/*/artifacts/model-*/served.py"))
    code.write_text(code.read_text() + "\n")
    with pytest.raises(TrackingError, match="models:/tiny/1: .*served.py was changed"):
        rollback("tiny")
    assert champion(store) == "2"
    assert {str(v.version) for v in store.client.search_model_versions("name = 'tiny'")} == {"1", "2"}


def test_not_to_a_version_that_is_gone(promoted: Promoted) -> None:
    store, _ = promoted
    promoted_again(store)
    store.client.delete_model_version("tiny", "1")
    with pytest.raises(PromotionRefused, match="version 1 of 'tiny'.*'champion'.*version 2"):
        rollback("tiny")
    assert champion(store) == "2"


def test_where_the_version_of_the_alias_is_gone(promoted: Promoted) -> None:
    store, promotion = promoted
    left = rf"left: version 1 \(run {promotion.run_id[:8]}\)"
    store.client.delete_model_version("tiny", promoted_again(store))
    with pytest.raises(TrackingError, match=rf"alias 'champion'.*{left}"):
        rollback("tiny")
    with pytest.raises(TrackingError, match=rf"models:/tiny@champion.*{left}"):
        find_version(store.client, "models:/tiny@champion")
    with pytest.raises(TrackingError, match=r"models:/tiny/2.*version 1 "):
        find_version(store.client, "models:/tiny/2")
    store.client.delete_model_version("tiny", "1")
    with pytest.raises(TrackingError, match=r"left: none.*promote RUN_ID --name tiny"):
        rollback("tiny")


def test_names_that_are_not_there(promoted: Promoted) -> None:
    with pytest.raises(TrackingError, match=r"'tinny' .*'champion'.*'tiny'.*\(registered: tiny\)"):
        rollback("tinny")
    with pytest.raises(TrackingError, match="'tiny' .*'challenger'"):
        rollback("tiny", "challenger")


@pytest.mark.parametrize("arguments", [["--rollback", "tiny"], ["--rollback", "--name", "tiny"]])
def test_on_the_command_line(arguments: list[str], promoted: Promoted) -> None:
    store, promotion = promoted
    promoted_again(store)
    result = CliRunner().invoke(app, ["promote", *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert {"name", "version", "alias", "run_id", "promoted", "reasons", "test", "openings"} <= document.keys()
    assert document["test"] == promotion.test
    assert [opening["result"] for opening in document["openings"]] == [promotion.test]
    assert (document["version"], document["run_id"], document["promoted"]) == ("1", promotion.run_id, True)
    none = CliRunner().invoke(app, ["promote", *arguments])
    assert none.exit_code == 3
    assert "version 1 is the first" in none.stderr


def test_an_unknown_model_on_the_command_line(tracking: Path) -> None:
    result = CliRunner().invoke(app, ["promote", "--rollback", "nobody"])
    assert result.exit_code == 2
    assert "'nobody'" in result.stderr
