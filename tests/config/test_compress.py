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
        ({"compress": {"method": "int8-qat", "parent": "abcd1234", "ratio": 0.3}}, "ratio 0.3: method int8-qat"),
        ({"compress": {"method": "int8-qat", "parent": "abcd1234", "target": {"flops": 0.5}}}, "target flops 0.5"),
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


def test_a_target_is_the_same_training_whatever_ratio_is_found() -> None:
    target = {"ratio": None, "target": {"flops": 0.5}, "weights_sha256": "a" * 64}
    config = pruned(**target)
    assert config.compress.share == 0.3
    found = pruned(**target | {"ratio": 0.275, "reached": 0.49})
    assert found.digest() == config.digest()
    assert found.compress.share == 0.275
    assert pruned(**target | {"target": {"latency_ms": 2.0}}).digest() != config.digest()


def test_the_default_ratio_has_the_digest_of_the_same_number() -> None:
    assert pruned(ratio=None).digest() == pruned(ratio=0.3).digest() != pruned(ratio=0.31).digest()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"target": {"flops": 0.5}}, "ratio 0.5 and target flops 0.5"),
        ({"ratio": None, "target": {"flops": 0.5, "latency_ms": 3}}, "two targets"),
        ({"ratio": None, "target": {"flops": 1.5}}, "target.flops"),
        ({"ratio": None, "target": {"latency_ms": 0}}, "target.latency_ms"),
        ({"ratio": None, "target": {"flops": 0.5}, "method": "unstructured"}, "method prune, not unstructured"),
        ({"reached": 0.5}, "reached 0.5"),
    ],
)
def test_targets_that_cannot_be(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pruned(**changes)
    (line,) = caught.value.problems
    assert named in line


def test_a_target_leaves_no_ratio_to_search() -> None:
    fields = PRUNED | {"compress": {"method": "prune", "parent": "abcd1234", "target": {"flops": 0.5}}}
    for path in ("compress.ratio", "compress.target.flops"):
        with pytest.raises(ConfigError, match=path):
            parse(fields | {"search": {path: {"low": 0.1, "high": 0.6}}})


def test_the_ratio_can_be_searched() -> None:
    config = parse(PRUNED | {"search": {"compress.ratio": {"low": 0.1, "high": 0.6}}})
    assert with_values(config, {"compress.ratio": 0.25}).compress.ratio == 0.25


def test_a_ratio_of_nothing_is_not_searched() -> None:
    fields = {"name": "p", "search": {"compress.ratio": {"low": 0.1, "high": 0.6}}}
    with pytest.raises(ConfigError, match=r"search\.compress\.ratio: with compress\.method none"):
        parse(fields)


@pytest.mark.parametrize("base", ["prune", "int8-qat"])
def test_the_method_can_be_searched(base: str) -> None:
    searched = {"compress.method": {"choices": ["prune", "int8-qat"]},
                "compress.ratio": {"choices": [0.25, 0.5], "when": {"compress.method": "prune"}}}  # fmt: skip
    config = parse(PRUNED | {"compress": {"method": base, "parent": "abcd1234"}, "search": searched})
    assert with_values(config, {"compress.method": "int8-qat"}).compress.quantizes
    pruned = with_values(config, {"compress.method": "prune", "compress.ratio": 0.25}).compress
    assert (pruned.method, pruned.share) == ("prune", 0.25)


@pytest.mark.parametrize(
    ("compress", "choices", "named"),
    [
        ({"method": "prune", "parent": "abcd1234"}, ["prune", "none"], "compress.method=none"),
        ({"method": "prune", "parent": "abcd1234"}, ["prune", "fp16"], "compress.method=fp16"),
        ({"method": "prune", "parent": "abcd1234", "ratio": 0.5}, ["prune", "int8-qat"], "compress.method=int8-qat"),
        ({"method": "none"}, ["prune", "int8-qat"], "give compress.parent: RUN_ID .compress.method=prune"),
    ],
)
def test_a_searched_method_that_cannot_be_done_is_refused(
    compress: dict[str, object], choices: list[str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        parse(PRUNED | {"compress": compress, "search": {"compress.method": {"choices": choices}}})


def test_integers_have_no_ratio() -> None:
    config = pruned(method="int8-qat", ratio=None)
    assert config.compress.quantizes
    assert not pruned().compress.quantizes
    assert parse(config.resolved()) == config
