"""What a run must prove before it is promoted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mobilenet_chest.config.section import Section


class NotInferior(Section):
    """A run may be worse than another one by less than a margin, as far as the same validation images tell."""

    metric: Literal["val_auc_tta", "val_accuracy_crossfit"] = Field("val_auc_tta", description="What is compared.")
    margin: float = Field(ge=0, lt=1, description="What may be lost; 0.01 is one point.")
    confidence: float = Field(
        0.95, ge=0.8, lt=1, description="One-sided: a run that is worse by just the margin is refused this often."
    )


class NotInferiorTo(NotInferior):
    """The same, to a run that is named."""

    reference: str = Field(min_length=1, description="A study, which stands for its best trial, or a run id.")


class GatesConfig(Section):
    """Gates for promotion; none by default. They change no training, and no digest."""

    champion: NotInferior | None = Field(None, description="Not inferior to the version that the alias stands at.")
    baseline: NotInferiorTo | None = Field(None, description="Not inferior to a named study or run.")
    sensitivity: float | None = Field(None, gt=0, lt=1, description="Least, for the lower end of the 95% interval.")
    specificity: float | None = Field(None, gt=0, lt=1, description="Least, for the lower end of the 95% interval.")
    ece: float | None = Field(None, gt=0, lt=1, description="Largest calibration error on the validation images.")
    latency_ms: float | None = Field(None, gt=0, description="Longest for one image on this machine's CPU.")
    clean_git: bool = Field(False, description="Only a run of committed code.")
    same_data: bool = Field(False, description="Only a run of the rows that the alias's version was made from.")
    test_openings: int | None = Field(
        None, ge=1, description="At most so many openings of the test split, the promotion's own included."
    )
