"""Earlier studies for tests: stored ones whose trials were told, and summaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.space import to_optuna
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.study_summary import StudySummary

LR = {"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True}}
Make = Callable[..., Config]
Tell = Callable[..., optuna.Study]


def summary(
    name: str, values: Mapping[float, float | None], path: str = "stage2.lr", search: Any = None, **fields: Any
) -> StudySummary:  # fmt: skip
    """Return a study whose trials have each value of a field and that of the metric; ``None`` for a pruned trial."""
    trials = [
        {"number": number, "state": "PRUNED" if value is None else "COMPLETE", "params": {path: place},
         "value": value, "seconds": 1.0}
        for number, (place, value) in enumerate(values.items())
    ]  # fmt: skip
    common = {"name": name, "metric": "val_auc", "direction": "maximize", "search": search or LR, "trials": trials}
    return StudySummary.model_validate(common | fields)


@pytest.fixture
def tell(phantom_config: Make) -> Iterator[Tell]:
    """Makes a study in a storage whose trials have parameters and values; ``None`` for one that failed."""
    opened: list[optuna.Study] = []

    def make(url: str, name: str, trials: Sequence[tuple[Mapping[str, Any], float | None]], **fields: Any) -> Any:
        config = phantom_config({"name": name, "search": LR, "study": {"trials": max(1, len(trials))}} | fields)
        study = open_or_create(config, url)
        opened.append(study)
        for params, value in trials:
            study.add_trial(optuna.trial.create_trial(
                params=dict(params),
                distributions={path: to_optuna(path, config.search[path]) for path in params},
                value=value,
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
            ))  # fmt: skip
        return study

    yield make
    for study in opened:
        backend = getattr(study._storage, "_backend", study._storage)
        backend.remove_session()
        backend.engine.dispose()
