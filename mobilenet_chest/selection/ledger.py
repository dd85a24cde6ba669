"""The access log of the sealed test split and of cohorts: every access stays on record, and a study opens each once.

MLflow has no locks, but it never changes a parameter: of several processes that log the same one, the first succeeds
and the others are refused. So access n of a study is the parameter ``test_opening_n`` of the study's run, logged before
any test image is read. No process can lose an access, take the same number twice or remove one. The digest of the rows
and the metrics follow in ``test_opening_n_digest`` and ``test_opening_n_result``. Accesses to cohorts are numbered by
themselves, ``cohort_opening_n``, and logged before any image is predicted.
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
from mobilenet_chest.selection.access import Access, CohortKey, line_of
from mobilenet_chest.selection.record_runs import record_runs
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.provenance import identity, user
from mobilenet_chest.tracking.runs import FIRST_DIGITS, RUN_ID, find_study, get_run, search_runs, short_id
from mobilenet_chest.tracking.store import all_experiment_ids

BEFORE_LEDGER = "test_openings_before_ledger"
"""Parameter of every scored run: how many of its accesses are older than the access log."""

TEST, COHORT = "test_opening", "cohort_opening"
"""What the parameters of accesses to the test split, and to cohorts, begin with."""

CLAIM = re.compile(r"(?:test|cohort)_claim_(\d+)")
"""Parameter of a study's run that holds a claim about the test split or a cohort, with its number."""


@dataclass
class AccessRecord:
    """An access that is on record, to which digest and metrics are still to be added.

    Attributes:
        client: Client of the tracking store.
        run_id: The run that is scored.
        token: Tells this access from all others.
        when: Time of the access, as in its entries.
        cohort: What was opened; ``None`` for the test split.
        entries: Run and parameter of each entry: one entry for each study that the run belongs to.
    """

    client: MlflowClient
    run_id: str
    token: str
    when: str
    cohort: CohortKey | None = None
    entries: list[tuple[str, str]] = field(default_factory=list)

    def log_digest(self, digest: str) -> None:
        """Record the digest of the rows that were read."""
        self._add("digest", digest)

    def log_result(self, metrics: Mapping[str, float]) -> None:
        """Record the metrics."""
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
    keepers = record_runs(client, run)
    return _before_ledger(client, keepers.keys()) + _in_order(keepers.values(), TEST)


def cohort_accesses(client: MlflowClient, run: Run, digest: str | None = None) -> list[Access]:
    """Return every access to cohorts, or to the one with a digest, for the run's study as :func:`accesses` does."""
    recorded = _in_order(record_runs(client, run).values(), COHORT)
    return [access for access in recorded if digest in (None, access.digest)]


def find_accesses(client: MlflowClient, reference: str) -> list[Access]:
    """Return :func:`accesses` and :func:`cohort_accesses` for a run id or the name of a study.

    Raises:
        TrackingError: There is no such run or study.
    """
    run = find_recorded(client, reference)
    return accesses(client, run) + cohort_accesses(client, run)


def find_recorded(client: MlflowClient, reference: str) -> Run:
    """Return the run of a study by its name, or any run by its id.

    Raises:
        TrackingError: There is no such run or study.
    """
    try:
        return find_study(client, reference)
    except TrackingError:
        if not RUN_ID.fullmatch(reference) and not FIRST_DIGITS.fullmatch(reference):
            raise
        return get_run(client, reference)


def all_accesses(client: MlflowClient) -> list[Access]:
    """Return every access in the tracking store, the oldest first."""
    keepers = search_runs(client, all_experiment_ids(client), f"params.{TEST}_1 != ''")
    return _before_ledger(client, None) + _in_order(keepers, TEST)


def all_cohort_accesses(client: MlflowClient) -> list[Access]:
    """Return every access to a cohort in the tracking store, the oldest first."""
    return _in_order(search_runs(client, all_experiment_ids(client), f"params.{COHORT}_1 != ''"), COHORT)


def check_unopened(run: Run, earlier: Sequence[Access], again: bool) -> None:
    """Check that the test split, or a cohort, may be opened for a run.

    Args:
        run: The run that would be scored.
        earlier: Accesses to it for the same study, the oldest first.
        again: Whether a further access was asked for.

    Raises:
        SealedError: It was opened for the same study before, and not ``again``.
    """
    if not earlier or again:
        return
    last = earlier[-1]
    owner = f"study '{last.study}'" if last.study else f"run {short_id(run.info.run_id)}"
    what = "the test split" if last.cohort is None else f"cohort '{last.cohort}'"
    raise SealedError(
        f"{what} was opened for {owner} {times(len(earlier))} (last access: {line_of(last)}); its images are no "
        "longer unseen: use the metrics on record, or add --again to open it once more, which goes on record too"
    )


