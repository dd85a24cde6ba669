"""The access log of the sealed test split: every access stays on record, and a study opens the split once.

MLflow has no locks, but it never changes a parameter: of several processes that log the same one, the first succeeds
and the others are refused. So access n of a study is the parameter ``test_opening_n`` of the study's run, logged before
any test image is read. No process can lose an access, take the same number twice or remove one. The digest of the rows
and the metrics follow in ``test_opening_n_digest`` and ``test_opening_n_result``.
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

from mobilenet_chest.config.formats import times
from mobilenet_chest.errors import SealedError, TrackingError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.provenance import identity, user
from mobilenet_chest.tracking.runs import FIRST_DIGITS, RUN_ID, existing_run, find_study, get_run, search_runs, short_id
from mobilenet_chest.tracking.store import all_experiment_ids

BEFORE_LEDGER = "test_openings_before_ledger"
"""Parameter of every scored run: how many of its accesses are older than the access log."""

_ENTRY = re.compile(r"test_opening_(\d+)")
_SHOWN_METRICS = ("test_auc_tta", "test_accuracy_tta_threshold")


@dataclass(frozen=True)
class Access:
    """One access to the test split. The attributes are the keys of ``ledger --json``.

    Attributes:
        run_id: The run that was scored.
        study: Name of its study, or of its members' studies; ``None`` without a study.
        when: UTC in ISO 8601, to the millisecond; ``None`` for accesses older than the access log.
        digest: Digest of the test rows, 16 hex digits; ``None`` where the access ended before they were read.
        who: ``user@host, command``; ``None`` for accesses older than the access log.
        result: The ``test_*`` metrics; empty where the access failed or is still running.
        again: Whether the study had been opened before.
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
    """An access that is on record, to which digest and metrics are still to be added.

    Attributes:
        client: Client of the tracking store.
        run_id: The run that is scored.
        token: Tells this access from all others.
        when: Time of the access, as in its entries.
        entries: Run and parameter of each entry: one entry for each study that the run belongs to.
    """

    client: MlflowClient
    run_id: str
    token: str
    when: str
    entries: list[tuple[str, str]] = field(default_factory=list)

    def log_digest(self, digest: str) -> None:
        """Record the digest of the rows that were read."""
        self._add("digest", digest)

    def log_result(self, metrics: Mapping[str, float]) -> None:
        """Record the ``test_*`` metrics."""
        self._add("result", json.dumps(metrics))

    def _withdraw(self) -> None:
        """Record that no image was read, because another process opened one of the studies first."""
        self._add("withdrawn", "not opened")

    def _add(self, name: str, value: str) -> None:
        for run_id, entry in self.entries:
            self.client.log_param(run_id, f"{entry}_{name}", value)


def accesses(client: MlflowClient, run: Run) -> list[Access]:
    """Return every access for the run's study, or for the run itself without a study, the oldest first.

    A run's study is the outermost run that it is nested under. A run made from other runs (members, or a teacher)
    belongs to all of their studies.
    """
    record_runs = _record_runs(client, run)
    return _before_ledger(client, record_runs.keys()) + _in_order(record_runs.values())


def find_accesses(client: MlflowClient, reference: str) -> list[Access]:
    """Return :func:`accesses` for a run id or the name of a study.

    Raises:
        TrackingError: There is no such run or study.
    """
    try:
        run = find_study(client, reference)
    except TrackingError:
        if not RUN_ID.fullmatch(reference) and not FIRST_DIGITS.fullmatch(reference):
            raise
        run = get_run(client, reference)
    return accesses(client, run)


def all_accesses(client: MlflowClient) -> list[Access]:
    """Return every access in the tracking store, the oldest first."""
    record_runs = search_runs(client, all_experiment_ids(client), "params.test_opening_1 != ''")
    return _before_ledger(client, None) + _in_order(record_runs)


def check_unopened(run: Run, earlier: Sequence[Access], again: bool) -> None:
    """Check that the test split may be opened for a run.

    Args:
        run: The run that would be scored.
        earlier: Accesses for the same study, the oldest first.
        again: Whether a further access was asked for.

    Raises:
        SealedError: The test split was opened for the same study before, and not ``again``.
    """
    if not earlier or again:
        return
    last = earlier[-1]
    owner = f"study '{last.study}'" if last.study else f"run {short_id(run.info.run_id)}"
    raise SealedError(
        f"the test split was opened for {owner} {times(len(earlier))} (last access: {_line(last)}); its images are no "
        "longer unseen: use the metrics on record, or add --again to open it once more, which goes on record too"
    )


def record_access(client: MlflowClient, run: Run, command: str, again: bool) -> AccessRecord:
    """Put an access on record, before anything of the test split is read.

    Of several processes that open the split for the same study at once, one succeeds; the others are refused.

    Args:
        client: Client of the tracking store.
        run: The run that will be scored.
        command: Command to record: evaluate or promote.
        again: Whether the study may have been opened before.

    Raises:
        SealedError: The test split was opened for the same study before, and not ``again``.
        TrackingError: The run that keeps the study's record is deleted.
    """
    run_id = str(run.info.run_id)
    check_unopened(run, accesses(client, run), again)
    _log_once(client, run_id, BEFORE_LEDGER, run.data.tags.get(tags.TEST_EVALUATIONS, "0"))
    record = AccessRecord(client, run_id, secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="milliseconds"))
    for record_run in _record_runs(client, run):
        _add_entry(record, run, record_run, command, again)
    _update_count(client, run)
    return record


def access_lines(recorded: Sequence[Access]) -> list[str]:
    """Return a line for each access, numbered: when, by whom, for which run, with which result."""
    return [
        f"access {number}{', again' if access.again else ''}: {_line(access)}"
        for number, access in enumerate(recorded, 1)
    ]


