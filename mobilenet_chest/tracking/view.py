"""The page of MLflow that shows a study as a leaderboard: a saved view of its experiment, and its address.

MLflow keeps a saved view in a tag of the experiment: a name, two times, and the state of the page as JSON. Its pages
offer the view in the list of saved views, and open it by the tag's name in the address.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.metric_groups import COST, RESULTS, epoch_name, precedence, result_name
from mobilenet_chest.config.metrics import is_epoch_metric
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import FIRST_DIGITS, RUN_ID, STUDIES, find_study, get_run, search_runs, short_id
from mobilenet_chest.tracking.server import is_server
from mobilenet_chest.tracking.store import all_experiment_ids, store_required, tracking_uri

VIEW_TAG = "mlflow.sharedViewState."
"""Beginning of the name of an experiment's tag that holds a saved view."""

SHOWN_FIELDS = 8
"""Searched fields that have a column; more would not be on one screen."""

STUDY_SECTION = "Study"
"""Section of the charts that count most."""

SECTIONS = (STUDY_SECTION, RESULTS, "val", "train", COST)
"""Sections of charts in their order; but for the first one they are the groups of metrics."""

OPEN_SECTIONS = (STUDY_SECTION, RESULTS)
"""Sections that are not folded."""

SHOWN_RESULTS = ("val_auc", "val_auc_tta", "val_accuracy_crossfit", "val_sensitivity", "val_specificity", "threshold")
"""Results whose charts come first, after that of the study's metric."""

SEARCHED = re.compile(r"search\.(.+)\.(?:choices|low)")
"""Parameters of a study's run, of which each searched field has one."""

TRAINING = {"workflowType": "machine_learning"}
"""Opens MLflow's pages for training; its pages for language models come first otherwise."""


def view_id(study: str) -> str:
    """Return the name of a study's view, by which an address opens it."""
    return hashlib.sha256(f"mobilenet-chest view 2 {study}".encode()).hexdigest()[:16]


def save_view(client: MlflowClient, study: Run) -> str:
    """Save the view of a study in its experiment, unless it is there, and return its name.

    Raises:
        TrackingError: The store is away.
    """
    name = study.data.tags[tags.STUDY]
    tag = f"{VIEW_TAG}{view_id(name)}"
    with store_required():
        # what a person has changed in the view stays
        if tag not in client.get_experiment(study.info.experiment_id).tags:
            now, state = int(time.time() * 1000), json.dumps(view_state(study, searched_fields(study)))
            envelope = {"name": f"study {name}", "createdAt": now, "updatedAt": now, "state": state}
            client.set_experiment_tag(study.info.experiment_id, tag, json.dumps(envelope))
    return view_id(name)


def view_state(study: Run, searched: list[str]) -> dict[str, Any]:
    """Return the state of MLflow's page of runs: the study's trials, the best first, and the columns that count."""
    name, metric = study.data.tags[tags.STUDY], study.data.tags[tags.METRIC]
    key = f"metrics.`{_result(study, metric)}`"
    fields = [f"params.`{path}`" for path in searched[:SHOWN_FIELDS]]
    columns = [key, f"tags.`{tags.INTERVAL}`", *fields, f"tags.`{tags.TRIAL_STATE}`", "attributes.`Duration`"]
    widths = {
        "attributes.`Run Name`": 150,
        "runDateAndNestInfo": 130,
        key: 100,
        f"tags.`{tags.INTERVAL}`": 120,
        **dict.fromkeys(fields, 110),
        f"tags.`{tags.TRIAL_STATE}`": 100,
        "duration": 80,
    }
    return {
        "searchFilter": f"tags.{tags.STUDY} = {_quoted(name)} AND tags.{tags.KIND} = '{tags.TRIAL_KIND}'",
        "orderByKey": key,
        "orderByAsc": study.data.tags[tags.DIRECTION] == "minimize",
        "selectedColumns": columns,
        # without an order MLflow puts the duration before the metric
        "columnOrder": list(widths),
        "columnWidths": widths,
        **_charts(study, metric, searched),
    }


def _is_early(study: Run) -> bool:
    """Return whether all that the study has logged was logged by an early version, without groups of metrics."""
    names = study.data.metrics.keys()
    return bool(names) and not any(map(precedence, names))


def _result(study: Run, name: str) -> str:
    return name if _is_early(study) else result_name(name)


