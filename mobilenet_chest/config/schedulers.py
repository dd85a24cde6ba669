"""The sections ``study.asha``, ``study.freeze_thaw`` and ``study.stop_when``: when trials pause, and a study ends."""

from __future__ import annotations

from pydantic import Field, field_validator

from mobilenet_chest.config.formats import seconds_of
from mobilenet_chest.config.section import Section


class AshaConfig(Section):
    """The rungs of asynchronous successive halving, at which trials are paused."""

    reduction: int = Field(3, ge=2, description="The best 1/reduction of the trials that have reached a rung go on.")
    first: int | None = Field(
        None,
        ge=1,
        description="Epoch of the first rung, counted over both stages; each further rung is `reduction` times as far. "
        "Unset: the second epoch of stage 2, or 1/reduction² of all epochs where that is later.",
    )


class FreezeThawConfig(Section):
    """The slices of epochs that ``scheduler: freeze_thaw`` gives out."""

    slice: int = Field(
        1, ge=1, description="Epochs of stage 2 that a trial is given at a time, after which it may be paused."
    )


class StopWhenConfig(Section):
    """When a study ends before its last trial: no trial, begun or new, is expected to gain so much in so long."""

    gain: float = Field(0.001, gt=0, description="Expected gain of the best value of the study's metric.")
    per: str = Field("1h", description="Time in which it is gained: 90s, 30m, 2h, 1d.")

    @field_validator("per")
    @classmethod
    def _readable_time(cls, value: str) -> str:
        if not seconds_of(value):
            raise ValueError(f"per {value}: write a number above 0 and a unit, such as 90s, 30m, 2h or 1d")
        return value

    @property
    def gain_per_second(self) -> float:
        """The gain in one second."""
        seconds = seconds_of(self.per)
        assert seconds is not None
        return self.gain / seconds
