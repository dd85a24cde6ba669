"""The same name gives the same hash and arm, in every process with the same key, and nothing leads back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mobilenet_chest.deploy.identities import Identities, checked, new_request
from mobilenet_chest.errors import DataError


def test_hashes_are_those_of_the_key(tmp_path: Path) -> None:
    first, again, other = Identities(tmp_path), Identities(tmp_path), Identities(tmp_path / "other")
    assert first.of("r", "p") == again.of("r", "p")
    assert first.patient("p") != other.patient("p")
    assert first.patient("p") != first.request("p")
    assert len(first.patient("p")) == 32
    assert first.of("r", None).patient is None


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(lambda _: Identities(tmp_path / "logs").patient("p"), range(8)))
    assert len(hashes) == 1
    (key,) = (tmp_path / "logs").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600


def test_shares_are_even_and_a_patients_own(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    people = [identities.of(new_request(), f"p{number}") for number in range(2000)]
    shares = np.array([identities.share("films", person) for person in people])
    assert np.histogram(shares, 4, (0, 1))[0] == pytest.approx(500, abs=100)
    assert shares.tolist() == [
        identities.share("films", identities.of(new_request(), f"p{number}")) for number in range(2000)
    ]
    others = np.array([identities.share("other", person) for person in people])
    assert abs(np.corrcoef(shares, others)[0, 1]) < 0.1
    one = identities.of("r", None)
    assert identities.share("films", one) == identities.share("films", identities.of("r", None))


@pytest.mark.parametrize("name", ["", "  ", "x" * 257, "a\nb"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(DataError, match="Patient-Id"):
        checked("Patient-Id", name)
    assert checked("Patient-Id", " Ümit 3 ") == "Ümit 3"


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hello")
    with pytest.raises(DataError, match="key"):
        Identities(tmp_path)
    assert (tmp_path / "key").read_text() == "hello"