def _line(access: Access) -> str:
    run = f"run {access.run_id}" + (f" of study '{access.study}'" if access.study else "")
    if access.when is None:
        return f"time unknown, {run}: older than the access log"
    when = datetime.fromisoformat(access.when).strftime("%Y-%m-%d %H:%M UTC")
    metrics = ", ".join(f"{name} {access.result[name]:.4f}" for name in _SHOWN_METRICS if name in access.result)
    return f"{when}, {access.who}, {run}: {metrics or 'no result on record'}"


def _record_runs(client: MlflowClient, run: Run) -> dict[str, Run]:
    """Return the runs that keep the record for ``run``, by id, in an order that is the same for all processes."""
    record_runs: dict[str, Run] = {}
    _add_record_runs(client, str(run.info.run_id), record_runs, set())
    return dict(sorted(record_runs.items()))


def _add_record_runs(client: MlflowClient, run_id: str, record_runs: dict[str, Run], visited: set[str]) -> None:
    run = existing_run(client, run_id)  # also a deleted one: it keeps its record until it is gone for good
    if run is None or run_id in visited:
        return
    visited.add(run_id)
    run_tags, before = run.data.tags, len(visited)
    parent = run_tags.get(tags.PARENT_RUN, "")
    made_from = [*run_tags.get(tags.MEMBERS, "").split(","), run_tags.get(tags.TEACHER, "")]
    for origin in [parent] if parent else made_from:
        if origin:
            _add_record_runs(client, origin, record_runs, visited)
    if len(visited) == before:  # it is nested under nothing, and made from nothing
        record_runs[run_id] = run


def _add_entry(record: AccessRecord, run: Run, record_run: str, command: str, again: bool) -> None:
    """Log the access under the next free number of one study."""
    while True:
        record_runs = _record_runs(record.client, run)
        study_run = record_runs[record_run]
        if study_run.info.lifecycle_stage != "active":
            record._withdraw()
            raise TrackingError(
                f"run {short_id(record_run)}, which keeps the access log of run {short_id(record.run_id)}, is "
                "deleted; restore it with "
                f"`mlflow runs restore --run-id {record_run}`"
            )
        recorded = _recorded(record_runs.values())
        earlier = [*_before_ledger(record.client, record_runs.keys()),
                   *(access for token, access in recorded.items() if token != record.token)]  # fmt: skip
        if earlier and not again:
            record._withdraw()
            check_unopened(run, earlier, again)
        studies = sorted({kept.data.tags[tags.STUDY] for kept in record_runs.values() if tags.STUDY in kept.data.tags})
        who = f"{user()}@{identity()['host']}, {command}"
        access = Access(record.run_id, ", ".join(studies) or None, record.when, None, who, {}, bool(earlier))
        entry = f"test_opening_{1 + max(_numbers(study_run), default=0)}"
        # another process may log the same number first: then the loop reads the record again
        if _log_once(record.client, record_run, entry, json.dumps({"token": record.token} | asdict(access))):
            record.entries.append((record_run, entry))
            return


def _log_once(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
    """Log a parameter; return whether the value is logged now, and not that of another process."""
    try:
        client.log_param(run_id, name, value)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE" or name not in client.get_run(run_id).data.params:
            raise
        return False
    return True


def _update_count(client: MlflowClient, run: Run) -> None:
    """Set the run's tag to its number of accesses."""
    number, logged = _count(client, run), None
    while number != logged:  # another process may have logged an access, and a smaller number, meanwhile
        client.set_tag(run.info.run_id, tags.TEST_EVALUATIONS, str(number))
        number, logged = _count(client, run), number


def _count(client: MlflowClient, run: Run) -> int:
    return sum(access.run_id == run.info.run_id for access in accesses(client, run))


def _numbers(record_run: Run) -> list[int]:
    return sorted(int(match[1]) for name in record_run.data.params if (match := _ENTRY.fullmatch(name)))


def _recorded(record_runs: Iterable[Run]) -> dict[str, Access]:
    """Return token -> access of these runs' entries, in the order of their numbers."""
    recorded: dict[str, Access] = {}
    for record_run in record_runs:
        params = record_run.data.params
        for entry in (f"test_opening_{number}" for number in _numbers(record_run)):
            if f"{entry}_withdrawn" in params:
                continue
            fields = json.loads(params[entry])
            token = fields.pop("token")
            fields["digest"] = params.get(f"{entry}_digest")
            fields["result"] = json.loads(params.get(f"{entry}_result", "{}"))
            fields["again"] |= token in recorded and recorded[token].again
            recorded[token] = Access(**fields)
    return recorded


def _in_order(record_runs: Collection[Run]) -> list[Access]:
    """Return accesses by number within a study; those of several studies by their clocks, for want of another order."""
    recorded = list(_recorded(record_runs).values())
    return recorded if len(record_runs) == 1 else sorted(recorded, key=lambda access: str(access.when))


def _before_ledger(client: MlflowClient, record_runs: Iterable[str] | None) -> list[Access]:
    """Return the accesses older than the access log, for all or these studies: runs carry only their number."""
    runs: list[Run] = []
    for run in reversed(search_runs(client, all_experiment_ids(client), f"tags.{tags.TEST_EVALUATIONS} != ''")):
        number = int(run.data.params.get(BEFORE_LEDGER, run.data.tags[tags.TEST_EVALUATIONS]))
        if number and (record_runs is None or set(record_runs) & _record_runs(client, run).keys()):
            runs += [run] * number
    return [
        Access(run.info.run_id, run.data.tags.get(tags.STUDY), None, None, None, {}, again=index > 0)
        for index, run in enumerate(runs)
    ]
