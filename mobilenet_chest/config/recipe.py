"""The sections that say how a network is trained: ``augment``, ``loss``, ``optimizer``, ``stage1`` and ``stage2``."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mobilenet_chest import plugins
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import allowed_names


def _listed(value: object) -> object:
    """Return a single number as a list."""
    return [value] if isinstance(value, int) else value


class CropConfig(Section):
    """A part of a training image, enlarged to the image's size: random resized crop."""

    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        (0.5, 1), description="Least and largest area of the part, as a share of the image's."
    )
    ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (0.75, 4 / 3), description="Least and largest width of the part over its height."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"{name} [{low:g}, {high:g}] must rise; swap the two")
        return self


class AugmentConfig(Section):
    """Random changes to training images."""

    hflip: float = Field(0.5, ge=0, le=1, description="Probability of a horizontal flip.")
    rotation: float = Field(0, ge=0, le=180, description="Largest rotation in degrees, either way.")
    shift: float = Field(0, ge=0, le=0.5, description="Largest shift along each axis, as a share of the side.")
    scale: float = Field(0, ge=0, lt=1, description="Largest change of size, either way, as a share of it.")
    brightness: float = Field(0, ge=0, le=1, description="Largest change of all pixels, either way; 1 is white.")
    contrast: float = Field(
        0,
        ge=0,
        le=1,
        description="Largest change, either way, of each pixel's distance from the image's mean, as a share.",
    )
    blur: float = Field(0, ge=0, le=10, description="Largest standard deviation of a Gaussian blur, in pixels.")
    noise: float = Field(0, ge=0, le=1, description="Largest standard deviation of added noise; 1 is white.")
    erasing: float = Field(0, ge=0, le=1, description="Probability that a rectangle is filled with the image's mean.")
    crop: CropConfig | None = Field(None, description="Random resized crop; null: the whole image.")
    gamma: float = Field(
        0, ge=0, le=4, description="Largest change of gamma: the exponent is between 1/(1 + gamma) and 1 + gamma."
    )
    local_contrast: float = Field(
        0,
        ge=0,
        le=1,
        description="Largest change, either way, of each pixel's distance from the mean around it, as a share.",
    )
    sharpness: float = Field(0, ge=0, le=5, description="Largest strength of unsharp masking.")
    resample: float = Field(
        0,
        ge=0,
        lt=1,
        description="Largest share of the sides that a reduction takes away; the image is enlarged again.",
    )
    jpeg: int = Field(0, ge=0, le=100, description="Lowest quality of a JPEG compression; 0: no compression.")
    policy: Literal["trivial", "rand", "scanner"] | None = Field(
        None,
        description="trivial (TrivialAugment) or rand (RandAugment), with operations that suit radiographs; scanner: "
        "one change per image that another scanner or archive makes.",
    )
    mixup: float = Field(
        0, ge=0, description="Alpha of mixup; 0: no mixup. With cutmix as well, each batch gets one of the two."
    )
    cutmix: float = Field(0, ge=0, description="Alpha of cutmix; 0: no cutmix.")
    custom: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="A plugin's augmentation -> its strength; 0: off. Applied last, in this order."
    )

    @field_validator("custom")
    @classmethod
    def _registered(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if not plugins.may_be("augmentation", name):
                known = plugins.names("augmentation")
                hint = allowed_names(name, known) if known else "; name the file that registers it under plugins"
                raise ValueError(f"no plugin registers the augmentation '{name}'{hint}")
        return value

    @property
    def custom_on(self) -> dict[str, float]:
        """Return the plugins' augmentations that are on, with their strengths."""
        return {name: strength for name, strength in self.custom.items() if strength}

    @property
    def mixes(self) -> bool:
        """Return whether images are mixed, so that labels are shares between 0 and 1."""
        return self.mixup > 0 or self.cutmix > 0


class LossConfig(Section):
    """The training loss on the logit."""

    name: Literal["bce", "focal"] = Field("bce", description="bce (binary cross-entropy) or focal (focal loss).")
    focal_gamma: float | None = Field(None, ge=0, description="Focusing parameter of the focal loss; 2 when unset.")
    pos_weight: Literal["auto"] | Annotated[float, Field(gt=0)] | None = Field(
        None, description="Weight of class 1 relative to class 0; auto: rows of class 0 per row of class 1."
    )
    label_smoothing: float = Field(0, ge=0, lt=1, description="Share of each label that is spread over both classes.")

    distill_weight: float = Field(
        0, ge=0, le=1, description="Share of the loss that compares with a teacher (command distill); 0: no teacher."
    )
    distill_temperature: float = Field(
        2, gt=0, description="Divides the logits of student and teacher before they are compared."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.name != "focal" and self.focal_gamma is not None:
            raise ValueError(
                f"focal_gamma belongs to name: focal, not to '{self.name}'; set it with loss.name: focal only"
            )
        if self.name == "focal" and self.label_smoothing:
            raise ValueError(
                f"label_smoothing {self.label_smoothing:g} needs name: bce; focal loss takes labels 0 and 1 only"
            )
        return self


class OptimizerConfig(Section):
    """The update step, the same in both stages."""

    name: Literal["adamw", "sgd", "schedulefree_adamw"] = Field(
        "adamw", description="adamw, sgd (with Nesterov momentum) or schedulefree_adamw (extra schedulefree)."
    )
    momentum: float | None = Field(None, gt=0, lt=1, description="Momentum of SGD; 0.9 when unset.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay, decoupled in AdamW.")
    sam_rho: float = Field(
        0, ge=0, description="Radius of sharpness-aware minimisation, which doubles the cost of a step; 0: off."
    )
    batch_size: int = Field(48, ge=1, description="Images in one forward pass.")
    accumulation: int = Field(2, ge=1, description="Batches whose gradients are added for one step.")
    clip_norm: float | None = Field(1.0, gt=0, description="Largest L2 norm of the gradient; null for no clipping.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: fp16 with loss scaling on CUDA, fp32 elsewhere. fp16 needs CUDA."
    )

    @model_validator(mode="after")
    def _momentum_needs_sgd(self) -> Self:
        if self.name != "sgd" and self.momentum is not None:
            raise ValueError(
                f"momentum belongs to name: sgd, not to '{self.name}'; set it with optimizer.name: sgd only"
            )
        return self


class StageConfig(Section):
    """One of the two training stages."""

    epochs: int = Field(ge=0, description="0 leaves the stage out.")
    lr: float = Field(gt=0, description="Learning rate after warm-up.")
    schedule: Literal["constant", "cosine", "onecycle"] = Field(
        "constant",
        description="Learning rate over the steps. cosine: falls to 0 at the last step; onecycle: rises from lr/25 "
        "over the warm-up (without one, over 30% of the steps), then falls to lr/250,000.",
    )
    warmup_epochs: float = Field(
        0, ge=0, description="Epochs of warm-up, fractions allowed; linear, except for onecycle."
    )
    patience: int | None = Field(
        None, ge=1, description="Epochs without a new best value before the stage ends; null: no early stop."
    )
    ema: float = Field(
        0,
        ge=0,
        lt=1,
        description="Decay per step of the moving average of the weights, which is kept instead; 0: no average.",
    )

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs > 0 and self.warmup_epochs >= self.epochs > 0:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} must be less than epochs {self.epochs}")
        return self


class Phase(NamedTuple):
    """Successive epochs of a stage that train the same blocks at the same image size.

    Attributes:
        end: Number of the stage's epochs that are done at the end of the phase.
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
    """Full fine-tuning, which starts from the best state of stage 1."""

    epochs: int = Field(120, ge=0, description="0 leaves the stage out.")
    lr: float = Field(1e-4, gt=0, description="Learning rate after warm-up.")
    patience: int | None = Field(
        40, ge=1, description="Epochs without a new best value before the stage ends; null: no early stop."
    )
    lr_decay: float = Field(
        1, gt=0, le=1, description="Factor on the learning rate from each block to the block before it; 1: equal rates."
    )
    batchnorm: Literal["learn", "frozen"] = Field(
        "learn", description="frozen: running statistics stay as they are, while weights and biases learn."
    )
    unfreeze_from: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_listed, json_schema_input_type=int | list[int])
    ] = Field((0,), description="First backbone block that learns; 0: all learn. A list unfreezes phase by phase.")
    resolutions: tuple[Annotated[int, Field(ge=16)], ...] | None = Field(
        None, min_length=1, description="Side in pixels of the training images, phase by phase; ends at image_size."
    )

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        blocks, sizes = self.unfreeze_from, self.resolutions or (0,)
        if not blocks or list(blocks) != sorted(blocks, reverse=True):
            raise ValueError(
                f"unfreeze_from {list(blocks)} must fall, as [13, 0] does, and not be empty: a block that has learned "
                "is not frozen again"
            )
        if list(sizes) != sorted(sizes):
            raise ValueError(f"resolutions {list(sizes)} must rise; write them from small to large")
        if 1 < len(blocks) != len(sizes) > 1:
            raise ValueError(f"unfreeze_from has {len(blocks)} phases, resolutions {len(sizes)}; give equal numbers")
        if 0 < self.epochs < max(len(blocks), len(sizes)):
            raise ValueError(
                f"epochs {self.epochs}: too few for {max(len(blocks), len(sizes))} phases; give at least as many"
            )
        return self

    def phases(self, image_size: int) -> tuple[Phase, ...]:
        """Return the stage's phases, of equal length; later phases take the remainder.

        Args:
            image_size: Side in pixels where ``resolutions`` is not set.
        """
        blocks, sizes = self.unfreeze_from, self.resolutions or (image_size,)
        count = max(len(blocks), len(sizes))
        blocks, sizes = (values * count if len(values) == 1 else values for values in (blocks, sizes))
        ends = (self.epochs * number // count for number in range(1, count + 1))
        return tuple(Phase(*values) for values in zip(ends, blocks, sizes, strict=True))
