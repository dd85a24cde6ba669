"""The experiment schema and the reading of experiment files."""

from mobilenet_chest.config.data import ClassGroup, DataConfig
from mobilenet_chest.config.evaluation import EvaluationConfig
from mobilenet_chest.config.loading import check_loaded, load, load_stored, parse, to_yaml, with_values
from mobilenet_chest.config.metrics import EPOCH_METRICS, FINAL_METRICS, best_direction
from mobilenet_chest.config.paths import flatten, is_integer_field
from mobilenet_chest.config.recipe import (
    AugmentConfig,
    CropConfig,
    LossConfig,
    OptimizerConfig,
    Phase,
    Stage1Config,
    Stage2Config,
    StageConfig,
)
from mobilenet_chest.config.schema import (
    MODEL_NAMES,
    Config,
    ModelConfig,
    TrackingConfig,
)
from mobilenet_chest.config.search import Choice, ConfirmConfig, Distribution, Scalar, StudyConfig
from mobilenet_chest.config.search_space import active

__all__ = [
    "EPOCH_METRICS", "FINAL_METRICS", "MODEL_NAMES", "AugmentConfig", "Choice", "ClassGroup", "Config", "ConfirmConfig",
    "CropConfig",
    "DataConfig", "Distribution", "EvaluationConfig", "LossConfig", "ModelConfig", "OptimizerConfig", "Phase",
    "Scalar", "Stage1Config", "Stage2Config", "StageConfig", "StudyConfig", "TrackingConfig", "active",
    "best_direction", "check_loaded", "flatten", "is_integer_field", "load", "load_stored", "parse", "to_yaml",
    "with_values",
]  # fmt: skip
