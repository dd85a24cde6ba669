"""The page as a whole: what is in it, in which order, and why something is not."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup
from mlflow import MlflowClient

from mobilenet_chest.report import curves, decisions, evidence, leaderboard, pictures, trials
from mobilenet_chest.report.markup import missing, paragraph, section
from mobilenet_chest.report.material import Material
from mobilenet_chest.report.style import STYLE

KINDS = {"study": "Study", "run": "Run", "comparison": "Comparison"}


def page(client: MlflowClient, material: Material, reported: bool) -> str:
    """The whole document, in which nothing refers to anything outside of it.

    Args:
        client: The tracking store.
        material: What it is about.
        reported: Add the source report's figures to the leaderboard.
    """
    leader, baseline = material.leader, material.baseline
    what = f"{KINDS[material.kind]} {', '.join(material.names if material.kind != 'run' else [leader.name])}"
    rival, why = (baseline, None) if baseline is None else evidence.same_images(leader, baseline)
    of_leader = paragraph(f"Of {leader.name}" + (f". {why}" if why else "."), "soft")
    learned = curves.training(leader) if leader.history else missing(
        f"{leader.name} was not trained by itself: it is made of other runs."
    )  # fmt: skip
    parts = [
        ("leaderboard", "Leaderboard", [leaderboard.leaderboard(material, reported)]),
        ("training", "Training", [learned]),
        ("discrimination", "Telling the classes apart",
         [of_leader, curves.discrimination(leader, rival, leader.images_scored)]),
        ("calibration", "Calibration and threshold", [decisions.calibration(leader), decisions.confusion(leader)]),
        ("predictions", "Predictions at random", [pictures.grid(leader)]),
        ("mistakes", "Confident mistakes", [pictures.mistakes(leader)]),
        *([("search", "The search", trials.everything(material))] if material.study is not None else []),
        ("data", "The data", [evidence.data(leader)]),
        ("test", "The sealed test split", [evidence.ledger(client, material)]),
        ("provenance", "Where this comes from", [evidence.provenance(leader)]),
    ]  # fmt: skip
    contents = Markup("").join(Markup('<li><a href="#{}">{}</a></li>').format(key, title) for key, title, _ in parts)
    body = Markup("").join(section(key, title, *inside) for key, title, inside in parts)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
            "<title>{what}</title><style>{}</style></head><body>"
            '<a class="skip" href="#main">Skip to the figures</a><header><h1>{what}</h1>{}{}</header>'
            '<nav aria-label="Contents"><ul>{}</ul></nav><main id="main" tabindex="-1">{}</main>'
            "<footer><p>Made {} by mobilenet-chest. For research: these models are not medical devices.</p></footer>"
            "</body></html>"
        ).format(Markup(STYLE), leaderboard.answer(material), _about(material), contents, body, made, what=what)
    )


def _about(material: Material) -> Markup:
    leader = material.leader
    one, other = leader.classes
    said = (
        f"Task: {other} (class 1) or {one} (class 0), {leader.config.data.dataset}. All figures are of the validation "
        "split, on which epoch and threshold were chosen, unless they are said to be of test."
    )
    return paragraph(said, "soft")
