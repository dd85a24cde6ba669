"""Which sampler a study has: the one that its experiment names, or the one that suits its search space."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from mobilenet_chest.config import Config
from mobilenet_chest.errors import MissingExtraError

GP_TRIALS = 200
"""Most trials for which ``auto`` takes the Gaussian process: the time to fit one grows with the cube of them."""


class SamplerChoice(NamedTuple):
    """A sampler and the reason for it.

    Attributes:
        name: Its name in ``study.sampler``.
        reason: Why ``auto`` has chosen it; empty where the experiment names it.
    """

    name: str
    reason: str = ""

    def __str__(self) -> str:
        """Return ``gp``, or ``gp, chosen by auto: …``."""
        return f"{self.name}, chosen by auto: {self.reason}" if self.reason else self.name


def choose_sampler(config: Config, stored: Mapping[str, Any] | None = None) -> SamplerChoice:
    """Return the sampler of a study.

    Args:
        config: The experiment.
        stored: What the study has stored of an earlier choice: with more trials, or on another machine, ``auto`` could
            choose otherwise, and a study keeps its sampler.
    """
    if config.study.sampler != "auto":
        return SamplerChoice(config.study.sampler)
    return SamplerChoice(**stored) if stored else _choose(config)


def check_sampler(choice: SamplerChoice) -> None:
    """Check that what a sampler needs is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if choice.name == "cmaes" and find_spec("cmaes") is None:
        raise MissingExtraError("study.sampler cmaes", "cmaes")


def _choose(config: Config) -> SamplerChoice:
    study, search = config.study, config.search
    if conditional := [path for path, distribution in search.items() if distribution.when]:
        return SamplerChoice("tpe", f"{conditional[0]} is searched under a condition")
    if listed := [path for path, distribution in search.items() if distribution.choices is not None]:
        return SamplerChoice("tpe", f"{listed[0]} has choices")
    if study.trials <= GP_TRIALS:
        return SamplerChoice("gp", f"ranges only, and {study.trials} trials are at most {GP_TRIALS}")
    if study.also or study.constraints:
        return SamplerChoice("tpe", f"more than {GP_TRIALS} trials, with several objectives or constraints")
    if find_spec("cmaes") is None:
        return SamplerChoice("tpe", f"more than {GP_TRIALS} trials, and the extra cmaes is not installed")
    return SamplerChoice("cmaes", f"ranges only, and {study.trials} trials are more than {GP_TRIALS}")
