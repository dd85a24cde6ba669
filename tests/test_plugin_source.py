"""The source of a plugin: which files are read, and where code of a file failed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mobilenet_chest.errors import ConfigError
from mobilenet_chest.plugin_source import Contents, raised, read_contents


@pytest.mark.parametrize("name", ["plugin.txt", "missing.py", "folder.py"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ConfigError) as caught:
        read_contents(tmp_path / name)
    (line,) = caught.value.problems
    assert name in line


def test_the_bytes_that_were_read_are_run(tmp_path: Path) -> None:
    """The file may have changed since."""
    path = tmp_path / "plugin.py"
    path.write_text("value = 1\n", encoding="utf-8")
    contents = read_contents(path)
    path.write_text("value = 2\n", encoding="utf-8")
    spec = importlib.util.spec_from_loader("plugin", Contents(path, contents))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.value == 1
    assert not (tmp_path / "__pycache__").exists()


def test_where_code_failed(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    code = compile("def f():\n    raise ValueError('two\\nlines')\nf()\n", str(path), "exec")
    with pytest.raises(ValueError, match="two") as caught:
        exec(code, {})
    assert raised(caught.value, path) == "raised ValueError: two lines (line 2)"
    assert raised(caught.value, tmp_path / "other.py") == "raised ValueError: two lines"
