"""Files of the user's own code: run when they are named, known by their digest, and never run otherwise."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from helpers.plugin_files import HEAD, PLUGIN

from mobilenet_chest import plugins, register_metric
from mobilenet_chest.config import load, parse
from mobilenet_chest.config.plugin_files import PluginFile
from mobilenet_chest.errors import ConfigError, PluginFailed

METRIC = "@register_metric({name!r})\ndef value({words}):\n    {body}\n"


def metric(name: str = "val_x", words: str = "labels, probabilities", body: str = "return 1.0") -> str:
    """Return the source of a plugin with one metric."""
    return HEAD + METRIC.format(name=name, words=words, body=body)


def entry(path: Path) -> PluginFile:
    return PluginFile(path=path, sha256=sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def write(tmp_path: Path, forgotten: Callable[[], None]) -> Callable[..., Path]:
    """Writes a plugin and returns its path."""

    def file(source: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        return path

    return file


def test_functions_are_known_by_kind_and_name(plugin_file: Path) -> None:
    plugin = plugins.load_file(plugin_file)
    assert {kind: list(functions) for kind, functions in plugin.functions.items()} == {
        "augmentation": ["gamma"],
        "metric": ["val_f2"],
        "model": ["small_net"],
    }
    assert plugin.sha256 == sha256(PLUGIN.encode()).hexdigest()
    assert plugin.summary().startswith(f"{plugin_file} (sha256 {plugin.sha256[:12]}): augmentation gamma, ")
    assert plugins.names("metric") == []  # loaded, but no experiment is at work
    plugins.activate([entry(plugin_file)])
    assert plugins.names("metric") == ["val_f2"]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def x(:\n", "line 1: invalid syntax"),
        ("\n\nimport no_such_module\n", "raised ModuleNotFoundError: No module named 'no_such_module' (line 3)"),
        ("raise SystemExit(0)\n", "raised SystemExit: 0 (line 1)"),
        ("x = 1\n", "registers nothing"),
        (metric("f2"), "metric 'f2': a name is val_"),
        (metric("val_X"), "metric 'val_X': a name is val_"),
        (metric(words="labels"), "metric 'val_x': its function must take (labels, probabilities)"),
        (metric() + METRIC.format(name="val_x", words="a, b", body="return 2"), "metric 'val_x' is registered twice"),
        ("\0", "raised"),
    ],
)
def test_files_that_cannot_be_used(write: Callable[..., Path], source: str, part: str) -> None:
    path = write(source)
    with pytest.raises(ConfigError) as error:
        plugins.load_file(path)
    (line,) = error.value.problems
    assert str(path) in line
    assert part in line or (source == "\0" and "null bytes" in line)
    assert "\n" not in line


def test_files_that_are_not_there(write: Callable[..., Path], tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", write("", "mine.txt"), tmp_path):
        with pytest.raises(ConfigError, match="plugins: "):
            plugins.load_file(path)


def test_the_same_contents_are_run_once(write: Callable[..., Path], tmp_path: Path) -> None:
    counting = f"from pathlib import Path\nPath({str(tmp_path / 'count')!r}).mkdir()\n" + metric()  # twice it fails
    first = plugins.load_file(write(counting))
    assert plugins.load_file(write(counting, "copy.py")) is first
    assert (tmp_path / "count").is_dir()


def test_an_edited_file_is_another_plugin_and_the_old_one_stays(write: Callable[..., Path]) -> None:
    path = write(metric(body="return 1.0"))
    old = entry(path)
    plugins.load_file(path)
    write(metric(body="return 2.0"))
    new = entry(path)
    plugins.load_file(path)
    for expected, each in ((1.0, old), (2.0, new), (1.0, old)):
        plugins.activate([each])
        assert plugins.call("metric", "val_x", [], []) == expected


def test_a_file_that_has_changed_is_refused(write: Callable[..., Path], forgotten: Callable[[], None]) -> None:
    path = write(metric())
    before = entry(path)
    path.write_text(metric(body="return 2.0"))
    with pytest.raises(ConfigError, match="has changed") as error:
        plugins.activate([before], named=True)
    assert before.sha256[:12] in str(error.value)


def test_decorators_do_nothing_outside_of_a_plugin(forgotten: Callable[[], None]) -> None:
    @register_metric("not a name")
    def value() -> int:
        return 3

    assert value() == 3
    assert plugins.names("metric") == []


def test_a_name_belongs_to_one_plugin(write: Callable[..., Path]) -> None:
    both = [write(metric()), write(metric(body="return 2.0"), "other.py")]
    with pytest.raises(ConfigError, match="metric 'val_x' is registered by"):
        plugins.activate([entry(path) for path in both], named=True)


def test_a_function_that_raises(write: Callable[..., Path]) -> None:
    path = write(metric(body="return probabilities[99]"))
    plugins.activate([entry(path)], named=True)
    with pytest.raises(PluginFailed, match=r"metric 'val_x' raised IndexError: .* \(line 4\)") as error:
        plugins.call("metric", "val_x", [1], [0.5])
    assert str(path) in str(error.value)
    assert error.value.exit_code == 1


def test_a_plugin_that_nobody_has_named_is_absent(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marker = tmp_path / "run"
    path = write(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n" + metric())
    stored = entry(path)
    with plugins.using([stored]):
        assert plugins.may_be("metric", "val_x")
        assert plugins.may_be("model", "anything")
        assert not plugins.may_be("metric", "f2")
        with pytest.raises(ConfigError, match="never taken from a run"):
            plugins.require()
        with pytest.raises(ConfigError, match=plugins.VARIABLE):
            plugins.call("metric", "val_x", [], [])
    assert not plugins.may_be("metric", "val_x")
    assert not marker.exists()
    other = write(metric(body="return 2.0"), "other.py")
    monkeypatch.setenv(plugins.VARIABLE, str(other))
    with plugins.using([stored]), pytest.raises(ConfigError):
        plugins.require()
    assert not marker.exists()
    moved = tmp_path / "moved.py"
    moved.write_bytes(path.read_bytes())
    monkeypatch.setenv(plugins.VARIABLE, f"{other}:{moved}")
    with plugins.using([stored]):
        plugins.require()
        assert plugins.call("metric", "val_x", [], []) == 1.0
    assert marker.exists()


def test_changing_an_experiment_runs_no_plugin(write: Callable[..., Path], tmp_path: Path) -> None:
    marker = tmp_path / "run"
    path = write(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n" + metric())
    stored = parse({"name": "x", "plugins": [{"path": str(path), "sha256": entry(path).sha256}]})
    assert load(stored, seed=3).plugins == stored.plugins
    assert not marker.exists()
    load(stored, plugins=[str(path)])
    assert marker.exists()


def test_what_was_at_work_before_a_block_is_again(write: Callable[..., Path]) -> None:
    first, second = write(metric("val_a")), write(metric("val_b"), "other.py")
    plugins.activate([entry(first)], named=True)
    plugins.load_file(second)
    with plugins.using([entry(second)]):
        assert plugins.names("metric") == ["val_b"]
    assert plugins.names("metric") == ["val_a"]
