"""Names that a registered model and an alias may have, and the tag that remembers the alias's last version."""

from __future__ import annotations

import pytest

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.promotion import check_names, previous_tag


@pytest.mark.parametrize(
    ("name", "alias"), [("chest", "champion"), ("0 a.b_c-d", "A-1_b"), ("x" * 120, "y" * 100), ("v1", "version1")]
)
def test_names_that_an_address_can_hold(name: str, alias: str) -> None:
    check_names(name, alias)
    address = digests.ADDRESS.fullmatch(f"models:/{name}@{alias}")
    assert address is not None
    assert address.groups() == (name, alias, None)


@pytest.mark.parametrize("name", ["", " chest", "chest/model", "chest@x", "x" * 121, ".chest"])
def test_a_name_that_is_refused(name: str) -> None:
    with pytest.raises(TrackingError, match="--name"):
        check_names(name, "champion")


@pytest.mark.parametrize("alias", ["", "1st", "latest", "v1", "V12", "a b", "a@b", "y" * 101])
def test_an_alias_that_is_refused(alias: str) -> None:
    with pytest.raises(TrackingError, match="--alias"):
        check_names("chest", alias)


def test_each_alias_has_its_own_tag() -> None:
    assert previous_tag("champion") == "previous_champion"
