"""The start of a training that compresses: the network of a finished run, made smaller."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mobilenet_chest.config import Config
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.pruning import fit_to, keep_zeros, prune_channels, zero_weights
from mobilenet_chest.models.weights import load_into


def start_compressed(model: Classifier, config: Config, parent: Mapping[str, Tensor]) -> None:
    """Load the parent's weights into a model, and make it smaller by ``config.compress``, in place.

    Args:
        model: As built, on the CPU.
        config: The experiment.
        parent: State dict of the parent's network, which may be pruned already.

    Raises:
        UserError: The weights do not fit the model, or the model cannot be made smaller in this way.
    """
    settings = config.compress
    fit_to(model, parent)
    load_into(model, parent, f"compress.parent {settings.parent}")
    if settings.method == "prune":
        prune_channels(model, settings.share, config.data.image_size)
    else:
        zero_weights(model, settings.share)
        keep_zeros(model)
