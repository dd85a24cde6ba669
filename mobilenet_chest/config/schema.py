"""The experiment schema: every field a YAML experiment can set, its type, range and default.

Defaults are the source report's recipe (section 8.1), so an experiment file states only what differs. Models are
frozen and refuse unknown keys; checks that involve more than one field stand beside the fields they involve.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mobilenet_chest.errors import nearest

MODEL_NAMES = ("mobilenet_v3_large", "densenet121", "efficientnet_lite0")
"""Architectures of the zoo; ``timm:<name>`` is accepted besides."""

EPOCH_METRICS = ("val_loss", "val_accuracy", "val_auc")
"""What is known after every epoch: what early stopping, checkpoint selection and pruning can look at."""

FINAL_METRICS = (
    *EPOCH_METRICS,
    "val_auc_tta",
    "val_accuracy_threshold",
    "val_accuracy_tta",
    "val_accuracy_tta_threshold",
    "val_accuracy_crossfit",
    "val_sensitivity",
    "val_specificity",
)
"""What is known of a finished run: what a study can optimise."""

EpochMetric = Literal["val_loss", "val_accuracy", "val_auc"]


def best_direction(metric: str) -> Literal["maximize", "minimize"]:
    """The direction in which ``metric`` gets better: losses fall, everything else rises."""
    return "minimize" if metric == "val_loss" else "maximize"


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


class DataConfig(Section):
    """Which images, which two classes, at which size."""

    dataset: str = Field("chestmnist", description="A 2D MedMNIST name, or 'phantom' for embedded synthetic data.")
    classes: tuple[str, str] | None = Field(
        None, description="Names of class 0 and class 1; needed for sets with more than two labels."
    )
    source_size: Literal[28, 64, 128, 224] = Field(28, description="Side in pixels of the stored images.")
    image_size: int = Field(128, ge=16, le=1024, description="Side in pixels the network sees (bicubic resize).")
    path: Path | None = Field(None, description="A local .npz in MedMNIST layout, used instead of a download.")
    root: Path = Field(Path("~/.medmnist"), description="Folder of downloaded files; the one medmnist uses.")

    @field_validator("path", "root")
    @classmethod
    def _full_path(cls, value: Path | None) -> Path | None:
        # absolute, so that a run's recorded experiment can be read again from any folder
        return None if value is None else value.expanduser().absolute()

    @model_validator(mode="after")
    def _phantom_has_no_file(self) -> Self:
        if self.dataset == "phantom" and self.path is not None:
            raise ValueError("dataset 'phantom' is generated; remove path, or name the MedMNIST set it imitates")
        return self


class ModelConfig(Section):
    """The network: a pretrained backbone and a fully connected head with one logit."""

    name: str = Field("mobilenet_v3_large", description=f"One of {', '.join(MODEL_NAMES)}, or timm:<name>.")
    weights: str = Field("imagenet", min_length=1, description="'imagenet', 'none', or a path to a state dict.")
    stem: Literal["mean", "sum", "repeat"] = Field(
        "mean", description="How a three-channel stem takes one gray channel; RGB sets keep the stem as it is."
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1280, 640), description="Widths of the head's hidden layers; [] is one linear layer."
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout before the next layer, halved at each layer.")

    @field_validator("name")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value in MODEL_NAMES or (value.startswith("timm:") and len(value) > len("timm:")):
            return value
        raise ValueError(
            f"unknown model '{value}'{nearest(value, MODEL_NAMES)} Allowed: {', '.join(MODEL_NAMES)}, timm:<name>"
        )


class AugmentConfig(Section):
    """Random changes to training images."""

    hflip: float = Field(0.5, ge=0, le=1, description="Probability of a horizontal flip.")


class LossConfig(Section):
    """The training loss on the logit."""

    name: Literal["bce", "focal"] = Field("bce", description="Binary cross-entropy, or focal loss.")
    focal_gamma: float | None = Field(None, ge=0, description="Focusing parameter of the focal loss; 2 when unset.")

    @model_validator(mode="after")
    def _gamma_needs_focal(self) -> Self:
        if self.name != "focal" and self.focal_gamma is not None:
            raise ValueError(f"focal_gamma belongs to name: focal, not to '{self.name}'")
        return self


class OptimizerConfig(Section):
    """Everything about the update step that both stages share."""

    name: Literal["adamw"] = Field("adamw", description="AdamW.")
    weight_decay: float = Field(0.01, ge=0)
    batch_size: int = Field(48, ge=1, description="Images in one forward pass.")
    accumulation: int = Field(2, ge=1, description="Batches whose gradients make one step.")
    clip_norm: float | None = Field(1.0, gt=0, description="Largest L2 norm of the gradient; null for no clipping.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto is fp16 with loss scaling on CUDA and fp32 elsewhere; fp16 needs CUDA."
    )


class StageConfig(Section):
    """One of the two training stages."""

    epochs: int = Field(ge=0, description="0 leaves the stage out.")
    lr: float = Field(gt=0, description="Learning rate after warm-up.")
    schedule: Literal["constant", "cosine"] = Field("constant", description="cosine decays to 0 at the last step.")
    warmup_epochs: float = Field(0, ge=0, description="Epochs of linear warm-up, fractions allowed.")
    patience: int | None = Field(None, ge=1, description="Epochs without a new best before the stage ends.")

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs > 0 and self.warmup_epochs >= self.epochs > 0:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} must be less than epochs {self.epochs}")
        return self


class Stage1Config(StageConfig):
    """The frozen stage: the head learns, the backbone and its BatchNorm statistics stay fixed."""

    epochs: int = Field(30, ge=0, description="0 leaves the stage out.")
    lr: float = Field(1e-3, gt=0, description="Learning rate after warm-up.")


class Stage2Config(StageConfig):
    """Full fine-tuning from the best state of stage 1."""

    epochs: int = Field(120, ge=0, description="0 leaves the stage out.")
    lr: float = Field(1e-4, gt=0, description="Learning rate after warm-up.")
    patience: int | None = Field(40, ge=1, description="Epochs without a new best before the stage ends.")


class EvaluationConfig(Section):
    """How the best epoch and the threshold are chosen, always on the validation split."""

    metric: EpochMetric = Field("val_accuracy", description="Chooses the best epoch; patience counts on it.")
    threshold_low: float = Field(0.30, gt=0, lt=1)
    threshold_high: float = Field(0.70, gt=0, lt=1)
    threshold_step: float = Field(0.01, gt=0, lt=1)
    folds: int = Field(5, ge=2, description="Folds of the cross-fitted accuracy.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.threshold_low > self.threshold_high:
            raise ValueError(
                f"threshold_low {self.threshold_low:g} must not exceed threshold_high {self.threshold_high:g}"
            )
        return self


class TrackingConfig(Section):
    """What goes to MLflow besides what always does; where to is up to MLflow's own environment variables."""

    experiment: str | None = Field(None, min_length=1, description="MLflow experiment; the file's name when unset.")
    keep_checkpoints: int = Field(3, ge=0, description="A sweep keeps the checkpoints of this many best trials.")
    system_metrics: bool = Field(False, description="Log CPU, memory and GPU use of each run.")


