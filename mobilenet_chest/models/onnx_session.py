"""ONNX Runtime as this package uses it. Nothing here imports torch, which takes seconds and hundreds of megabytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def open_session(source: Path | bytes, threads: int | None = None) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        source: A file, or what it holds.
        threads: Threads of an operator; by default the processors that this process may use, or OMP_NUM_THREADS.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or thread_count()
    options.log_severity_level = 3  # errors only
    # idle threads would wait for work in a loop, which takes the processor from everything else
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    given = source if isinstance(source, bytes) else str(source)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def thread_count() -> int:
    """Return OMP_NUM_THREADS, where it is set, as torch does; else the number of processors for this process."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text.isdecimal() and int(text):
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
