"""What an experiment may say of its scheduler, and of the end of a study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.config.schedulers import StopWhenConfig
from mobilenet_chest.errors import ConfigError

Make = Callable[..., Config]

ASHA, FREEZE_THAW = ({"scheduler": name, "pruner": "none"} for name in ("asha", "freeze_thaw"))
LR = {"search": {"stage2.lr": {"choices": [1e-3, 1e-2]}}}
STAGES = {"stage1": {"epochs": 5}, "stage2": {"epochs": 10}}


@pytest.mark.parametrize(
    ("fields", "study", "named"),
    [
        ({}, ASHA | {"pruner": "median"}, "set pruner: none"),
        ({}, ASHA | {"resampling": "kfold"}, "kfold"),
        ({}, ASHA | {"also": ["parameters"]}, "remove also"),
        ({}, ASHA | {"metric": "val_sensitivity"}, "val_auc"),
        ({}, ASHA | {"scheduler": "none", "asha": {"reduction": 2}}, "set scheduler: asha"),
        ({}, ASHA | {"asha": {"first": 15}}, "1 to 14"),
        ({}, ASHA | {"asha": {"reduction": 1}}, "reduction"),
        ({"stage1": {"epochs": 0}, "stage2": {"epochs": 1}}, ASHA, "2 or more"),
        ({}, FREEZE_THAW | {"pruner": "median"}, "set pruner: none"),
        ({}, FREEZE_THAW | {"resampling": "kfold"}, "kfold"),
        ({}, FREEZE_THAW | {"also": ["parameters"]}, "remove also"),
        ({}, FREEZE_THAW | {"metric": "val_sensitivity"}, "val_auc"),
        ({}, FREEZE_THAW | {"asha": {"reduction": 2}}, "set scheduler: asha"),
        ({}, FREEZE_THAW | {"scheduler": "none", "freeze_thaw": {"slice": 2}}, "set scheduler: freeze_thaw"),
        ({}, ASHA | {"stop_when": {"gain": 0.01}}, "remove stop_when"),
        ({}, FREEZE_THAW | {"freeze_thaw": {"slice": 10}}, "stage2.epochs 10"),
        ({}, FREEZE_THAW | {"freeze_thaw": {"slice": 0}}, "slice"),
        ({}, FREEZE_THAW | {"stop_when": {"gain": 0}}, "gain"),
        ({}, FREEZE_THAW | {"stop_when": {"per": "soon"}}, "90s, 30m"),
        ({}, FREEZE_THAW | {"stop_when": {"per": "0h"}}, "above 0"),
        ({"search": {"stage2.epochs": {"low": 5, "high": 9}}}, FREEZE_THAW, "search.stage2.epochs"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    phantom_config: Make, fields: dict[str, Any], study: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        phantom_config(LR | STAGES | fields | {"study": study})
    assert len(caught.value.problems) == 1
    assert named in caught.value.problems[0]


def test_the_end_of_a_study(phantom_config: Make) -> None:
    usual, given = (phantom_config(LR | STAGES | {"study": FREEZE_THAW | more}).study.stop_rule
                    for more in ({}, {"stop_when": {"per": "30m"}}))  # fmt: skip
    assert usual == StopWhenConfig(gain=0.001, per="1h")
    assert usual.gain_per_second == pytest.approx(0.001 / 3600)
    assert given.gain_per_second == pytest.approx(0.001 / 1800)
