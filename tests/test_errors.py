"""The tree of errors: exit codes and messages that people and scripts rely on."""

from __future__ import annotations

import pytest

from mobilenet_chest import errors

USER_ERRORS = [
    errors.ConfigError,
    errors.DataError,
    errors.WeightsError,
    errors.MissingExtraError,
    errors.TrackingError,
    errors.StudyError,
    errors.CacheError,
    errors.ClusterError,
]


@pytest.mark.parametrize("kind", USER_ERRORS)
def test_wrong_input_leaves_with_2(kind: type[errors.UserError]) -> None:
    assert issubclass(kind, errors.UserError)
    assert kind.exit_code == 2


def test_failed_work_leaves_with_1_and_a_refusal_with_3() -> None:
    assert errors.TrainingDiverged("x").exit_code == 1
    assert errors.SweepFailed("x").exit_code == 1
    assert errors.PromotionRefused(["x"]).exit_code == 3
    assert errors.SealedError("x").exit_code == 3
    assert issubclass(errors.SealedError, errors.UserError)
    for kind in (errors.TrainingDiverged, errors.SweepFailed, errors.PromotionRefused):
        assert not issubclass(kind, errors.UserError)


def test_every_error_has_one_root_and_stands_in_the_tree() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(kinds) >= 13
    assert all(issubclass(kind, errors.MobilenetChestError) for kind in kinds)
    assert [kind.__name__ for kind in kinds if kind.__name__ not in (errors.__doc__ or "")] == []


def test_a_config_error_has_a_line_for_each_problem() -> None:
    error = errors.ConfigError(["first", "second"])
    assert error.problems == ("first", "second")
    assert str(error) == "first\nsecond"


def test_a_refused_promotion_gives_all_reasons_in_one_line() -> None:
    error = errors.PromotionRefused(["too slow", "too big"])
    assert error.reasons == ("too slow", "too big")
    assert str(error) == "not promoted: too slow; too big"


def test_a_missing_extra_says_what_to_type() -> None:
    message = str(errors.MissingExtraError("model timm:x", "timm"))
    assert message.startswith("model timm:x ")
    assert message.endswith("pip install -e '.[timm]'")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dropuot", "; did you mean 'dropout'?"),
        ("DROPOUT", "; did you mean 'dropout'?"),
        ("Stem", "; did you mean 'Stem'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_nearest(name: str, hint: str) -> None:
    assert errors.nearest(name, ["dropout", "Stem"]) == hint


def test_nearest_of_nothing() -> None:
    assert errors.nearest("dropout", []) == ""


def test_allowed_names_follow_the_hint() -> None:
    assert errors.allowed_names("dropuot", ["dropout", "Stem"]) == "; did you mean 'dropout'? Allowed: dropout, Stem"
    assert errors.allowed_names("zzz", ["dropout", "Stem"]) == "; allowed: dropout, Stem"
