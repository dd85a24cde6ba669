"""ONNX Runtime as this package uses it. Nothing here imports torch, which takes seconds and hundreds of megabytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobilenet_chest import processor
from mobilenet_chest.errors import DataError

BITS = "weight_bits"
"""Entry of a quantised file's metadata: 7, or 8 for processors that add up products of bytes without saturation."""


def open_session(source: Path | bytes, threads: int | None = None) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        source: A file, or what it holds.
        threads: Threads of an operator; by default the processors that this process may use, or OMP_NUM_THREADS.

    Raises:
        DataError: The file was made for another kind of processor, and would answer wrongly here.
        Exception: ONNX Runtime's own, where it cannot load the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or thread_count()
    options.log_severity_level = 3  # errors only
    # idle threads would wait for work in a loop, which takes the processor from everything else
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    given = source if isinstance(source, bytes) else str(source)
    session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    check_processor(session.get_modelmeta().custom_metadata_map, "the file" if isinstance(source, bytes) else given)
    return session


def check_processor(metadata: Mapping[str, str], what: object) -> None:
    """Check that this processor adds up what a quantised file multiplies.

    Args:
        metadata: Entries of the file's metadata.
        what: The file, for the message.

    Raises:
        DataError: It does not.
    """
    if metadata.get(BITS) == "8" and not processor.multiplies_bytes():
        raise DataError(
            f"{what}: has 8-bit weights, made on a processor with VNNI; this one has none, and the answers would be "
            "wrong; use it on such a processor, or compress its run again on this one"
        )


def thread_count() -> int:
    """Return OMP_NUM_THREADS, where it is set, as torch does; else the number of processors for this process."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text.isdecimal() and int(text):
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
