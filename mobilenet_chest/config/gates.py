"""The section ``gates``: what a run must prove before it is promoted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mobilenet_chest.config.section import Section


class NotInferior(Section):
    """A gate: on the same validation images, a run must be worse than another run by less than a margin."""

    metric: Literal["val_auc_tta", "val_accuracy_crossfit"] = Field(
        "val_auc_tta", description="The metric that is compared."
    )
    margin: float = Field(ge=0, lt=1, description="What the metric may lose; 0.01 is one point.")
    confidence: float = Field(
        0.95, ge=0.8, lt=1, description="One-sided: a run that is worse by exactly the margin is refused this often."
    )


class NotInferiorTo(NotInferior):
    """The same gate against a named run."""

    reference: str = Field(min_length=1, description="A run id, or a study, which stands for its best trial.")


class GatesConfig(Section):
    """Gates for promotion; none by default. They change neither a training nor its digest."""

    champion: NotInferior | None = Field(None, description="Not inferior to the version that has the alias now.")
    baseline: NotInferiorTo | None = Field(None, description="Not inferior to a named study or run.")
    sensitivity: float | None = Field(
        None, gt=0, lt=1, description="Smallest allowed lower end of the sensitivity's 95% interval."
    )
    specificity: float | None = Field(
        None, gt=0, lt=1, description="Smallest allowed lower end of the specificity's 95% interval."
    )
    ece: float | None = Field(
        None, gt=0, lt=1, description="Largest allowed calibration error (ECE) on the validation images."
    )
    latency_ms: float | None = Field(
        None, gt=0, description="Largest allowed milliseconds for one image on this machine's CPU."
    )
    clean_git: bool = Field(False, description="Promote only runs of committed code.")
    same_data: bool = Field(
        False, description="Promote only runs of the same rows as the version that has the alias now."
    )
    test_openings: int | None = Field(
        None, ge=1, description="Largest allowed number of test-set accesses, the promotion's included."
    )
