"""The page as a whole: which sections it has, in which order, and their HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from mlflow import MlflowClient

from mobilenet_chest.report.abstention import abstention
from mobilenet_chest.report.accesses import access_log
from mobilenet_chest.report.answer import answer
from mobilenet_chest.report.calibration import reliability_and_threshold
from mobilenet_chest.report.claims import claim_table
from mobilenet_chest.report.confusion import confusion_matrix
from mobilenet_chest.report.data import data
from mobilenet_chest.report.discrimination import curves, drawn_baseline
from mobilenet_chest.report.elements import Element, Paragraph
from mobilenet_chest.report.elsewhere import elsewhere
from mobilenet_chest.report.leaderboard import leaderboard
from mobilenet_chest.report.net_benefit import benefit
from mobilenet_chest.report.pictures import confident_mistakes, random_predictions
from mobilenet_chest.report.provenance import provenance
from mobilenet_chest.report.sites import sites
from mobilenet_chest.report.stress import stress
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.report.training import learning_curves
from mobilenet_chest.report.trials import search
from mobilenet_chest.tracking import tags

KINDS = {"study": "Study", "run": "Run", "comparison": "Comparison"}


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading of the second level, reachable from the contents.

    Attributes:
        key: Its ``id``.
        title: Its heading.
        elements: What is in it.
    """

    key: str
    title: str
    elements: Sequence[Element]


@dataclass(frozen=True)
class Page:
    """All that is on the page.

    Attributes:
        title: Kind and names of what the page is about.
        answer: The main sentence, and the ones below it.
        about: Task, dataset and split.
        sections: In order.
        made: When, in UTC.
    """

    title: str
    answer: Sequence[str]
    about: str
    sections: Sequence[Section]
    made: str


def page(client: MlflowClient, subject: Subject, reported: bool) -> Page:
    """Return what the page shows.

    Args:
        client: Of the tracking store.
        subject: What the page is about.
        reported: Add the source report's results to the leaderboard.

    Raises:
        TrackingError: The tracking store does not answer.
    """
    leader, study = subject.leader, subject.study
    names = [leader.name] if subject.kind == "run" else subject.names
    baseline, reason = drawn_baseline(leader, subject.baseline)
    curves_of = Paragraph(f"Curves of {leader.name}" + (f". {reason}" if reason else "."), "soft")
    stressed, left_out, scored_elsewhere = stress(leader), sites(leader), elsewhere(client, study or leader.run)
    sections = [
        Section("leaderboard", "Leaderboard", leaderboard(subject, reported)),
        Section("training", "Training", learning_curves(leader)),
        Section("discrimination", "Discrimination", [curves_of, curves(leader, baseline)]),
        Section("calibration", "Calibration and threshold",
                [*reliability_and_threshold(leader), confusion_matrix(leader)]),
        Section("abstention", "Answers that may abstain", abstention(leader)),
        *([Section("stress", "Under stress", stressed)] if stressed else []),
        *([Section("sites", "Sites left out", left_out)] if left_out else []),
        Section("benefit", "What decisions are worth", benefit(leader)),
        Section("predictions", "Random predictions", random_predictions(leader)),
        Section("mistakes", "Confident mistakes", confident_mistakes(leader)),
        *([] if study is None else [Section("search", "The search", search(subject, study))]),
        Section("data", "The data", data(leader)),
        Section("test", "The sealed test split", access_log(client, study or leader.run)),
        Section("claims", "Claims", claim_table(client, study or leader.run)),
        *([Section("elsewhere", "Elsewhere", scored_elsewhere)] if scored_elsewhere else []),
        Section("provenance", "Provenance", provenance(leader)),
    ]  # fmt: skip
    class0, class1 = leader.classes
    dataset = leader.run.data.tags[tags.DATASET]
    return Page(
        title=f"{KINDS[subject.kind]} {', '.join(names)}",
        answer=answer(subject),
        about=f"Task: {class1} (class 1) or {class0} (class 0), {dataset}. Results are of the "
        "validation split unless they say test. Epoch and threshold were chosen on the same split.",
        sections=sections,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def html(page: Page) -> str:
    """Return the whole document. It refers to nothing outside itself, so it can be mailed and opened anywhere."""
    return TEMPLATES.get_template("page.html.j2").render(page=page)


def show(element: Element | str) -> str:
    """Return the HTML of an element from the macro of its name. Plain text stays as it is: templates escape it."""
    if isinstance(element, str):
        return element
    macro = getattr(TEMPLATES.get_template("elements.html.j2").module, element.macro)
    written: str = macro(element)  # marked as HTML, which templates do not escape again
    return written


TEMPLATES = Environment(
    loader=PackageLoader("mobilenet_chest.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["show"] = show
