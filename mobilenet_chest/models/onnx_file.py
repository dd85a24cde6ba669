"""ONNX files of deployed classifiers: written, checked against the network, and read with ONNX Runtime."""

from __future__ import annotations

import copy
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.errors import DataError, ExportFailed
from mobilenet_chest.files import write_whole
from mobilenet_chest.models.deployed import Answer, DeployedClassifier
from mobilenet_chest.models.onnx_session import open_session

logger = logging.getLogger(__name__)

INPUT = "images"
OUTPUTS = Answer._fields
"""Names of a file's outputs; files of early versions lack ``features``."""

OPSET = 18
"""Version of ONNX's operators: the oldest that has all that the networks need."""

BATCH = 64
"""Images that ONNX Runtime is given at once."""

EXAMPLES = 2
"""Images that an exporter sees. It must not write their number into the file."""

CHECKED_BATCHES = (1, 3)
"""Numbers of images for which a new file is compared with the network; none is :data:`EXAMPLES`."""

TOLERANCE = 1e-4
"""Largest difference of a new file's probabilities from the network's, on images of noise."""


def write(
    classifier: DeployedClassifier, image_size: int, channels: int, metadata: Mapping[str, Any], path: Path
) -> None:
    """Write a classifier as an ONNX file for any number of images, and check that it answers as the network does.

    The exporter that traces takes a second, the one of :mod:`torch.export` ten to eighty, so the second is used only
    where the first fails.

    Args:
        classifier: On the CPU.
        image_size: Height and width of the images that the file takes.
        channels: 1 or 3.
        metadata: Entries of the file's metadata; what is no text is written as JSON.
        path: The file, which appears whole.

    Raises:
        ExportFailed: The network cannot be written as ONNX.
    """
    import onnx

    images = torch.randint(0, 256, (EXAMPLES, channels, image_size, image_size), dtype=torch.uint8)
    reasons = []
    for exporter in (_traced, _exported):
        try:
            model = exporter(classifier, images)
            for key, value in metadata.items():
                entry = model.metadata_props.add()
                entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
            contents = model.SerializeToString()
            _check(contents, classifier, images.shape[1:])
        except Exception as error:  # exporters raise errors of many kinds
            logger.debug("%s failed", exporter.__name__, exc_info=True)
            reasons.append((str(error).strip() or type(error).__name__).splitlines()[0])
            continue
        onnx.checker.check_model(contents)
        write_whole(path, contents)
        return
    raise ExportFailed(f"the network cannot be written as ONNX: {'; '.join(reasons)}")


def _traced(classifier: DeployedClassifier, images: Tensor) -> Any:
    """Return the ``onnx.ModelProto`` that the tracing exporter makes."""
    import onnx

    axes = {name: {0: "n"} for name in (INPUT, *classifier.outputs)}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        warnings.simplefilter("ignore")  # it is called obsolete; where torch has it no more, the other one is used
        path = Path(folder) / "traced.onnx"
        torch.onnx.export(
            with_static_padding(classifier, images), (images,), path, dynamo=False, opset_version=OPSET,
            input_names=[INPUT], output_names=list(classifier.outputs), dynamic_axes=axes,
        )  # fmt: skip
        return onnx.load(path)


