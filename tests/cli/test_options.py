"""The experiment file and overrides that commands take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Write, assert_refused, contents

from mobilenet_chest.cli.options import split_arguments


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize(
    ("override", "wants"),
    [
        ("modle.name=densenet121", "command line: modle: unknown key; did you mean 'model'?"),
        ("stage2.lrr=1", "command line: stage2.lrr: unknown key; did you mean 'lr'?"),
        ("study.metric=val_acu", "unknown metric 'val_acu'; did you mean 'val_auc'?"),
        ("data.classes=[cardiomegly, pneumothorax]", "no label 'cardiomegly'; did you mean 'cardiomegaly'?"),
        ("search.stage2.lr={low: 1, high: 0.1}", "search.stage2.lr: low 1 is greater than high 0.1"),
        ("data.image_size=0", "command line: data.image_size: must be greater than or equal to 16, not 0"),
        ("data.path=none.npz", "none.npz"),
        ("model.weights=none.pt", "none.pt"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, written: Write, command: str, override: str, wants: str) -> None:
    assert_refused(folder, command, written(), override, wants=wants)


def test_an_unknown_key_in_the_file_names_the_file(folder: Path, written: Write) -> None:
    path = written(augmnt={"hflip": 0.1})
    line = assert_refused(folder, "train", path, wants="augmnt: unknown key; did you mean 'augment'?")
    assert line.startswith(f"{path}: ")


def test_experiments_are_counted(folder: Path, written: Write) -> None:
    first, second = written("one.yaml"), written("two.yaml")
    assert_refused(folder, "sweep", first, second, wants="one experiment file is needed, not 2: ")
    assert_refused(folder, "train", first, second, wants="one experiment file is needed, not 2: ")
    assert_refused(folder, "train", wants="one experiment file is needed, not 0")
    assert_refused(folder, "train", "stage2.lr=1", wants="one experiment file is needed, not 0")
    for command in ("train", "sweep"):
        assert_refused(folder, command, folder / "none.yaml", wants="none.yaml: no such experiment file")


def test_a_data_file_is_no_experiment(folder: Path, tmp_path: Path) -> None:
    np.savez(films := tmp_path / "films.npz", train_images=np.full((4, 8, 8), 200, np.uint8))
    for command in ("train", "sweep"):
        assert_refused(
            folder,
            command,
            films,
            wants=f"not text, and an experiment is a YAML file; to use a data file, give data.path={films}",
        )


@pytest.mark.parametrize("arguments", [("--trials", "0"), ("--workers", "0"), ("--trials", "many"), ("--nonsense",)])
def test_a_wrong_option(folder: Path, written: Write, arguments: tuple[str, ...]) -> None:
    line = assert_refused(folder, "sweep", written(), *arguments, wants=" ".join(arguments))
    assert line.endswith("; type: mobilenet-chest sweep --help")
    assert contents(folder) == {}


def test_files_with_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1.yaml").write_text("name: x\n")
    files, overrides = split_arguments(["lr=1.yaml", "folder/b=2.yaml", "/a=b/c.yaml", "seed=3", "data.path=a/b=c.npz"])
    assert files == [Path("lr=1.yaml"), Path("folder/b=2.yaml"), Path("/a=b/c.yaml")]
    assert overrides == ["seed=3", "data.path=a/b=c.npz"]
    long = f"tracking.experiment={'x' * 600}"
    assert split_arguments([long, "name=\0"]) == ([], [long, "name=\0"])
