"""The base class of all sections of an experiment."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from mobilenet_chest.config.yaml_text import is_decimal

MOST_LETTERS = 200
"""Longest name of a study or MLflow experiment. MLflow's columns hold 250 letters in PostgreSQL (SQLite does not count
them), and names of runs are made of the study's name, with the numbers of trial, seed and fold."""


def _one_line(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError(f"{value!r} has a line break, another invisible sign, or blanks at an end; remove them")
    return value


Name = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS), AfterValidator(_one_line)]
"""A name that databases, folders and terminals show as it is."""


CONFIRM_ENDING = "/confirm"
"""What the name of a study's confirmation has behind the study's."""


def _short_but_for_its_ending(value: str) -> str:
    if len(value.removesuffix(CONFIRM_ENDING)) > MOST_LETTERS:
        raise PydanticKnownError("string_too_long", {"max_length": MOST_LETTERS})
    return value


StudyName = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"maxLength": MOST_LETTERS}),
    AfterValidator(_one_line),
    AfterValidator(_short_but_for_its_ending),
]
"""A name of a study, or of its confirmation, which the runs of the confirmation store."""


class Section(BaseModel):
    """A section: frozen, without unknown keys, NaN or infinity; defaults are validated too."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_decimal(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic takes true as 1, '010' as 10 and '1_000' as 1000: more often a mistake than meant
        assert info.field_name is not None
        kinds = _kinds(cls, info.field_name)
        if kinds & {int, float} and not kinds & {bool, dict}:
            for item in value if isinstance(value, list | tuple) else [value]:
                if isinstance(item, bool) or (isinstance(item, str) and _looks_like_number(item)):
                    raise ValueError(f"must be a plain decimal number such as 16 or 1e-3, not {item!r}")
        return value


@cache
def _kinds(section: type[Section], field: str) -> set[type]:
    """Return the types of the values that a field, or an entry of its list, may have."""

    def leaves(annotation: Any) -> set[type]:
        if get_origin(annotation) is Literal:
            return {type(value) for value in get_args(annotation)} - {int, float}
        if get_origin(annotation) is dict:
            return {dict}
        if arguments := get_args(annotation):
            return set().union(*map(leaves, arguments))
        return {annotation} if isinstance(annotation, type) else set()

    return leaves(section.model_fields[field].annotation)


def _looks_like_number(text: str) -> bool:
    """Return whether Python reads a text as a number that is not written as a plain decimal."""
    try:
        float(text)
    except ValueError:
        return False
    return not is_decimal(text)
