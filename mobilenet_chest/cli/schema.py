"""The command ``schema``."""

from __future__ import annotations

import json
import sys

from mobilenet_chest.config import Config


def schema() -> None:
    """Print the JSON schema of experiment files, for editors.

    Example: mobilenet-chest schema > experiment.schema.json
    """
    sys.stdout.write(json.dumps(Config.model_json_schema(), indent=2) + "\n")
