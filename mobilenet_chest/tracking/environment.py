"""What a run is made with: versions of packages, processor and GPU."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version

import torch

from mobilenet_chest.processor import cores

LIBRARIES = ("torch", "torchvision", "numpy", "mlflow", "optuna")
"""Packages whose versions a run records."""


@lru_cache(maxsize=1)
def software() -> str:
    """Return the versions of Python and of :data:`LIBRARIES`: ``Python 3.12.3, torch 2.7.1, …``."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])


def hardware(device: str) -> str:
    """Return processor, cores of this process, and the GPU that it uses: ``x86_64, 2 cores, NVIDIA H100``.

    Args:
        device: Of the experiment: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    parts = [platform.machine(), f"{cores()} cores"]
    # a training has its model there by now; no other process is to take memory of the GPU for its name
    if device != "cpu" and torch.cuda.is_initialized():
        parts.append(torch.cuda.get_device_name(torch.device("cuda" if device == "auto" else device)))
    return ", ".join(parts)
