"""The start of a training that compresses: the network of a finished run, made smaller."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mobilenet_chest import cache, processor
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import ConfigError, ExportFailed
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.pruning import fit_to, keep_zeros, prune_channels, zero_weights
from mobilenet_chest.models.quantization import quantized
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier
from mobilenet_chest.models.quantized_network import QuantizedNetwork
from mobilenet_chest.models.weights import load_into
from mobilenet_chest.training.features import state_digest

QUANTIZATION_GOAL = 0.06
"""Mean change of probability above which layers stay in float32 before an INT8 network learns: learning mends less."""


def compressed_start(model: Classifier, config: Config, parent: Mapping[str, Tensor], data: TrainVal) -> Classifier:
    """Return the network that a training begins with: the parent's, made smaller by ``config.compress``.

    Args:
        model: As built, on the CPU; it is changed.
        config: The experiment.
        parent: State dict of the parent's network, which may be pruned already.
        data: The images that ranges of 8-bit numbers are taken from.

    Raises:
        UserError: The weights do not fit the model, or the model cannot be made smaller in this way.
    """
    settings = config.compress
    fit_to(model, parent)
    load_into(model, parent, f"compress.parent {settings.parent}")
    if settings.quantizes:
        return _quantized(model, config, parent, data)
    if settings.method == "prune":
        prune_channels(model, settings.share, config.data.image_size)
    else:
        zero_weights(model, settings.share)
        keep_zeros(model)
    return model


def _quantized(model: Classifier, config: Config, parent: Mapping[str, Tensor], data: TrainVal) -> QuantizedClassifier:
    """Return a network in 8-bit integers. Its ranges take minutes to find, so they are kept in the cache.

    Raises:
        ConfigError: It cannot be quantised, or not be trained then.
    """

    def make(folder: Path) -> dict[str, str]:
        _quantize(model, config, data, folder)
        return {}

    def load(folder: Path, _known: object) -> QuantizedClassifier:
        return QuantizedClassifier(model, QuantizedNetwork.of_files(folder / "int8.onnx", folder / "float32.onnx"))

    try:
        if cache.folder() is None:
            with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
                make(Path(name))
                return load(Path(name), None)
        about = f"{model.architecture}, {config.data.image_size} pixels"
        return cache.cached("int8", about, _parts(config, parent, data), make, load)[0]
    except (ValueError, RuntimeError, ExportFailed) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            [
                f"compress.method: int8-qat cannot be done to {model.architecture} ({reason}); use "
                "mobilenet-chest compress RUN_ID --method int8, or another method"
            ]
        ) from error


def _quantize(model: Classifier, config: Config, data: TrainVal, folder: Path) -> None:
    """Write the files ``int8.onnx`` and ``float32.onnx`` of a network."""
    classifier = DeployedClassifier(model.eval(), temperature=1.0, threshold=0.5)
    with torch.random.fork_rng(devices=[]):  # the file is checked with random images
        onnx_file.write(classifier, config.data.image_size, data.channels, {}, folder / "float32.onnx")
    made = quantized(
        folder / "float32.onnx", data.train.images, data.val.images, config.seed, QUANTIZATION_GOAL
    )  # fmt: skip
    QuantizedNetwork(made.model.SerializeToString())  # shows now whether it can be trained
    (folder / "float32.onnx").write_bytes(made.float32.SerializeToString())
    (folder / "int8.onnx").write_bytes(made.model.SerializeToString())


def _parts(config: Config, parent: Mapping[str, Tensor], data: TrainVal) -> dict[str, object]:
    """Return all that a quantised network depends on."""
    import onnxruntime

    return {
        "model": config.model.model_dump(mode="json"),
        "plugins": [plugin.sha256 for plugin in config.plugins],
        "parent": state_digest(parent),
        "data": data.digest,
        "image_size": config.data.image_size,
        "seed": config.seed,
        "full_range": processor.multiplies_bytes(),
        "versions": [torch.__version__, onnxruntime.__version__],
        "code": cache.source_digest("models", "training/compress.py"),
    }
