"""The formats of exported files: how a classifier is written, and how a file of it answers."""

from __future__ import annotations

from mobilenet_chest.deploy.formats import coreml, executorch, onnx, openvino, tensorrt, torch_program
from mobilenet_chest.deploy.formats.format import METADATA_FILE, TOLERANCE, Format, metadata_beside

__all__ = ["FORMATS", "METADATA_FILE", "TOLERANCE", "Format", "metadata_beside"]

FORMATS = {each.FORMAT.name: each.FORMAT for each in (onnx, torch_program, openvino, coreml, executorch, tensorrt)}
"""All formats by name."""
