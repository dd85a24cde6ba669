"""The section ``evaluation``: how the best epoch and the threshold are chosen."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mobilenet_chest import plugins
from mobilenet_chest.config.metrics import EPOCH_METRICS, STRESS_METRICS, is_epoch_metric
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import allowed_names


class StressConfig(Section):
    """Validation on copies of val as another scanner, technician or archive would make them."""

    every: int = Field(
        15,
        ge=1,
        description="Epochs between two stressed ones. The first and the last of a stage are stressed, and none so "
        "near before the last.",
    )
    table: bool = Field(
        True, description="At the end predict all rows under every corruption and severity: 85 validations more."
    )


class EvaluationConfig(Section):
    """How the best epoch and the threshold are chosen; always on the validation split."""

    metric: str = Field(
        "val_accuracy",
        description=f"Metric that chooses the best epoch: {', '.join(EPOCH_METRICS)}, a plugin's metric, or with "
        f"stress {', '.join(STRESS_METRICS)}; patience counts epochs without a new best.",
    )
    stress: StressConfig | None = Field(None, description="Stressed validation; null: clean images only.")
    threshold_on: Literal["clean", "stress"] = Field(
        "clean", description="Images that choose the threshold: val, or with stress the stressed copies of val."
    )
    threshold_low: float = Field(0.30, gt=0, lt=1, description="Lowest threshold that is tried.")
    threshold_high: float = Field(0.70, gt=0, lt=1, description="Highest threshold that is tried.")
    threshold_step: float = Field(0.01, gt=0, lt=1, description="Distance between thresholds.")
    folds: int = Field(5, ge=2, description="Folds of cross-fitted metrics.")

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if not is_epoch_metric(value):
            known = [*EPOCH_METRICS, *STRESS_METRICS, *plugins.names("metric")]
            raise ValueError(f"unknown metric '{value}'{allowed_names(value, known)}")
        return value

    @model_validator(mode="after")
    def _stress_is_on(self) -> Self:
        if self.stress is None and self.metric in STRESS_METRICS:
            raise ValueError(f"metric {self.metric} needs stressed validation; add stress: {{every: 15}}")
        if self.stress is None and self.threshold_on == "stress":
            raise ValueError("threshold_on stress needs stressed validation; add stress: {every: 15}")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.threshold_low > self.threshold_high:
            raise ValueError(
                f"threshold_low {self.threshold_low:g} is above threshold_high {self.threshold_high:g}; swap them"
            )
        return self
