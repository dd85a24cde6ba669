"""Where a run comes from: its ids, digests and commit, and how its intervals are computed."""

from __future__ import annotations

from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Definitions, Element
from mobilenet_chest.tracking import tags

UNCOMMITTED = {"true": ", with uncommitted changes"}
"""What the page says of :data:`~mobilenet_chest.tracking.tags.GIT_DIRTY`."""

INTERVALS = (
    "95%. AUC: DeLong (DeLong et al., 1988). Shares of images: Wilson (Wilson, 1927). All else: stratified BCa "
    "bootstrap (Efron, 1987). Where patients have several images, every metric takes the bootstrap, which draws whole "
    "patients. An interval is about other images for this model, not about another seed."
)


def provenance(run: RunDetails) -> list[Element]:
    """Return run, digests, commit, and how the intervals are computed."""
    run_tags = run.run.data.tags
    dirty = UNCOMMITTED.get(run_tags.get(tags.GIT_DIRTY, ""), "")
    commit, version = run_tags.get(tags.GIT_COMMIT), run_tags.get(tags.PACKAGE_VERSION)
    pairs = [
        ("run", run.run_id),
        ("model", f"{run_tags.get(tags.MODEL)}, weights {run_tags.get(tags.WEIGHTS)}"),
        ("experiment digest", run_tags.get(tags.CONFIG_DIGEST) or "unknown"),
        ("data digest", run_tags.get(tags.DATA_DIGEST) or "unknown"),
        ("code", f"commit {commit}{dirty}, version {version}"),
        ("predictions", "predictions/val.parquet of the run"),
        ("intervals", INTERVALS),
    ]
    return [Definitions(pairs)]
