"""The table of baselines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mobilenet_chest.combine.baselines import baselines
from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError

Make = Callable[..., Config]


@pytest.mark.slow
@pytest.mark.alone
def test_rows(tiny: Make) -> None:
    model = {"name": "mobilenet_v3_small", "weights": "none", "hidden": []}
    configs = [tiny({"name": "one"}), tiny({"name": "two", "model": model})]
    rows = baselines(configs, {"mobilenet_v3_small": 2})
    trained = [row for row in rows if row.kind == "run"]
    assert [row.model for row in trained].count("mobilenet_v3_small") == 2
    assert len(trained) == 3
    for row in trained:
        assert row.metrics["latency_1_ms"] > 0
        assert row.metrics["latency_64_ms"] > row.metrics["latency_1_ms"]
        assert row.baseline["speed_ratio"] > 0
    assert [row.kind for row in rows[3:]] == ["reported"] * 6
    sizes = {row.name: row.parameters for row in trained}
    assert sizes["two, 2 seeds"] == 2 * (sizes["two"] or 0)
    # trained once: the same command again shows the same runs
    assert [row.run_id for row in baselines(configs, {"mobilenet_v3_small": 2})] == [row.run_id for row in rows]


def test_an_ensemble_of_what_is_not_there(tiny: Make) -> None:
    with pytest.raises(ConfigError, match="--ensemble densenet121: "):
        baselines([tiny()], {"densenet121": 5})
