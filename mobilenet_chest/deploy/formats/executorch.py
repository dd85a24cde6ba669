"""ExecuTorch: a ``.pte`` program for phones and small boards, with XNNPACK's kernels. It takes one image at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.formats.format import Format, Logits, engine_warnings_off, failed
from mobilenet_chest.files import write_whole

if TYPE_CHECKING:
    from mobilenet_chest.models.deployed import DeployedClassifier

LOGIT = 3
"""Which of the program's outputs it is."""


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as a program for one image, in float32.

    Raises:
        ExportFailed: The network cannot be exported, or ExecuTorch lacks an operator.
    """
    import torch

    size = metadata["image_size"]
    image = torch.zeros(1, metadata["channels"], size, size, dtype=torch.uint8)
    try:
        with engine_warnings_off(), torch.no_grad():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            # XNNPACK's partitioner refuses weights that lie channels last
            network = copy.deepcopy(classifier).to(memory_format=torch.contiguous_format)
            exported = torch.export.export(network, (image,))
            program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    except Exception as error:  # torch.export and ExecuTorch raise errors of many kinds
        raise failed("executorch", error) from error
    write_whole(path, program.buffer)


def load(path: Path, threads: int) -> Logits:
    """Return what predicts with a file on the processor; the number of threads counts for the process."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)  # the one way to set it; nothing is running yet
    program = Runtime.get().load_program(str(path))
    method = program.load_method("forward")

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # an output's memory is written over by the next call
        return np.array([float(method.execute([torch.from_numpy(image[None])])[LOGIT]) for image in images], np.float32)

    return logits


FORMAT = Format("executorch", "model.pte", write, load, package="executorch", extra="mobile")