class Distribution(Section):
    """Values that a sweep may give to one field: a range (low, high) or a list of choices."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(False, description="Sample the logarithm uniformly.")
    step: float | None = Field(None, gt=0, description="Distance between allowed values.")
    choices: tuple[bool | int | float | str, ...] | None = Field(None, min_length=1)
    when: dict[str, bool | int | float | str] = Field(
        {}, description="Only when these searched fields have these values."
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("give either choices, or low and high")
            if len({repr(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"choices {list(self.choices)} holds a value twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a distribution needs low and high, or choices")
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is greater than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs low above 0, not {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class StudyConfig(Section):
    """How the search goes about it."""

    name: str | None = Field(None, min_length=1, description="Name of the study; the file's name when unset.")
    trials: int = Field(20, ge=1, description="Trials in all; running again continues up to this number.")
    sampler: Literal["tpe", "random", "qmc", "grid"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    metric: str = Field("val_auc", description=f"What to optimise: {', '.join(FINAL_METRICS)}.")
    direction: Literal["maximize", "minimize"] = "maximize"

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in FINAL_METRICS:
            allowed = ", ".join(FINAL_METRICS)
            raise ValueError(f"unknown metric '{value}'{nearest(value, FINAL_METRICS)} Allowed: {allowed}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.direction != best_direction(self.metric):
            raise ValueError(f"direction: {self.metric} is to {best_direction(self.metric)}, not to {self.direction}")
        if self.pruner != "none" and self.metric not in EPOCH_METRICS:
            raise ValueError(
                f"pruner '{self.pruner}' needs a metric known after every epoch ({', '.join(EPOCH_METRICS)}), "
                f"and {self.metric} is not; set pruner: none"
            )
        return self


class Config(Section):
    """One experiment, resolved: what :func:`mobilenet_chest.train` and a sweep take."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=120, description="Name of the experiment.")
    seed: int = Field(2024, ge=0, lt=2**32)
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    stage1: Stage1Config = Stage1Config()
    stage2: Stage2Config = Stage2Config()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    search: dict[str, Distribution] = Field({}, description="Dotted path of a field -> the values a sweep may give it.")
    study: StudyConfig = StudyConfig()

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if self.stage1.epochs + self.stage2.epochs == 0:
            raise ValueError("stage1.epochs and stage2.epochs are both 0: nothing to train")
        return self

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.tracking.experiment or self.name

    @property
    def study_name(self) -> str:
        """Name of the Optuna study and of its MLflow parent run."""
        return self.study.name or self.name

    def resolved(self) -> dict[str, Any]:
        """The whole experiment as plain JSON-compatible values, defaults included."""
        return self.model_dump(mode="json")

    def training_fields(self) -> dict[str, Any]:
        """The resolved experiment without ``search`` and ``study``: what one training is made of."""
        return self.model_dump(mode="json", exclude={"search", "study"})

    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of what determines a training's numbers.

        Names, tracking, the search, the device and the place of the data are left out: the same training under
        another name, or from a file in another folder, has the same digest. The pixels have a digest of their own.
        """
        fields = self.model_dump(
            mode="json", exclude={"name": True, "device": True, "tracking": True, "search": True, "study": True,
                                  "data": {"path", "root"}}
        )  # fmt: skip
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
