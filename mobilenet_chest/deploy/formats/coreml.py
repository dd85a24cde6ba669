"""Core ML: an ``.mlpackage`` for Apple's devices, in float16. It is written anywhere, and predicts on a Mac alone."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.formats.format import Format, Logits, engine_warnings_off, failed
from mobilenet_chest.errors import ExportFailed
from mobilenet_chest.files import copy_whole, write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from mobilenet_chest.models.deployed import DeployedClassifier

INPUT = "images"

TOLERANCE = 0.03
"""Largest difference in probability: float16 has 11 bits, and a network in it was seen to be .026 off."""

SCRIPT = Path(__file__).with_name("check_on_mac.py")
"""Compares the predictions of a file with those that the network gave; it stands beside the file."""

CHECKED_IMAGES = 16
"""Images of noise for that script: films of patients do not leave with a file."""


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as an ML program for one image; beside it, a script for a Mac, and what it compares with.

    Raises:
        ExportFailed: The network cannot be converted, or the file does not say what it should.
    """
    logging.getLogger("coremltools").setLevel(logging.ERROR)  # it warns of each version of torch that is newer
    channels, size = metadata["channels"], metadata["image_size"]
    try:
        with engine_warnings_off():
            import coremltools

            layout = coremltools.colorlayout.GRAYSCALE if channels == 1 else coremltools.colorlayout.RGB
            model = coremltools.convert(
                _program(classifier, channels, size),
                inputs=[coremltools.ImageType(name=INPUT, shape=(1, channels, size, size), color_layout=layout)],
                outputs=[coremltools.TensorType(name=name) for name in classifier.outputs],
                minimum_deployment_target=coremltools.target.iOS16,
                compute_precision=coremltools.precision.FLOAT16,
            )
    except Exception as error:  # the converter raises errors of many kinds
        raise failed("coreml", error) from error
    for key, value in metadata.items():
        model.user_defined_metadata[key] = value if isinstance(value, str) else json.dumps(value)
    model.save(str(path))
    check_specification(path, classifier.outputs, channels, size)
    _write_check(classifier, channels, size, path.parent)


def _program(classifier: DeployedClassifier, channels: int, size: int) -> Any:
    """Return the classifier as a program of torch that Core ML's converter knows all operators of."""
    import torch

    def log_sigmoid(logit: Tensor) -> Tensor:
        return logit.clamp(max=0) - torch.log(1 + torch.exp(-logit.abs()))

    with torch.no_grad():
        # images come as floats of 0 to 255
        exported = torch.export.export(classifier, (torch.zeros(1, channels, size, size),))
        return exported.run_decompositions({torch.ops.aten.log_sigmoid.default: log_sigmoid})


def check_specification(path: Path, outputs: tuple[str, ...], channels: int, size: int) -> None:
    """Read a file back, and see that it takes one image of this size and gives these outputs.

    Raises:
        ExportFailed: It does not.
    """
    import coremltools

    description = coremltools.utils.load_spec(str(path)).description
    (taken,) = description.input
    image = taken.type.imageType
    colour = "GRAYSCALE" if channels == 1 else "RGB"
    found = (taken.name, image.width, image.height, image.ColorSpace.Name(image.colorSpace))
    expected = (INPUT, size, size, colour)
    if found != expected or {output.name for output in description.output} != set(outputs):
        given = ", ".join(output.name for output in description.output)
        raise ExportFailed(f"the Core ML file takes {found}, not {expected}, and gives {given}; try --format onnx")


def _write_check(classifier: DeployedClassifier, channels: int, size: int, folder: Path) -> None:
    """Write the script for a Mac, and the probabilities that it compares."""
    import torch

    shape = (CHECKED_IMAGES, channels, size, size)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = classifier.answer(torch.from_numpy(images)).probability
    copy_whole(SCRIPT, folder / SCRIPT.name)
    contents = {"shape": shape, "tolerance": TOLERANCE, "probability": expected.tolist()}
    write_whole(folder / "check_on_mac.json", json.dumps(contents))


def load(path: Path, threads: int) -> Logits:
    """Return what predicts with a file on a Mac, which chooses the number of threads itself."""
    import coremltools
    from PIL import Image

    model = coremltools.models.MLModel(str(path))

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures = [Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images]
        return np.array([model.predict({INPUT: picture})["logit"].item() for picture in pictures], np.float32)

    return logits


def further(path: Path) -> str:
    """Return how a file is checked."""
    return f"on a Mac, type: pip install coremltools pillow && python {path.with_name(SCRIPT.name)}"


FORMAT = Format(
    "coreml", "model.mlpackage", write, load, package="coremltools", extra="coreml", tolerance=TOLERANCE,
    cannot_run="" if sys.platform == "darwin" else "Core ML predicts on a Mac alone",
    further=further,
)  # fmt: skip
