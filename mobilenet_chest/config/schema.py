"""The experiment schema: every field of a YAML experiment, with its type, range and default.

Defaults are the source report's recipe (section 8.1), so an experiment file states only what differs. Sections are
frozen and refuse unknown keys. A check of several fields is in the smallest section that has them all.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mobilenet_chest import plugins
from mobilenet_chest.config.compress import CompressConfig
from mobilenet_chest.config.constraints import parse_constraints
from mobilenet_chest.config.data import CHEST, DataConfig
from mobilenet_chest.config.evaluation import EvaluationConfig
from mobilenet_chest.config.gates import GatesConfig
from mobilenet_chest.config.metrics import STRESS_METRICS
from mobilenet_chest.config.plugin_files import Named
from mobilenet_chest.config.recipe import AugmentConfig, LossConfig, OptimizerConfig, Stage1Config, Stage2Config
from mobilenet_chest.config.search import Distribution, StudyConfig
from mobilenet_chest.config.section import Name, Section
from mobilenet_chest.errors import allowed_names

MODEL_NAMES = (
    "mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v2", "densenet121", "resnet50", "efficientnet_b0",
    "efficientnet_lite0",
)  # fmt: skip
"""Architectures of the zoo; ``timm:<name>`` is allowed as well."""

DROP_PATH_MODELS = ("efficientnet_b0", "efficientnet_lite0")
"""Architectures of the zoo that can skip residual branches; many of timm's can."""

NEWER_FIELDS: dict[str, dict[str, Any]] = {
    "data": {"split_seed": None, "drop_duplicates": False, "fold_by": "rows"},
    "augment": {
        "custom": {}, "crop": None, "gamma": 0, "local_contrast": 0, "sharpness": 0, "resample": 0, "jpeg": 0
    },
    "evaluation": {"stress": None, "threshold_on": "clean"},
}  # fmt: skip
"""Fields that are left out of the digest at these values, by section, so that older experiments keep their digest."""


class ModelConfig(Section):
    """The network: a pretrained backbone and a fully connected head with one logit."""

    name: str = Field(
        "mobilenet_v3_large", description=f"One of {', '.join(MODEL_NAMES)}, timm:<name>, or a plugin's model."
    )
    weights: str = Field("imagenet", min_length=1, description="'imagenet', 'none', or the path of a state dict.")
    stem: Literal["mean", "sum", "repeat"] = Field(
        "mean", description="How a three-channel stem is adapted to one gray channel; unused for RGB datasets."
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1280, 640), description="Widths of the head's hidden layers; []: a single linear layer."
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout before the next layer, halved at each layer.")
    pooling: Literal["avg", "max", "gem"] = Field(
        "avg", description="How feature maps become features; gem: generalised mean with a learned exponent."
    )
    attention: Literal["none", "se", "cbam"] = Field(
        "none", description="Attention on the last feature maps, before pooling; learns with the head."
    )
    drop_path: float | None = Field(
        None, ge=0, lt=1, description="Largest probability of skipping a residual branch; null: the backbone's default."
    )

    @field_validator("name")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value in MODEL_NAMES or (value.startswith("timm:") and len(value) > len("timm:")):
            return value
        if plugins.may_be("model", value):
            return value
        known = [*MODEL_NAMES, *plugins.names("model"), "timm:<name>"]
        raise ValueError(f"unknown model '{value}'{allowed_names(value, known)}")

    @model_validator(mode="after")
    def _backbone_can(self) -> Self:
        of_timm = self.name.startswith("timm:")
        if self.name not in MODEL_NAMES and (self.pooling != "avg" or self.attention != "none"):
            raise ValueError(f"{self.name} pools by itself; allowed: pooling: avg with attention: none")
        if self.drop_path is not None and not of_timm and self.name not in DROP_PATH_MODELS:
            raise ValueError(
                f"drop_path {self.drop_path:g}: {self.name} has no residual branches to skip; remove it, or use "
                f"{', '.join(DROP_PATH_MODELS)} or one of timm:<name>"
            )
        return self


class TrackingConfig(Section):
    """What is logged to MLflow in addition; MLflow's environment variables say where to."""

    experiment: Name | None = Field(None, description="Name of the MLflow experiment; `name` when unset.")
    keep_checkpoints: int = Field(3, ge=0, description="A sweep keeps the checkpoints of this many best trials.")
    plots: bool = Field(True, description="Draw the plots of each run; a second of a sweep's trial, and 0.2 MB.")
    system_metrics: bool = Field(False, description="Log CPU, memory and GPU use of each run.")


