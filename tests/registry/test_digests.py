"""Digests of a model folder, and a copy that is checked against them before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.registry import Promoted, artifact
from helpers.stores import STUDY

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.registry import digests
from mobilenet_chest.tracking import tags


def test_every_file_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "inner" / "empty").mkdir(parents=True)
    (tmp_path / "b.txt").write_bytes(b"b")
    (tmp_path / "inner" / "a.txt").write_bytes(b"")
    assert digests.folder_digests(tmp_path) == {
        "b.txt": hashlib.sha256(b"b").hexdigest(),
        "inner/a.txt": hashlib.sha256(b"").hexdigest(),
    }


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(TrackingError, match="link is neither"):
        digests.folder_digests(tmp_path)


def test_the_tag_is_sorted_json() -> None:
    assert digests.digests_tag({"b": "2", "a": "1"}) == '{"a": "1", "b": "2"}'


@pytest.mark.parametrize("address", ["models:/tiny@champion", "models:/tiny/1"])
def test_a_version_by_alias_and_by_number(promoted: Promoted, address: str) -> None:
    store, promotion = promoted
    version = digests.find_version(store.client, address)
    assert (version.name, str(version.version), version.run_id) == ("tiny", "1", promotion.run_id)


def test_a_promoted_study_and_its_run_are_their_newest_version(promoted: Promoted) -> None:
    store, promotion = promoted
    assert promotion.name not in (STUDY, promotion.run_id)
    for reference in (STUDY, promotion.run_id, promotion.run_id[:8]):
        assert digests.promoted_address(store.client, reference) == "models:/tiny/1"
    for reference in ("tiny", "tiny@challenger", "tiny/7", "models:/tiny@champion", "nothing"):
        assert digests.promoted_address(store.client, reference) == digests.model_address(reference)


def test_a_run_that_was_not_promoted_is_to_be(promoted: Promoted) -> None:
    store, _ = promoted
    with pytest.raises(
        TrackingError, match=f"run {store.single[:8]} is not registered; .* promote {store.single[:6]}$"
    ):
        digests.promoted_address(store.client, store.single[:6])


@pytest.mark.parametrize(
    "address", ["tiny", "models:/tiny", "models:/tiny@challenger", "models:/tiny/7", "models:/t@a"]
)
def test_an_address_of_nothing(promoted: Promoted, address: str) -> None:
    with pytest.raises(TrackingError) as caught:
        digests.find_version(promoted[0].client, address)
    assert f"model {address}: " in str(caught.value)
    assert "models:/NAME/VERSION" in str(caught.value)
    name = address.removeprefix("models:/").partition("@")[0].partition("/")[0]
    assert (f"promote RUN_ID --name {name}" in str(caught.value)) == ("@" in address or address.count("/") == 2)


def test_the_copy_is_what_was_promoted(promoted: Promoted) -> None:
    client = promoted[0].client
    version = client.get_model_version("tiny", "1")
    with digests.verified_copy(client, version) as folder:
        assert digests.folder_digests(folder) == json.loads(version.tags[tags.FILE_DIGESTS])
    assert not folder.exists()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "served.py").write_text("x"), "served.py was changed"),
        (lambda folder: (folder / "served.py").unlink(), "served.py is missing"),
        (lambda folder: (folder / "extra.py").write_text("x"), "extra.py was added"),
    ],
    ids=["changed", "missing", "added"],
)
def test_changed_files_are_not_loaded(promoted: Promoted, damage: Callable[[Path], Any], named: str) -> None:
    store, promotion = promoted
    (model,) = (path.parent for path in artifact(store, promotion.run_id).glob("*/MLmodel"))
    damage(model)
    with (
        pytest.raises(TrackingError, match=named),
        digests.verified_copy(store.client, store.client.get_model_version("tiny", "1")),
    ):
        pytest.fail("the block ran")


@pytest.mark.parametrize("value", [None, "nonsense", "[]"], ids=["no tag", "no JSON", "no object"])
def test_without_digests_nothing_is_loaded(promoted: Promoted, value: str | None) -> None:
    store, promotion = promoted
    store.client.delete_model_version_tag("tiny", "1", tags.FILE_DIGESTS)
    if value is not None:
        store.client.set_model_version_tag("tiny", "1", tags.FILE_DIGESTS, value)
    with (
        pytest.raises(TrackingError, match=f"models:/tiny/1: .*digests .*{promotion.run_id[:8]}"),
        digests.verified_copy(store.client, store.client.get_model_version("tiny", "1")),
    ):
        pytest.fail("the block ran")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("films", "models:/films@champion"),
        ("films@challenger", "models:/films@challenger"),
        ("films/3", "models:/films/3"),
        ("models:/films@champion", "models:/films@champion"),
        ("runs:/0123", "runs:/0123"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert digests.model_address(text) == address
