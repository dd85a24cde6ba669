"""Files of studies: written, read back, and refused in one line whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.studies import LR, Make, Tell, summary

from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import commands, studies_file
from mobilenet_chest.sweep.first_trials import first_trials
from mobilenet_chest.sweep.stored_study import check_same_experiment
from mobilenet_chest.sweep.studies_file import export_studies, import_studies, read_studies
from mobilenet_chest.sweep.study_summary import summaries

TRIALS = [({"stage2.lr": 1e-4}, 0.9), ({"stage2.lr": 1e-2}, 0.5)]


@pytest.fixture
def exported(tell: Tell, url: str, tmp_path: Path) -> Path:
    tell(url, "a", TRIALS)
    path = tmp_path / "studies.json"
    assert export_studies(["a"], path, url) == [{"study": "a", "done": f"2 trials written to {path}"}]
    return path


@pytest.fixture
def fresh(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'fresh.db'}"


def test_a_file_has_what_later_studies_need_and_no_path(exported: Path, tmp_path: Path) -> None:
    document = json.loads(exported.read_text())
    assert (document["format"], document["version"]) == ("mobilenet-chest studies", 1)
    (study,) = document["studies"]
    assert study["data"] == {"dataset": "chestmnist"}
    assert study["search"] == {"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True}}
    assert [(t["params"], t["value"], t["state"]) for t in study["trials"]] == [(p, v, "COMPLETE") for p, v in TRIALS]
    assert str(tmp_path) not in exported.read_text()


def test_a_fresh_store_learns_from_an_imported_study(exported: Path, fresh: str, phantom_config: Make) -> None:
    assert import_studies(exported, storage=fresh) == [{"study": "a", "done": "imported, 2 trials"}]
    assert summaries(fresh, resting=True) == read_studies(exported)
    for learn_from in ("all", ["a"]):
        config = phantom_config({"name": "new", "search": LR, "study": {"learn_from": learn_from}})
        (first,) = first_trials(config, fresh)
        assert (first.values, first.study, first.trial) == ({"stage2.lr": 1e-4}, "a", 0)
    again = import_studies(exported, storage=fresh)
    assert again == [{"study": "a", "done": "is there already"}]
    exported_again = exported.with_name("again.json")
    export_studies([], exported_again, fresh)
    assert exported_again.read_bytes() == exported.read_bytes()


def test_an_imported_study_is_not_swept(exported: Path, fresh: str, phantom_config: Make) -> None:
    import_studies(exported, storage=fresh)
    with pytest.raises(StudyError, match="study 'a' was imported; name this study otherwise"):
        check_same_experiment(phantom_config({"name": "a", "search": LR}), fresh)
    with pytest.raises(StudyError, match="no study 'a'"):
        commands.command("a", fresh, commands.pause)


def test_a_name_that_is_taken_needs_a_prefix(exported: Path, url: str, tell: Tell) -> None:
    tell(url, "b", TRIALS)
    with pytest.raises(StudyError, match="has another study 'a'; add --prefix TEXT"):
        import_studies(exported, storage=url)
    assert import_studies(exported, "lab/", url) == [{"study": "lab/a", "done": "imported, 2 trials"}]
    assert sorted(each.name for each in summaries(url)) == ["a", "b", "lab/a"]
    with pytest.raises(StudyError, match="--prefix"):
        import_studies(exported, "x" * 200, url)


def test_fields_that_may_hold_paths_stay_here(tell: Tell, url: str, tmp_path: Path) -> None:
    weights = tmp_path / "own.pt"
    search = LR | {
        "model.weights": {"choices": ["none", str(weights)]},
        "model.dropout": {"low": 0.1, "high": 0.2, "when": {"model.weights": "none"}},
    }
    study = tell(url, "a", [(TRIALS[0][0] | {"model.weights": str(weights)}, 0.9)], search=search)
    assert len(study.get_trials()) == 1
    (done,) = export_studies([], tmp_path / "out.json", url)
    assert done["done"].endswith("left out, as choices may be paths of this machine: model.weights")
    text = (tmp_path / "out.json").read_text()
    assert str(tmp_path) not in text
    (found,) = read_studies(tmp_path / "out.json")
    assert found.trials[0].params == TRIALS[0][0]
    assert (list(found.search), found.search["model.dropout"].when) == (["stage2.lr", "model.dropout"], {})


def test_what_cannot_be_exported(url: str, tmp_path: Path, tell: Tell) -> None:
    with pytest.raises(StudyError, match="no study in .* has a complete trial"):
        export_studies([], tmp_path / "out.json", url)
    tell(url, "a", TRIALS)
    with pytest.raises(StudyError, match="no study 'b' with a complete trial in .*allowed: a"):
        export_studies(["b"], tmp_path / "out.json", url)
    with pytest.raises(StudyError, match="cannot be written .*; name another file"):
        export_studies([], tmp_path / "no" / "out.json", url)
    assert list(tmp_path.glob("**/*.json*")) == []


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.update(version=2), "version '2' of the format, and this program reads 1"),
        (lambda d: d.update(format="other"), "not a file of studies"),
        (lambda d: d.pop("format"), "not a file of studies"),
        (lambda d: d.update(studies=[]), "studies: tuple should have at least 1 item"),
        (lambda d: d.update(studies=d["studies"] * 2), "study 'a' is in it twice"),
        (lambda d: d["studies"][0].update(images=[]), "studies.0.images: extra inputs"),
        (lambda d: d["studies"][0].update(name="a\x1b[2J"), "invisible sign"),
        (lambda d: d["studies"][0].update(direction="up"), "studies.0.direction: "),
        (lambda d: d["studies"][0]["trials"][0].update(value=float("nan")), "NaN is no number of JSON"),
        (lambda d: d["studies"][0]["trials"][0].update(params={"stage2.lr": 7}), "trial 0 has stage2.lr = 7"),
        (lambda d: d["studies"][0]["search"].update(x={"low": 2, "high": 1}), "low 2 is greater than high 1"),
    ],
)
def test_a_file_that_is_refused(tmp_path: Path, change: Change, part: str) -> None:
    study = summary("a", {1e-4: 0.9, 1e-2: 0.5}).model_dump(mode="json", exclude_defaults=True)
    document = {"format": "mobilenet-chest studies", "version": 1, "studies": [study]}
    path = tmp_path / "studies.json"
    path.write_text(json.dumps(document))
    assert [each.name for each in read_studies(path)] == ["a"]
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(StudyError) as caught:
        import_studies(path, storage=f"sqlite:///{tmp_path / 'fresh.db'}")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fresh.db").exists()


@pytest.mark.parametrize(
    ("contents", "part"),
    [
        (b"", "not JSON"),
        (b"[1, 2", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON (nested too deep)"),
        (b"[]", "not a file of studies"),
        (b'{"format": "mobilenet-chest studies", "version": 1, "studies": [{"name": 1e999}]}', "studies.0."),
    ],
)
def test_contents_that_are_refused(tmp_path: Path, contents: bytes, part: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(contents)
    with pytest.raises(StudyError) as caught:
        read_studies(path)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_one_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match="no such file"):
        read_studies(tmp_path)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(studies_file.MOST_BYTES + 1)
    with pytest.raises(StudyError, match="16 MiB, and at most 16 are read"):
        read_studies(large)
