"""No code of the package opens a pickle, or runs what a file says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mobilenet_chest


def unsafe(source: str) -> list[str]:
    """Calls and imports in Python source that could open a pickle, or run what a file says."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )
            banned = {"pickle", "_pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
            lines += [f"{node.lineno}: import {name}" for name in names if name.partition(".")[0] in banned]
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        last = called.rpartition(".")[2]
        if (
            (called == "torch.load" and given.get("weights_only") != "True")
            or (called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False")
            or (called == "yaml.load" and given.get("Loader") != "_Loader")  # a SafeLoader
            or (called.startswith("yaml.") and last.endswith(("unsafe_load", "full_load", "_all")))
            or last in ("read_pickle", "to_pickle")
            or called in ("eval", "exec", "__import__", "os.system", "torch.hub.load", "torch.jit.load")
            or given.get("shell") == "True"
            or last in ("extractall", "unpack_archive")
        ):  # fmt: skip
            lines.append(f"{node.lineno}: {ast.unparse(node)}")
    return lines


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)", "numpy.load(p, allow_pickle=True)",
        "yaml.load(t, Loader=yaml.Loader)", "yaml.load(t)", "yaml.unsafe_load(t)", "yaml.full_load(t)",
        "import pickle", "from joblib import load", "import dill as d", "from cloudpickle.x import y",
        "pd.read_pickle(p)", "torch.hub.load(r, m)", "archive.extractall(p)", "subprocess.run(c, shell=True)",
        "eval(t)",
    ],
)  # fmt: skip
def test_the_search_finds(source: str) -> None:
    assert len(unsafe(source)) == 1


def test_the_package_opens_no_pickle() -> None:
    root = Path(mobilenet_chest.__file__).parent
    modules = sorted(root.rglob("*.py"))
    assert len(modules) > 80
    by_path = {str(path.relative_to(root)): unsafe(path.read_text(encoding="utf-8")) for path in modules}
    assert {path: lines for path, lines in by_path.items() if lines} == {}


def test_models_are_loaded_in_one_place_only() -> None:
    """``mlflow`` and ``torch.export`` run what a model's files say: behind the digests, and of a file just written."""
    root, by_name = Path(mobilenet_chest.__file__).parent, {}
    for path in root.rglob("*.py"):
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call)]  # fmt: skip
        loads = sorted({name for name in calls if name.endswith("load_model") or name == "torch.export.load"})
        if loads:
            by_name[path.name] = loads
    assert by_name == {"package.py": ["mlflow.pyfunc.load_model"], "torch_program.py": ["torch.export.load"]}
