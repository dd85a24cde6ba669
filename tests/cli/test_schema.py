"""``schema``."""

from __future__ import annotations

import json

from helpers.commands import run


def test_the_schema_is_json_schema() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)["properties"]) >= {"name", "data", "search", "study", "stage2"}
