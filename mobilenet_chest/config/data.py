"""The section ``data`` of an experiment: the images, the two classes, and the rows of train and val."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mobilenet_chest.config.section import Section

CHEST = "chestmnist"
"""The data set of an experiment that names neither a data set nor a file."""


class ClassGroup(Section):
    """A class of several labels; in a file also written as ``{NAME: [LABEL, …]}``."""

    name: str = Field(min_length=1, description="Name of the class.")
    labels: tuple[str, ...] = Field(min_length=1, description="Labels that belong to it, by name or number.")


GROUPS = "{NAME: [LABEL, …], NAME: [LABEL, …]}"
"""How two groups of labels are written."""


def _labels(name: str, value: Any) -> list[str]:
    labels = value if isinstance(value, list | tuple) else [value]
    if not labels or any(type(label) not in (int, str) for label in labels):
        raise ValueError(f"class '{name}' needs labels, as names or whole numbers, not {value!r}; write {GROUPS}")
    return [str(label) for label in labels]


def _class(value: Any) -> Any:
    """Return one of two classes with its labels as texts: a label, or a group as a run's ``config.yaml`` has it."""
    if isinstance(value, dict) and value.keys() == {"name", "labels"}:
        return value | {"labels": _labels(value["name"], value["labels"])}
    return str(value) if type(value) is int else value


class DataConfig(Section):
    """The images, the two classes, the image size, and the rows of train and val."""

    dataset: str | None = Field(
        None,
        description="A 2D MedMNIST name, or 'phantom' for embedded synthetic data. null: chestmnist, or with path a "
        "file of your own.",
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="What reports call your own file; its file name when unset.",
    )
    classes: tuple[str | ClassGroup, str | ClassGroup] | None = Field(
        None,
        description="Class 0 and class 1: two labels, or {NAME: [LABEL, …], NAME: [LABEL, …]}. Of a file with labels 0 "
        "and 1, their names. Required where there are more than two labels.",
    )
    source_size: Literal[28, 64, 128, 224] = Field(28, description="Side in pixels of the stored images.")
    image_size: int = Field(128, ge=16, le=1024, description="Side in pixels of the network's input (bicubic resize).")
    path: Path | None = Field(None, description="A local .npz file in MedMNIST layout, used instead of a download.")
    root: Path = Field(Path("~/.medmnist"), description="Folder of downloaded files; medmnist uses the same.")
    sampling: Literal["all", "oversample", "balanced"] = Field(
        "all",
        description="Training rows of an epoch. all: each row once; oversample: rows of the smaller class are repeated "
        "until both classes have as many; balanced: half of each batch from each class.",
    )
    folds: int | None = Field(
        None, ge=2, description="Divide train and val together into this many folds; null: keep the file's split."
    )
    fold: int = Field(0, ge=0, description="Fold to validate on, counted from 0.")
    fold_by: Literal["rows", "site"] = Field(
        "rows",
        description="What a fold is. rows: as many of each class in every fold, no patient in two; site: all rows of "
        "one site, of a file with the columns train_site and val_site.",
    )
    drop_duplicates: bool = Field(
        False, description="Leave out training rows whose image is also in val or in an earlier training row."
    )
    split_seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="Seed that divides train and val together: into folds, or without folds into splits as large as "
        "the file's. null: seed 0 for folds, else the file's split.",
    )

    @field_validator("path", "root")
    @classmethod
    def _full_path(cls, value: Path | None) -> Path | None:
        # absolute, so that a run's recorded experiment can be read again from any folder
        if value is None:
            return None
        if not str(value).isprintable():  # nor can MLflow store what is no valid UTF-8
            raise ValueError(f"{str(value)!a} has signs that cannot be shown or stored; rename the file or folder")
        if any(len(part.encode()) > 255 for part in value.parts):
            raise ValueError(f"'{str(value)[:40]}…' has a name of more than 255 bytes; no file has one")
        return value.expanduser().absolute()

    @model_validator(mode="before")
    @classmethod
    def _chest_without_a_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("dataset") is None and value.get("path") is None:
            return value | {"dataset": CHEST}
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _groups(cls, value: Any) -> Any:
        if isinstance(value, dict | list | tuple) and len(value) != 2:
            raise ValueError(
                f"two classes are told apart, not {len(value)}; name two labels, or put all into two groups: {GROUPS}"
            )
        if isinstance(value, dict):
            return [{"name": name, "labels": _labels(name, labels)} for name, labels in value.items()]
        if isinstance(value, list | tuple):
            return [_class(each) for each in value]
        return value

    @model_validator(mode="after")
    def _classes_can_be_told_apart(self) -> Self:
        names = [each.name if isinstance(each, ClassGroup) else each for each in self.classes or ()]
        for name in names:
            if " / " in name:
                raise ValueError(f"classes: '{name}' contains ' / ', which separates the two names; write it otherwise")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError(f"classes names '{names[0]}' twice; give two different names")
        return self

    @model_validator(mode="after")
    def _phantom_has_no_file(self) -> Self:
        if self.dataset == "phantom" and self.path is not None:
            raise ValueError(f"dataset 'phantom' is generated; remove path {self.path}, or name the file's dataset")
        return self

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> Self:
        if self.fold >= (self.folds or 1):
            allowed = f"0 to {self.folds - 1}" if self.folds else "0, unless folds is set"
            raise ValueError(f"fold {self.fold} is not one of {self.folds or 'no'} folds; allowed: {allowed}")
        if self.fold_by == "site" and self.folds is None:
            raise ValueError("fold_by: site divides nothing without folds; give folds: the number of sites")
        if self.fold_by == "site" and self.split_seed is not None:
            raise ValueError(
                f"split_seed {self.split_seed} draws folds by chance, and with fold_by: site they are the sites; "
                "remove one of them"
            )
        return self

    @property
    def title(self) -> str:
        """Return what reports call the data."""
        return self.name or self.dataset or (self.path.stem if self.path is not None else CHEST)

    @property
    def divided(self) -> bool:
        """Return whether train and val are divided together, instead of keeping the file's split."""
        return self.folds is not None or self.split_seed is not None