def record_access(
    client: MlflowClient, run: Run, command: str, again: bool, cohort: CohortKey | None = None
) -> AccessRecord:
    """Put an access on record, before anything of the test split is read, or any image of a cohort is predicted.

    Of several processes that open the split for the same study at once, one succeeds; the others are refused.

    Args:
        client: Client of the tracking store.
        run: The run that will be scored.
        command: Command to record: evaluate or promote.
        again: Whether the study may have been opened before.
        cohort: What is opened; ``None`` for the test split.

    Raises:
        SealedError: The test split, or the cohort, was opened for the same study before, and not ``again``.
        TrackingError: The run that keeps the study's record is deleted.
    """
    run_id = str(run.info.run_id)
    earlier = accesses(client, run) if cohort is None else cohort_accesses(client, run, cohort.digest)
    check_unopened(run, earlier, again)
    if cohort is None:
        log_once(client, run_id, BEFORE_LEDGER, run.data.tags.get(tags.TEST_EVALUATIONS, "0"))
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = AccessRecord(client, run_id, secrets.token_hex(8), when, cohort)
    for record_run in record_runs(client, run):
        _add_entry(record, run, record_run, command, again)
    if cohort is None:
        _update_count(client, run)
    return record


def _add_entry(record: AccessRecord, run: Run, record_run: str, command: str, again: bool) -> None:
    """Log the access under the next free number of one study."""
    while True:
        keepers = record_runs(record.client, run)
        study_run = keepers[record_run]
        if study_run.info.lifecycle_stage != "active":
            record._withdraw()
            raise TrackingError(
                f"run {short_id(record_run)}, which keeps the access log of run {short_id(record.run_id)}, is "
                "deleted; restore it with "
                f"`mlflow runs restore --run-id {record_run}`"
            )
        cohort, kind = record.cohort, TEST if record.cohort is None else COHORT
        earlier = [access for token, access in _recorded(keepers.values(), kind).items()
                   if token != record.token and (cohort is None or access.digest == cohort.digest)]  # fmt: skip
        if cohort is None:
            earlier = _before_ledger(record.client, keepers.keys()) + earlier
        if earlier and not again:
            record._withdraw()
            check_unopened(run, earlier, again)
        studies = sorted({kept.data.tags[tags.STUDY] for kept in keepers.values() if tags.STUDY in kept.data.tags})
        who = f"{user()}@{identity()['host']}, {command}"
        access = Access(record.run_id, ", ".join(studies) or None, record.when, None, who, {}, bool(earlier))
        fields = {"token": record.token} | asdict(access)
        # versions without cohorts know no such field of a test split's access
        del fields["cohort"]
        if cohort is not None:
            fields |= {"cohort": cohort.name, "digest": cohort.digest}
        # nor do versions without claims know these
        del fields["claims"]
        if hashes := _claim_hashes(keepers.values()):
            fields["claims"] = hashes
        entry = f"{kind}_{1 + max(_numbers(study_run, kind), default=0)}"
        # another process may log the same number first: then the loop reads the record again
        if log_once(record.client, record_run, entry, json.dumps(fields)):
            record.entries.append((record_run, entry))
            return


def log_once(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
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


def _claim_hashes(keepers: Iterable[Run]) -> list[str]:
    """Return the hashes (first 16 hex digits) of the claims that these runs keep, as they were logged."""
    params = [(keeper.data.params, name) for keeper in keepers for name in keeper.data.params]
    return sorted({json.loads(of_run[name])["sha256"][:16] for of_run, name in params if CLAIM.fullmatch(name)})


def _numbers(record_run: Run, kind: str) -> list[int]:
    entry = re.compile(rf"{kind}_(\d+)")
    return sorted(int(match[1]) for name in record_run.data.params if (match := entry.fullmatch(name)))


def _recorded(keepers: Iterable[Run], kind: str) -> dict[str, Access]:
    """Return token -> access of these runs' entries, in the order of their numbers."""
    recorded: dict[str, Access] = {}
    for record_run in keepers:
        params = record_run.data.params
        for entry in (f"{kind}_{number}" for number in _numbers(record_run, kind)):
            if f"{entry}_withdrawn" in params:
                continue
            fields = json.loads(params[entry])
            token = fields.pop("token")
            fields["digest"] = params.get(f"{entry}_digest", fields["digest"])
            fields["result"] = json.loads(params.get(f"{entry}_result", "{}"))
            fields["again"] |= token in recorded and recorded[token].again
            recorded[token] = Access(**fields)
    return recorded


def _in_order(keepers: Collection[Run], kind: str) -> list[Access]:
    """Return accesses by number within a study; those of several studies by their clocks, for want of another order."""
    recorded = list(_recorded(keepers, kind).values())
    return recorded if len(keepers) == 1 else sorted(recorded, key=lambda access: str(access.when))


def _before_ledger(client: MlflowClient, keepers: Iterable[str] | None) -> list[Access]:
    """Return the accesses older than the access log, for all or these studies: runs carry only their number."""
    runs: list[Run] = []
    for run in reversed(search_runs(client, all_experiment_ids(client), f"tags.{tags.TEST_EVALUATIONS} != ''")):
        number = int(run.data.params.get(BEFORE_LEDGER, run.data.tags[tags.TEST_EVALUATIONS]))
        if number and (keepers is None or set(keepers) & record_runs(client, run).keys()):
            runs += [run] * number
    return [
        Access(run.info.run_id, run.data.tags.get(tags.STUDY), None, None, None, {}, again=index > 0)
        for index, run in enumerate(runs)
    ]