class Config(Section):
    """A resolved experiment, which :func:`mobilenet_chest.train` and a sweep take."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=120, description="Name of the experiment.")
    seed: int = Field(2024, ge=0, lt=2**32, description="Seed of weights, batches, augmentation and folds.")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto (CUDA if there is one), cpu, cuda or cuda:N."
    )
    plugins: tuple[Named, ...] = Field(
        (),
        description="Python files of your own that register augmentations, metrics and models; paths are relative to "
        "the experiment file.",
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    stage1: Stage1Config = Stage1Config()
    stage2: Stage2Config = Stage2Config()
    compress: CompressConfig = CompressConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    search: dict[str, Distribution] = Field(
        {}, description="Dotted path of a field -> the values that a sweep tries for it."
    )
    study: StudyConfig = StudyConfig()
    gates: GatesConfig = GatesConfig()

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if self.stage1.epochs + self.stage2.epochs == 0:
            raise ValueError("stage1.epochs and stage2.epochs are both 0: nothing to train; give one of them 1 or more")
        return self

    @model_validator(mode="after")
    def _compression_is_fine_tuned(self) -> Self:
        if not self.compress.active:
            fields = [path for path in self.search if path.startswith("compress.")]
            if fields and "compress.method" not in fields:
                raise ValueError(
                    f"search.{fields[0]}: with compress.method none nothing is made smaller, and all trials are alike; "
                    "give compress.method: prune and compress.parent: RUN_ID"
                )
            return self
        if self.stage1.epochs:
            raise ValueError(
                f"stage1.epochs {self.stage1.epochs}: with compress.method {self.compress.method} the head has learned "
                "already, and stage 2 fine-tunes what is left; give stage1.epochs: 0"
            )
        if self.compress.target.given and "compress.ratio" in self.search:
            raise ValueError(
                f"compress.target {self.compress.target} says what the ratio is, and search.compress.ratio searches "
                "it; leave one out"
            )
        if self.search and self.study.resampling != "holdout":
            raise ValueError(
                f"study.resampling {self.study.resampling} divides the rows anew, and compress.parent has learned some "
                "of the rows that a trial would be validated on; give study.resampling: holdout"
            )
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

    @model_validator(mode="after")
    def _rungs_lie_within_the_training(self) -> Self:
        total = self.stage1.epochs + self.stage2.epochs
        if self.study.scheduler == "none":
            return self
        if total < 2:
            raise ValueError(
                f"study.scheduler {self.study.scheduler} pauses between epochs, and there is 1 epoch; give 2 or more"
            )
        for name in ("stage1.epochs", "stage2.epochs"):
            if self.study.scheduler == "freeze_thaw" and name in self.search:
                raise ValueError(
                    f"search.{name}: study.scheduler freeze_thaw compares curves of one length; remove it, or set "
                    "scheduler: asha"
                )
        if self.study.scheduler == "freeze_thaw" and self.study.freeze_thaw.slice >= self.stage2.epochs:
            raise ValueError(
                f"study.freeze_thaw.slice {self.study.freeze_thaw.slice}: a trial is never paused, with stage2.epochs "
                f"{self.stage2.epochs}; give a larger stage2.epochs, or a smaller slice"
            )
        if self.study.asha.first is not None and self.study.asha.first >= total:
            raise ValueError(
                f"study.asha.first {self.study.asha.first}: the training has {total} epochs over both stages; give "
                f"1 to {total - 1}"
            )
        return self

    @model_validator(mode="after")
    def _rows_are_the_studys_choice(self) -> Self:
        if not self.search:
            return self  # a single training, or a trial, whose rows are fixed already
        for name in ("folds", "fold", "fold_by", "split_seed"):
            if f"data.{name}" in self.search:
                raise ValueError(
                    f"search.data.{name}: a trial would choose the rows it is scored on; remove it, and vary the rows "
                    "by study.resampling: reshuffle or kfold"
                )
        given = {"reshuffle": ("folds", "split_seed"), "kfold": ("folds",)}.get(self.study.resampling, ())
        given = ("folds", "split_seed") if self.study.leave_out is not None else given
        for name in given:
            if getattr(self.data, name) is not None:
                raise ValueError(
                    f"data.{name} {getattr(self.data, name)} divides the rows, and so does study.resampling: "
                    f"{self.study.resampling}; remove one of them"
                )
        return self

    @model_validator(mode="after")
    def _stress_can_choose(self) -> Self:
        stress = self.evaluation.stress
        constrained = [constraint.metric for constraint in parse_constraints(self.study.constraints)]
        chosen_by = [name for name in (self.study.metric, *self.study.also, *constrained) if name in STRESS_METRICS]
        if stress is None:
            if chosen_by:
                raise ValueError(
                    f"study: {chosen_by[0]} needs stressed validation; add evaluation.stress: {{every: 15}}"
                )
            return self
        for name, stage in (("stage1", self.stage1), ("stage2", self.stage2)):
            patience = stage.patience
            if self.evaluation.metric in STRESS_METRICS and stage.epochs and patience and patience < stress.every:
                raise ValueError(
                    f"{name}.patience {patience} would end before the next stressed epoch; give {stress.every} or "
                    f"more, or evaluation.stress.every: {patience} or less"
                )
        return self

    @model_validator(mode="after")
    def _choices_go_together(self) -> Self:
        if self.loss.name == "focal" and self.augment.mixes:
            raise ValueError(
                "augment.mixup and cutmix need loss.name: bce; focal loss is defined for labels 0 and 1 only"
            )
        if self.loss.distill_weight and self.augment.mixes:
            raise ValueError(
                "loss.distill_weight must be 0 with augment.mixup or cutmix: a teacher has scored unmixed images"
            )
        if self.loss.pos_weight is not None and self.data.sampling != "all":
            raise ValueError(
                f"loss.pos_weight {self.loss.pos_weight} and data.sampling {self.data.sampling} correct for the same "
                "imbalance; remove one of them"
            )
        if self.optimizer.name == "schedulefree_adamw":
            for name, stage in (("stage1", self.stage1), ("stage2", self.stage2)):
                if stage.epochs and stage.schedule != "constant":
                    raise ValueError(f"{name}.schedule must be constant with schedulefree_adamw, not {stage.schedule}")
                if stage.epochs and stage.ema:
                    raise ValueError(f"{name}.ema must be 0 with schedulefree_adamw, which averages weights itself")
        return self

    @property
    def experiment(self) -> str:
        """Return the name of the MLflow experiment."""
        return self.tracking.experiment or self.name

    @property
    def study_name(self) -> str:
        """Return the name of the Optuna study and of its MLflow parent run."""
        return self.study.name or self.name

    def resolved(self) -> dict[str, Any]:
        """Return all fields as JSON-compatible values, defaults included."""
        return self.model_dump(mode="json")

    def training_fields(self) -> dict[str, Any]:
        """Return the fields of a single training: all but ``search``, ``study`` and ``gates``."""
        return self.model_dump(mode="json", exclude={"search", "study", "gates"})

    def digest(self) -> str:
        """Return the SHA-256 (first 16 hex digits) of the fields that determine a training's results.

        Names, tracking, search, gates, the device and the place of the data are left out. So the same training under
        another name, or from a file in another folder, has the same digest. The pixels have a digest of their own.
        """
        fields: dict[str, Any] = self.model_dump(
            mode="json", exclude={"name": True, "device": True, "tracking": True, "search": True, "study": True,
                                  "gates": True, "data": {"path", "root", "name"}}
        )  # fmt: skip
        # a file without a data set's name was ChestMNIST's before others could be read
        fields["data"]["dataset"] = fields["data"]["dataset"] or CHEST
        for section, newer in NEWER_FIELDS.items():
            for name, default in newer.items():
                if fields[section].get(name, default) == default:
                    fields[section].pop(name, None)
        # what plugins say is part of the training, where they lie is not
        if plugin_digests := [plugin["sha256"] for plugin in fields.pop("plugins")]:
            fields["plugins"] = plugin_digests
        # likewise what the parent's weights are is part of the training, and which run has them is not
        fields["compress"] |= {"ratio": self.compress.share}
        for name in ("parent", "reached"):
            fields["compress"].pop(name)
        if self.compress.target.given:  # the ratio is found on the machine, by measurement
            fields["compress"].pop("ratio")
        else:
            fields["compress"].pop("target")
        if not self.compress.active:
            del fields["compress"]
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
