"""The experiment schema and the reading of experiment files."""

from mobilenet_chest.config.loading import active, flatten, is_integer_field, load, parse, to_yaml, with_values
from mobilenet_chest.config.schema import (
    EPOCH_METRICS,
    FINAL_METRICS,
    MODEL_NAMES,
    AugmentConfig,
    Config,
    DataConfig,
    Distribution,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    StageConfig,
    StudyConfig,
    TrackingConfig,
    best_direction,
)

__all__ = [
    "EPOCH_METRICS", "FINAL_METRICS", "MODEL_NAMES", "AugmentConfig", "Config", "DataConfig", "Distribution",
    "EvaluationConfig", "LossConfig", "ModelConfig", "OptimizerConfig", "StageConfig", "StudyConfig",
    "TrackingConfig", "active", "best_direction", "flatten", "is_integer_field", "load", "parse", "to_yaml",
    "with_values",
]  # fmt: skip
