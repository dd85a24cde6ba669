"""Networks for tests, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import build_model


def built(channels: int = 1, **fields: Any) -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelConfig.model_validate({"weights": "none"} | fields), channels).eval()
