"""The page in a real browser: a film goes in, and its probability and answer come out."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.brightness import BRIGHT, flat
from helpers.browsers import Browser, not_blank
from helpers.pictures import encoded
from helpers.serving import listening

from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Follower
from mobilenet_chest.deploy.serving.service import Service


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1200])
def test_films_are_answered_one_by_one(
    models: dict[str, str], browser: Browser, pictures: Path, tmp_path: Path, width: int
) -> None:
    (tmp_path / "bright.png").write_bytes(encoded(flat(BRIGHT)[0]))
    (tmp_path / "broken.png").write_bytes(b"hello")
    service = Service(Follower(models["gray"]), Limits())
    try:
        with listening(service) as address:
            browser.resize(width, 800)
            browser.open(address)
            browser.wait_for("gray, version 1", "from a probability of 0.500 on")
            browser.choose("#files", tmp_path / "bright.png", tmp_path / "broken.png")
            shown = browser.wait_for("0.731", "not a picture")
            assert "bright.png" in shown
            assert not browser.run("return document.documentElement.scrollWidth > window.innerWidth")
            severe = [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"]
            assert ["400" in message for message in severe] == [True]  # the film that is none
            assert not_blank(browser.screenshot(pictures / f"serve-{width}.png"))
    finally:
        service.close()
