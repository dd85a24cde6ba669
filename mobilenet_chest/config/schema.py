"""The experiment schema: every field a YAML experiment can set, its type, range and default.

Defaults are the source report's recipe (section 8.1), so an experiment file states only what differs. Models are
frozen and refuse unknown keys; checks that involve more than one field stand beside the fields they involve.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mobilenet_chest.config.search import Distribution, StudyConfig
from mobilenet_chest.config.sections import EpochMetric, Section
from mobilenet_chest.errors import nearest

MODEL_NAMES = ("mobilenet_v3_large", "densenet121", "efficientnet_lite0")
"""Architectures of the zoo; ``timm:<name>`` is accepted besides."""


def _listed(value: object) -> object:
    """A single number as a list of one."""
    return [value] if isinstance(value, int) else value


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
    rotation: float = Field(0, ge=0, le=180, description="Largest rotation in degrees, either way.")


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


class Phase(NamedTuple):
    """Epochs of a stage that train the same blocks at the same size.

    Attributes:
        end: Epochs of the stage done at its end.
        block: First backbone block that learns.
        size: Side in pixels of the training images.
    """

    end: int
    block: int
    size: int


class Stage1Config(StageConfig):
    """The frozen stage: the head learns, the backbone and its BatchNorm statistics stay fixed."""

    epochs: int = Field(30, ge=0, description="0 leaves the stage out.")
    lr: float = Field(1e-3, gt=0, description="Learning rate after warm-up.")


class Stage2Config(StageConfig):
    """Full fine-tuning from the best state of stage 1."""

    epochs: int = Field(120, ge=0, description="0 leaves the stage out.")
    lr: float = Field(1e-4, gt=0, description="Learning rate after warm-up.")
    patience: int | None = Field(40, ge=1, description="Epochs without a new best before the stage ends.")
    unfreeze_from: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_listed, json_schema_input_type=int | list[int])
    ] = Field((0,), description="First backbone block that learns; 0: all do. A list unfreezes phase by phase.")
    resolutions: tuple[Annotated[int, Field(ge=16)], ...] | None = Field(
        None, min_length=1, description="Side in pixels of the training images, phase by phase; ends at image_size."
    )

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        blocks, sizes = self.unfreeze_from, self.resolutions or (0,)
        if not blocks or list(blocks) != sorted(blocks, reverse=True):
            raise ValueError(f"unfreeze_from {list(blocks)} must fall: a block that has learned is not frozen again")
        if list(sizes) != sorted(sizes):
            raise ValueError(f"resolutions {list(sizes)} must rise")
        if 1 < len(blocks) != len(sizes) > 1:
            raise ValueError(f"unfreeze_from has {len(blocks)} phases, resolutions {len(sizes)}; give equally many")
        if 0 < self.epochs < max(len(blocks), len(sizes)):
            raise ValueError(f"{self.epochs} epochs are too few for {max(len(blocks), len(sizes))} phases")
        return self

    def phases(self, image_size: int) -> tuple[Phase, ...]:
        """The stage's phases, of equal length (later ones take the remainder)."""
        blocks, sizes = self.unfreeze_from, self.resolutions or (image_size,)
        count = max(len(blocks), len(sizes))
        blocks, sizes = (values * count if len(values) == 1 else values for values in (blocks, sizes))
        ends = (self.epochs * number // count for number in range(1, count + 1))
        return tuple(Phase(*values) for values in zip(ends, blocks, sizes, strict=True))


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

    @model_validator(mode="after")
    def _phases_end_at_full_size(self) -> Self:
        sizes = self.stage2.resolutions
        if sizes is not None and sizes[-1] != self.data.image_size:
            raise ValueError(f"stage2.resolutions must end at data.image_size {self.data.image_size}, not {sizes[-1]}")
        if self.study.budget == "phase" and len(self.stage2.phases(self.data.image_size)) < 2:
            raise ValueError(
                "study.budget: phase needs stage2.unfreeze_from or stage2.resolutions with two entries or more"
            )
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