def _exported(classifier: DeployedClassifier, images: Tensor) -> Any:
    """Return the ``onnx.ModelProto`` of the classifier's exported program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own use of deprecated parts of torch
        # torch.onnx.export itself writes a fixed number of images into the file without a word
        program = torch.onnx.export(
            exported_program(classifier, images), dynamo=True, verbose=False,
            input_names=[INPUT], output_names=list(classifier.outputs),
        )  # fmt: skip
    assert program is not None
    return program.model_proto


def exported_program(classifier: DeployedClassifier, images: Tensor) -> torch.export.ExportedProgram:
    """Return the classifier as a program for any number of images of the shape of ``images`` (2, c, s, s).

    Raises:
        Exception: Those of :func:`torch.export.export`, such as for a network that depends on the number of images.
    """
    shapes = {INPUT: {0: torch.export.Dim("n", min=1, max=65536)}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(classifier, (images,), dynamic_shapes=shapes)
    program.example_inputs = None  # torch would save them as a pickle
    return program


def with_static_padding(classifier: DeployedClassifier, images: Tensor) -> DeployedClassifier:
    """Return a copy in which timm's "SAME" convolutions pad by constants, not by arithmetic on their input's size.

    Traced, that arithmetic becomes a dozen operators for each convolution, and INT8 quantisation spoils it.

    Args:
        classifier: It is not changed.
        images: uint8 (n, c, s, s).
    """
    copied = copy.deepcopy(classifier)
    sizes: dict[str, tuple[int, int]] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: sizes.__setitem__(name, (inputs[0].shape[2], inputs[0].shape[3]))

    found = {name: m for name, m in copied.named_modules() if type(m).__name__ == "Conv2dSame"}
    hooks = [module.register_forward_pre_hook(record(name)) for name, module in found.items()]
    if found:
        copied.answer(images)
    for hook in hooks:
        hook.remove()
    for name, module in found.items():
        if name in sizes:
            parent, _, attribute = name.rpartition(".")
            setattr(copied.get_submodule(parent), attribute, _padded(cast(nn.Conv2d, module), sizes[name]))
    return copied


def _padded(convolution: nn.Conv2d, size: tuple[int, int]) -> nn.Sequential:
    """Return a "SAME" convolution for one size: its output has ceil(size / stride) places, the odd row at the end."""
    total = [
        max((-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
        for length, stride, kernel, dilation in zip(
            size, convolution.stride, convolution.kernel_size, convolution.dilation, strict=True
        )
    ]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in total)
    plain = nn.Conv2d(
        convolution.in_channels, convolution.out_channels, cast(tuple[int, int], convolution.kernel_size),
        cast(tuple[int, int], convolution.stride), 0, cast(tuple[int, int], convolution.dilation), convolution.groups,
        convolution.bias is not None,
    )  # fmt: skip
    plain.weight, plain.bias = convolution.weight, convolution.bias
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain).eval()


def _check(contents: bytes, classifier: DeployedClassifier, shape: torch.Size) -> None:
    """Compare a new file's probabilities with the network's.

    Raises:
        ValueError: They differ.
        Exception: ONNX Runtime cannot load or run it.
    """
    session = open_session(contents)
    for n in CHECKED_BATCHES:
        images = torch.randint(0, 256, (n, *shape), dtype=torch.uint8)
        expected = classifier.answer(images).probability.numpy()
        (probability,) = session.run(["probability"], {INPUT: images.numpy()})
        difference = float(np.abs(probability - expected).max())
        if not difference <= TOLERANCE:
            raise ValueError(f"its probabilities for {n} images differ from the network's by {difference:.2g}")


class Answers(NamedTuple):
    """What a file says about n images; the fields are those of :class:`~mobilenet_chest.models.deployed.Answer`.

    Attributes:
        probability: float64 (n,), from the logit, so that values near 1 stay apart.
        calibrated: float32 (n,).
        label: int64 (n,).
        features: float32 (n, f), where they were asked for and the file gives them.
    """

    probability: NDArray[np.float64]
    calibrated: NDArray[np.float32]
    label: NDArray[np.int64]
    features: NDArray[np.float32] | None = None


class OnnxClassifier:
    """An ONNX file that :func:`write` has written, loaded.

    Args:
        path: The file.
        threads: As in :func:`~mobilenet_chest.models.onnx_session.open_session`.

    Attributes:
        session: ``onnxruntime.InferenceSession``.
        metadata: All entries of the file's metadata, as text.
        classes: Names of class 0 and class 1.
        threshold: Smallest probability of class 1.
        temperature: What logits are divided by to be calibrated.
        channels: 1 or 3.
        image_size: Height and width of the images.

    Raises:
        DataError: The file cannot be read, is another kind of ONNX file, or is for another kind of processor.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        try:
            self.session = open_session(path, threads)
            self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
            first, second = json.loads(self.metadata["classes"])
            self.threshold, self.temperature = (float(self.metadata[key]) for key in ("threshold", "temperature"))
            _, self.channels, self.image_size, _ = self.session.get_inputs()[0].shape
        except DataError:
            raise
        except Exception as error:  # ONNX Runtime's own errors have no common root
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{path}: is no ONNX file of a classifier ({text}); write one with `mobilenet-chest export`"
            ) from error
        self.classes = (str(first), str(second))

    def predict(self, images: NDArray[np.uint8], features: bool = False) -> Answers:
        """Answer for uint8 images (n, s, s), or (n, s, s, 3) for colour, of the file's size.

        Args:
            images: The images.
            features: Also return what the network's head is given; a file of an early version has none.

        Raises:
            DataError: They have another shape or type.
        """
        size = self.image_size
        expected = (size, size) if self.channels == 1 else (size, size, 3)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise DataError(f"expected uint8 images (n, {', '.join(map(str, expected))}), got {images.dtype} "
                            f"{images.shape}; the page `exporting` has the function that resizes")  # fmt: skip
        pixels = images[:, None] if self.channels == 1 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        names = ["logit", "calibrated", "label"]
        if features and "features" in {output.name for output in self.session.get_outputs()}:
            names.append("features")
        parts = [
            self.session.run(names, {INPUT: pixels[start : start + BATCH]}) for start in range(0, len(pixels), BATCH)
        ] or [(np.zeros(0), np.zeros(0, np.float32), np.zeros(0, np.int64))]
        logit, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Answers(1 / (1 + np.exp(-logit.astype(np.float64))), *others)
