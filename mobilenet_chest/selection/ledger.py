"""The ledger of the sealed test split: every opening stays on record, and a study opens it once.

MLflow has no locks, but it never changes a parameter: of several processes that log the same one, the first is
recorded and the others are refused. So opening n of a study is the parameter ``test_opening_n`` of the study's own run,
logged before the first look; nobody can lose one, take the same number twice or take one back. What came of it follows
in ``test_opening_n_digest`` and ``test_opening_n_result``.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import SealedError, TrackingError
from mobilenet_chest.tracking.description import user
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.runs import RUN_ID, find_study, get_run, search_runs
from mobilenet_chest.tracking.store import all_experiment_ids
from mobilenet_chest.tracking.tags import TEST_EVALUATIONS

BEFORE_LEDGER = "test_openings_before_ledger"
"""Parameter of every run that was opened: how many of those openings are older than the ledger."""

_ENTRY = re.compile(r"test_opening_(\d+)")
_SHOWN = ("test_auc_tta", "test_accuracy_tta_threshold")


@dataclass(frozen=True)
class Access:
    """One look at the test split.

    Attributes:
        run_id: The run that was scored.
        study: Its study's name, or those of its members' studies; ``None`` for a run of no study.
        when: UTC in ISO 8601, to the millisecond; ``None`` for openings older than the ledger.
        digest: Of the test rows, 16 hex digits; ``None`` where it ended before they were read.
        who: ``user@host, command``; ``None`` for openings older than the ledger.
        result: The ``test_*`` figures; empty where none came of it, or none yet.
        again: The study had been opened before.
    """

    run_id: str
    study: str | None
    when: str | None
    digest: str | None
    who: str | None
    result: dict[str, float]
    again: bool


@dataclass
class AccessRecord:
    """An opening that is on record, for its outcome to be added.

    Attributes:
        client: Of the tracking store.
        run_id: The run that is scored.
        token: Tells this opening from all others.
        when: As in its entries.
        places: Run and parameter of each of its entries.
    """

    client: MlflowClient
    run_id: str
    token: str
    when: str
    places: list[tuple[str, str]] = field(default_factory=list)

    def digest(self, digest: str) -> None:
        """Which rows were read."""
        self._add("digest", digest)

    def result(self, metrics: Mapping[str, float]) -> None:
        """What came of it."""
        self._add("result", json.dumps(metrics))

    def _withdraw(self) -> None:
        """It has not looked: another opening of one of its studies was quicker."""
        self._add("withdrawn", "not opened")

    def _add(self, what: str, value: str) -> None:
        for run_id, entry in self.places:
            self.client.log_param(run_id, f"{entry}_{what}", value)


def accesses(client: MlflowClient, run: Run) -> list[Access]:
    """Every opening of the run's study, or of the run itself where it has none, the oldest first.

    A run's study is the outermost run that it is nested under. What was made of other runs (members, or a teacher)
    belongs to all of their studies.
    """
    places = _places(client, run)
    return _before_ledger(client, places.keys()) + _in_order(places.values())


def find_accesses(client: MlflowClient, reference: str) -> list[Access]:
    """As :func:`accesses`, for a run id or the name of a study.

    Raises:
        TrackingError: There is no such run or study.
    """
    return accesses(
        client, get_run(client, reference) if RUN_ID.fullmatch(reference) else find_study(client, reference)
    )


def all_accesses(client: MlflowClient) -> list[Access]:
    """Every opening in the tracking store, the oldest first."""
    places = search_runs(client, all_experiment_ids(client), "params.test_opening_1 != ''")
    return _before_ledger(client, None) + _in_order(places)


def check_unopened(run: Run, found: Sequence[Access], again: bool) -> None:
    """See that the test split may be opened for a run.

    Raises:
        SealedError: It was opened for the same study before, and this opening was not asked for as a further one.
    """
    if not found or again:
        return
    last = found[-1]
    whose = f"study '{last.study}'" if last.study else f"run {run.info.run_id}"
    times = "once" if len(found) == 1 else f"{len(found)} times"
    raise SealedError(
        f"the test split has been opened for {whose} {times} (last: {_told(last)}); after a further look its images "
        "are no longer unseen: use the figures there are, or add --again, which opens it once more and says so"
    )


def record_access(client: MlflowClient, run: Run, command: str, again: bool) -> AccessRecord:
    """Put an opening on record, before anything of the test split is read.

    Of several processes that open it for the same study at once, one is the first; the others are refused.

    Args:
        client: Of the tracking store.
        run: The run that will be scored.
        command: For the record: evaluate or promote.
        again: Whether it may be a further opening of the study.

    Raises:
        SealedError: As :func:`check_unopened`.
        TrackingError: The run that keeps the study's record is deleted.
    """
    run_id = str(run.info.run_id)
    check_unopened(run, accesses(client, run), again)
    _log_once(client, run_id, BEFORE_LEDGER, run.data.tags.get(TEST_EVALUATIONS, "0"))
    look = AccessRecord(client, run_id, secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="milliseconds"))
    for place in _places(client, run):
        _claim(look, run, place, command, again)
    _count(client, run)
    return look


def access_lines(found: Sequence[Access]) -> list[str]:
    """A line for each opening, numbered: when, by whom, of which run, with which result."""
    return [f"opening {n}{', again' if one.again else ''}: {_told(one)}" for n, one in enumerate(found, 1)]


def _told(opening: Access) -> str:
    what = f"run {opening.run_id}" + (f" of study '{opening.study}'" if opening.study else "")
    if opening.when is None:
        return f"at an unknown time, {what}: older than the ledger"
    when = datetime.fromisoformat(opening.when).strftime("%Y-%m-%d %H:%M UTC")
    figures = ", ".join(f"{name} {opening.result[name]:.4f}" for name in _SHOWN if name in opening.result)
    return f"{when}, {opening.who}, {what}: {figures or 'no result on record'}"


def _places(client: MlflowClient, run: Run) -> dict[str, Run]:
    """The runs that keep the record for ``run``, as they stand now, by id and in an order that all processes share."""
    found: dict[str, Run] = {}
    _add_places(client, str(run.info.run_id), found, set())
    return dict(sorted(found.items()))


def _add_places(client: MlflowClient, run_id: str, found: dict[str, Run], seen: set[str]) -> None:
    run = _there(client, run_id)
    if run is None or run_id in seen:
        return
    seen.add(run_id)
    tags, before = run.data.tags, len(seen)
    parents = [tags.get("mlflow.parentRunId", "")]
    for other in parents if parents[0] else [*tags.get("members", "").split(","), tags.get("teacher", "")]:
        if other:
            _add_places(client, other, found, seen)
    if len(seen) == before:  # nothing above it, and nothing that it was made of
        found[run_id] = run


def _there(client: MlflowClient, run_id: str) -> Run | None:
    """A run, also a deleted one, which keeps its record; none if it is gone for good."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _claim(look: AccessRecord, run: Run, place: str, command: str, again: bool) -> None:
    """Take the next free number of one study."""
    while True:
        places = _places(look.client, run)
        held = places[place]
        if held.info.lifecycle_stage != "active":
            look._withdraw()
            raise TrackingError(
                f"run {place}, which keeps the record of test openings of run {look.run_id}, is deleted; bring it back "
                f"with `mlflow runs restore --run-id {place}`"
            )
        recorded = _recorded(places.values())
        before = [*_before_ledger(look.client, places.keys()), *(o for t, o in recorded.items() if t != look.token)]
        if before and not again:
            look._withdraw()
            check_unopened(run, before, again)
        studies = sorted({one.data.tags["study"] for one in places.values() if "study" in one.data.tags})
        who = f"{user()}@{identity()['host']}, {command}"
        opening = Access(look.run_id, ", ".join(studies) or None, look.when, None, who, {}, bool(before))
        entry = f"test_opening_{1 + max(_numbers(held), default=0)}"
        if _log_once(look.client, place, entry, json.dumps({"token": look.token} | asdict(opening))):
            look.places.append((place, entry))
            return


