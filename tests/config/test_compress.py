"""The section ``compress``: what it needs, and what belongs to the digest of a training."""

from __future__ import annotations

from typing import Any

import pytest

from mobilenet_chest.config import Config, parse, with_values
from mobilenet_chest.errors import ConfigError

PRUNED = {"name": "p", "stage1": {"epochs": 0}, "compress": {"method": "prune", "parent": "abcd1234", "ratio": 0.5}}


def pruned(**changes: Any) -> Config:
    """Return an experiment that prunes, with some fields of ``compress`` changed."""
    return parse(PRUNED | {"compress": PRUNED["compress"] | changes})  # type: ignore[operator]


def test_an_experiment_without_it_has_the_digest_of_earlier_versions() -> None:
    config = parse({"name": "p"})
    assert not config.compress.active
    assert config.digest() == "691a2d6af34b50b7"


def test_the_digest_knows_the_weights_and_not_the_run() -> None:
    config = pruned(weights_sha256="a" * 64)
    assert pruned(weights_sha256="a" * 64, parent="another").digest() == config.digest()
    others = [pruned(weights_sha256="b" * 64), pruned(weights_sha256="a" * 64, ratio=0.4), parse({"name": "p"})]
    assert len({config.digest(), *(other.digest() for other in others)}) == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"compress": {"method": "prune"}}, "compress"),
        ({"compress": {"parent": "abcd1234"}}, "method: none"),
        ({"compress": {"method": "prune", "parent": "abcd1234", "ratio": 1.0}}, "ratio"),
        ({"compress": {"method": "prune", "parent": "abcd1234", "weights_sha256": "x"}}, "weights_sha256"),
        ({"stage1": {"epochs": 3}}, "stage1.epochs 3"),
        ({"search": {"stage2.lr": {"low": 1e-4, "high": 1e-3}}, "study": {"resampling": "kfold"}}, "kfold"),
        ({"search": {"compress.parent": {"choices": ["a", "b"]}}}, "compress.parent"),
    ],
)
def test_what_does_not_go_together_is_one_line(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(PRUNED | changes)
    (line,) = caught.value.problems
    assert named in line


def test_the_ratio_can_be_searched() -> None:
    config = parse(PRUNED | {"search": {"compress.ratio": {"low": 0.1, "high": 0.6}}})
    assert with_values(config, {"compress.ratio": 0.25}).compress.ratio == 0.25