def _charts(study: Run, metric: str, searched: list[str]) -> dict[str, Any]:
    """Return the charts of the view: the metric and the losses by epoch, the trials over the searched fields, results.

    MLflow adds charts of all other metrics to the section that has the name of their group.
    """
    early, view = _is_early(study), view_id(study.data.tags[tags.STUDY])
    sections = [
        {"uuid": f"{view}-{name}", "name": name, "display": name in OPEN_SECTIONS, "isReordered": True,
         "deleted": False, "isGenerated": name != STUDY_SECTION}
        for name in ((STUDY_SECTION, "Model metrics") if early else SECTIONS)
    ]  # fmt: skip
    charts: list[dict[str, Any]] = []

    def add(kind: str, section: str, **fields: Any) -> None:
        common = {"type": kind, "runsCountToCompare": 20, "deleted": False, "isGenerated": False}
        charts.append(common | {"uuid": f"{view}-{len(charts)}", "metricSectionId": f"{view}-{section}"} | fields)

    curve = metric if is_epoch_metric(metric) else "val_auc"
    for name in dict.fromkeys([curve, "val_loss", "train_loss"]):
        stored = name if early else epoch_name(name)
        axes = {"xAxisKey": "step", "selectedXAxisMetricKey": "", "xAxisScaleType": "linear", "scaleType": "linear",
                "yAxisKey": "metric", "yAxisExpressions": [], "lineSmoothness": 0, "ignoreOutliers": False,
                "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True, "range": {}}  # fmt: skip
        add("LINE", STUDY_SECTION, metricKey=stored, selectedMetricKeys=[stored], **axes)
    if searched:
        add("PARALLEL", STUDY_SECTION, selectedParams=searched, selectedMetrics=[_result(study, metric)],
            showAllRuns=False)  # fmt: skip
    for name in () if early else dict.fromkeys([metric, *SHOWN_RESULTS]):
        add("BAR", RESULTS, metricKey=result_name(name), displayName=name)
    return {"compareRunCharts": charts, "compareRunSections": sections, "isAccordionReordered": True,
            "runsHiddenMode": "FIRST_20_RUNS"}  # fmt: skip


def searched_fields(study: Run) -> list[str]:
    """Return the fields that a study searches, by dotted path, as its run's parameters name them."""
    fields = (SEARCHED.fullmatch(name) for name in study.data.params)
    return sorted({field[1] for field in fields if field})


def page_address(client: MlflowClient, server: str, reference: str | None) -> str:
    """Return the address of the page that shows a study or a run best; the view of a study is saved for it.

    Args:
        client: Of the tracking store.
        server: Address of the server that shows it.
        reference: A study's name, a run's id or its first digits; ``None`` for the study that was begun last.

    Raises:
        TrackingError: There is none of that name, or the store is away.
    """
    with store_required():
        run = _newest_study(client) if reference is None else _find(client, reference)
    base = server.rstrip("/")
    if run is None:
        return f"{base}/#/experiments"
    place = f"{base}/#/experiments/{run.info.experiment_id}/runs"
    if run.data.tags.get(tags.KIND) != tags.STUDY_KIND:
        return f"{place}/{run.info.run_id}?{urlencode(TRAINING)}"
    return f"{place}?{urlencode({**TRAINING, 'viewStateShareKey': save_view(client, run)})}"


def server_address() -> str | None:
    """Return the address of the tracking server without its user and password; ``None`` where none is used."""
    uri = tracking_uri()
    if not is_server(uri):
        return None
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def run_page(run_id: str) -> str:
    """Return the address of a run's page; the command that opens it where no server is used."""
    server = server_address()
    return f"mobilenet-chest browse {short_id(run_id)}" if server is None else f"{server.rstrip('/')}/#/runs/{run_id}"


def _newest_study(client: MlflowClient) -> Run | None:
    return next(iter(search_runs(client, all_experiment_ids(client), STUDIES)), None)


def _find(client: MlflowClient, reference: str) -> Run:
    studies = {run.data.tags.get(tags.STUDY): run for run in search_runs(client, all_experiment_ids(client), STUDIES)}
    if reference in studies:
        return studies[reference]
    if RUN_ID.fullmatch(reference) or FIRST_DIGITS.fullmatch(reference):
        return get_run(client, reference)
    return find_study(client, reference)


def _quoted(text: str) -> str:
    """Return a text as MLflow's filters take it; they have no escapes, so it is in the quotes that it does not hold."""
    return f'"{text}"' if "'" in text else f"'{text}'"
