"""Names of attributes are part of the contract: studies of earlier versions have them."""

from __future__ import annotations

from mobilenet_chest.sweep import attributes

NAMES = {
    "paused", "passed_rung",
    "definition", "run_id", "max_retries", "reported_trials", "confirmed", "confirms", "worker", "retry_of", "deaths",
    "interrupted", "reason", "stage1", "fold_runs", "gone", "epochs", "trainings", "mlflow", "first_attempt",
    "sampler", "violates", "repeats", "added", "stop", "study_paused", "stops", "asked_trials", "set_trials", "events",
    "notified", "first_trials", "earlier_trials", "curves", "first", "imported", "data_name",
}  # fmt: skip


def test_every_attribute_has_the_name_that_it_always_had() -> None:
    constants = {name: value for name, value in vars(attributes).items() if name.isupper()}
    assert set(constants.values()) == NAMES
    assert all(name.lower() == value for name, value in constants.items())
