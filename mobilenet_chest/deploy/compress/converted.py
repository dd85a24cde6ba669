"""What a method makes of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Converted:
    """A compressed file.

    Attributes:
        model: ``onnx.ModelProto`` with the inputs and outputs of the original.
        choices: What the method has chosen, by name; they are tags of the run, and printed.
    """

    model: Any
    choices: Mapping[str, str]
