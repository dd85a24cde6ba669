"""The notebook: its cells run one after the other in a fresh process, and what they end with can be shown.

A process is started as a kernel is: without a main file, so that workers begin as they do under Jupyter. A kernel of
its own would test Jupyter's messages too, and need a score of packages for it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import start

NOTEBOOK = Path(__file__).parents[2] / "experiments" / "walkthrough.ipynb"

RUNNER = """
import ast, json, sys

shown = []
for source in json.loads(sys.stdin.read()):
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), globals())
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), globals())
        show = getattr(value, "_repr_html_", None)
        shown.append([type(value).__name__, repr(value) if show is None else show()])
print(json.dumps(shown))
"""


def cells(kind: str) -> list[dict[str, Any]]:
    """Return the notebook's cells of a kind."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_is_stored_without_outputs() -> None:
    code = cells("code")
    assert len(code) >= 8
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)
    assert len({cell["id"] for cell in cells("code") + cells("markdown")}) == len(code) + len(cells("markdown"))
    assert NOTEBOOK.stat().st_size < 10_000


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    shutil.copy(NOTEBOOK.with_name("quickstart.yaml"), folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sources = ["".join(cell["source"]) for cell in cells("code")]
    done = start("-c", RUNNER, cwd=folder, given=json.dumps(sources), limit=1200)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    kinds = [kind for kind, _ in shown]
    assert kinds == ["str", "RunResult", "dict", "SweepResult", "Comparison", "DataFrame", "Promotion", "DataFrame"]
    by_kind = dict(shown)
    for kind in ("RunResult", "SweepResult", "Comparison", "Promotion"):
        assert by_kind[kind].startswith("<table>"), kind
        assert "–" in by_kind[kind]  # an interval
    assert (tmp_path / "mlflow.db").exists()
