"""INT8 after training."""

from __future__ import annotations

from mobilenet_chest.deploy.compress.converted import Converted
from mobilenet_chest.deploy.compress.original import Original
from mobilenet_chest.models.quantization import quantized


def static(original: Original) -> Converted:
    """Return the original with 8-bit weights for each channel and 8-bit activations."""
    made = quantized(original.path, original.train_images, original.scored.images, original.config.seed)
    return Converted(made.model, made.choices)
