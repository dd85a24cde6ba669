"""``promote`` from the outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import run


# MLflow's own remark on a model class without type hints, made when it is imported
@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_promoting_what_is_not_there(tracking: Path) -> None:
    result = run("promote", "none")
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "'none'" in result.stderr