def _log_once(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
    """Log a parameter, unless another process has; whether it is this one's."""
    try:
        client.log_param(run_id, name, value)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE" or name not in client.get_run(run_id).data.params:
            raise
        return False
    return True


def _count(client: MlflowClient, run: Run) -> None:
    """Bring the run's tag up to date. The last of several writers looks once more after its write."""
    number = None
    while number != (found := len([o for o in accesses(client, run) if o.run_id == run.info.run_id])):
        number = found
        client.set_tag(run.info.run_id, TEST_EVALUATIONS, str(number))


def _numbers(place: Run) -> list[int]:
    return sorted(int(match[1]) for name in place.data.params if (match := _ENTRY.fullmatch(name)))


def _recorded(places: Iterable[Run]) -> dict[str, Access]:
    """By their tokens, in the order of their numbers."""
    found: dict[str, Access] = {}
    for place in places:
        params = place.data.params
        for entry in (f"test_opening_{number}" for number in _numbers(place)):
            if f"{entry}_withdrawn" in params:
                continue
            fields = json.loads(params[entry])
            token = fields.pop("token")
            fields["digest"] = params.get(f"{entry}_digest")
            fields["result"] = json.loads(params.get(f"{entry}_result", "{}"))
            fields["again"] |= token in found and found[token].again
            found[token] = Access(**fields)
    return found


def _in_order(places: Collection[Run]) -> list[Access]:
    """By number within a study; several studies have no other order than that of their clocks."""
    found = list(_recorded(places).values())
    return found if len(places) == 1 else sorted(found, key=lambda opening: str(opening.when))


def _before_ledger(client: MlflowClient, places: Iterable[str] | None) -> list[Access]:
    """Openings of runs that carry no more than their number: all, or those of these studies."""
    found: list[Access] = []
    for run in reversed(search_runs(client, all_experiment_ids(client), f"tags.{TEST_EVALUATIONS} != ''")):
        number = int(run.data.params.get(BEFORE_LEDGER, run.data.tags[TEST_EVALUATIONS]))
        if number and (places is None or set(places) & _places(client, run).keys()):
            studies = run.data.tags.get("study")
            found += [Access(run.info.run_id, studies, None, None, None, {}, False)] * number
    return [Access(**{**asdict(opening), "again": index > 0}) for index, opening in enumerate(found)]
