"""The saved view of a study, and the addresses of pages."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from helpers.stores import EXPERIMENT, STUDY, Store
from mlflow.entities import Metric, Run, RunData, RunInfo, RunTag

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import view
from mobilenet_chest.tracking.view import VIEW_TAG, page_address, save_view, searched_fields, server_address, view_state

SERVER = "http://127.0.0.1:5000"


def saved(store: Store) -> dict[str, str]:
    """The views in the store's experiment."""
    experiment = store.client.get_experiment_by_name(EXPERIMENT)
    return {name: value for name, value in experiment.tags.items() if name.startswith(VIEW_TAG)}


def query(address: str) -> tuple[str, dict[str, list[str]]]:
    """Path and parameters behind the #, where MLflow's pages read them."""
    place = urlsplit(urlsplit(address).fragment)
    return place.path, parse_qs(place.query)


def test_a_study_s_page_lists_its_trials_the_best_first(store: Store) -> None:
    state = view_state(store.run(store.study_run), ["model.dropout"])
    assert state["searchFilter"] == f"tags.study = '{STUDY}' AND tags.kind = 'trial'"
    assert state["orderByKey"] == "metrics.`final/val_auc`"
    assert state["orderByAsc"] is False
    assert state["selectedColumns"] == [
        "metrics.`final/val_auc`", "tags.`interval`", "params.`model.dropout`", "tags.`trial_state`",
        "attributes.`Duration`",
    ]  # fmt: skip
    experiments = [store.run(store.study_run).info.experiment_id]
    found = store.client.search_runs(experiments, state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"])
    assert {run.info.run_id for run in found} == set(store.trials)
    assert found[0].info.run_id == store.trials[store.best]
    above = store.client.search_runs(experiments, f"{state['searchFilter']} AND {state['orderByKey']} > 2")
    assert above == []


def test_charts_have_a_section_and_names_of_their_own(store: Store) -> None:
    state = view_state(store.run(store.study_run), ["model.dropout", "stage2.lr"])
    sections = {section["uuid"] for section in state["compareRunSections"]}
    charts = state["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} < sections
    assert len({chart["uuid"] for chart in charts}) == len(charts) == 10
    assert [chart["type"] for chart in charts] == ["LINE"] * 3 + ["PARALLEL"] + ["BAR"] * 6
    assert [chart["metricKey"] for chart in charts if "metricKey" in chart][:4] == [
        "val/auc", "val/loss", "train/loss", "final/val_auc"
    ]  # fmt: skip
    assert charts[3]["selectedParams"] == ["model.dropout", "stage2.lr"]
    assert charts[3]["selectedMetrics"] == ["final/val_auc"]
    assert (charts[4]["metricKey"], charts[4]["displayName"]) == ("final/val_auc", "val_auc")


def test_the_charts_begin_with_curves_and_costs_are_folded(store: Store) -> None:
    sections = view_state(store.run(store.study_run), [])["compareRunSections"]
    assert [(section["name"], section["display"]) for section in sections] == [
        ("Study", True), ("final", True), ("val", False), ("train", False), ("cost", False)
    ]  # fmt: skip


def test_a_metric_without_a_curve_is_a_column(store: Store) -> None:
    store.client.set_tag(store.study_run, "metric", "val_auc_tta")
    state = view_state(store.run(store.study_run), [])
    assert state["orderByKey"] == "metrics.`final/val_auc_tta`"
    assert [chart["metricKey"] for chart in state["compareRunCharts"]][:4] == [
        "val/auc", "val/loss", "train/loss", "final/val_auc_tta"
    ]  # fmt: skip


def test_a_study_of_an_early_version_has_its_names() -> None:
    labels = {"study": "early", "metric": "val_auc", "direction": "maximize"}
    data = RunData(metrics=[Metric("best_val_auc", 0.5, 0, 1)], tags=[RunTag(*label) for label in labels.items()])
    state = view_state(Run(RunInfo("run", "1", "me", "FINISHED", 0, 0, "active"), data), ["model.dropout"])
    assert state["orderByKey"] == "metrics.`val_auc`"
    assert [chart.get("metricKey") for chart in state["compareRunCharts"]] == [
        "val_auc",
        "val_loss",
        "train_loss",
        None,
    ]
    assert [section["name"] for section in state["compareRunSections"]] == ["Study", "Model metrics"]


def test_the_view_is_saved_once_and_stays_as_a_person_changed_it(store: Store) -> None:
    study = store.run(store.study_run)
    identifier = save_view(store.client, study)
    ((tag, value),) = saved(store).items()
    assert tag == f"{VIEW_TAG}{identifier}"
    envelope = json.loads(value)
    assert envelope["name"] == f"study {STUDY}"
    assert json.loads(envelope["state"]) == view_state(study, ["model.dropout"])
    store.client.set_experiment_tag(study.info.experiment_id, tag, "changed")
    assert save_view(store.client, study) == identifier
    assert saved(store) == {tag: "changed"}


@pytest.mark.parametrize("reference", [None, STUDY, "run", "digits"])
def test_a_study_s_address_opens_its_view(store: Store, reference: str | None) -> None:
    named = {"run": store.study_run, "digits": store.study_run[:8]}.get(str(reference), reference)
    path, parameters = query(page_address(store.client, f"{SERVER}/", named))
    assert path == f"/experiments/{store.run(store.study_run).info.experiment_id}/runs"
    assert parameters["workflowType"] == ["machine_learning"]
    assert f"{VIEW_TAG}{parameters['viewStateShareKey'][0]}" in saved(store)


def test_a_run_s_address_is_its_page(store: Store) -> None:
    for reference in (store.single, store.single[:8]):
        path, parameters = query(page_address(store.client, SERVER, reference))
        assert path.endswith(f"/runs/{store.single}")
        assert "viewStateShareKey" not in parameters
    assert not saved(store)


def test_a_wrong_name_lists_the_right_ones(store: Store) -> None:
    with pytest.raises(TrackingError, match=STUDY):
        page_address(store.client, SERVER, "dropout-stud")


def test_an_empty_store_has_its_list_of_experiments(store: Store) -> None:
    store.client.delete_run(store.study_run)
    assert page_address(store.client, SERVER, None) == f"{SERVER}/#/experiments"


def test_a_minimised_metric_is_sorted_upwards(store: Store) -> None:
    store.client.set_tag(store.study_run, "direction", "minimize")
    assert view_state(store.run(store.study_run), [])["orderByAsc"] is True


def test_searched_fields_are_read_from_the_run(store: Store) -> None:
    assert searched_fields(store.run(store.study_run)) == ["model.dropout"]
    assert searched_fields(store.run(store.single)) == []


def test_a_view_of_many_fields_fits_in_a_tag(store: Store) -> None:
    many = [f"stage2.layer{number}.a_long_name_of_a_field" for number in range(100)]
    assert len(json.dumps(json.dumps(view_state(store.run(store.study_run), many)))) < 20_000


def test_names_with_quotes() -> None:
    assert view._quoted("a'b") == '"a\'b"'
    assert view._quoted("ab") == "'ab'"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:///mlflow.db", None),
        ("https://host:8080/base", "https://host:8080/base"),
        ("http://me:secret@host/x", "http://host/x"),
    ],
)
def test_a_server_s_address_has_no_password(monkeypatch: pytest.MonkeyPatch, uri: str, address: str | None) -> None:
    monkeypatch.setattr(view, "tracking_uri", lambda: uri)
    assert server_address() == address
