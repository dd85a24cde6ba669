"""Axes, ticks and the shapes that are drawn between them."""

from __future__ import annotations

import pytest

from mobilenet_chest.report import axes
from mobilenet_chest.report.page import show

AXES = axes.Axes((0, 10), (-1, 1), "x", "y")


def test_the_corners_are_inside_the_margins() -> None:
    assert AXES.at(0, -1) == (axes.LEFT, axes.HEIGHT - axes.BOTTOM)
    assert AXES.at(10, 1) == (axes.WIDTH - axes.RIGHT, axes.TOP)


def test_the_middle_is_in_the_middle() -> None:
    across, down = AXES.at(5, 0)
    assert across == (axes.LEFT + axes.WIDTH - axes.RIGHT) / 2
    assert down == (axes.TOP + axes.HEIGHT - axes.BOTTOM) / 2


def test_what_lies_outside_is_drawn_at_the_edge() -> None:
    assert AXES.at(99, -99) == AXES.at(10, -1)


def test_a_band_goes_out_along_one_line_and_back_along_the_other() -> None:
    band = AXES.band([(0, -1), (10, -1)], [(0, 1), (10, 1)], "first")
    corners = [AXES.at(*point) for point in ((0, -1), (10, -1), (10, 1), (0, 1))]
    assert band.attributes["points"] == " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def test_a_whisker_has_its_ends_at_the_interval() -> None:
    (x, bottom), (_, top) = AXES.at(5, -0.5), AXES.at(5, 0.5)
    path = AXES.whisker(5, -0.5, 0.5, "first").attributes["d"]
    assert path == f"M{x:.1f} {bottom:.1f}V{top:.1f}M{x - 3:.1f} {top:.1f}h6m-6 {bottom - top:.1f}h6"


def test_the_frame_has_ticks_and_labels() -> None:
    texts = [shape.text for shape in AXES.frame() if shape.tag == "text"]
    assert texts == ["0", "2", "4", "6", "8", "10", "-1", "-0.5", "0", "0.5", "1", "x", "y"]


def test_labels_are_escaped() -> None:
    drawn = show(axes.drawing("key", "<b>", "<b>", axes.Axes((0, 1), (0, 1), "<b>", "&").frame()))
    assert "<b>" not in drawn
    assert "&amp;" in drawn


def test_ticks_are_round_and_inside() -> None:
    assert axes.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert axes.ticks(0.7, 12.3, integers=True) == [2, 4, 6, 8, 10, 12]
    assert axes.ticks(0.501, 0.514) == [0.502, 0.504, 0.506, 0.508, 0.51, 0.512, 0.514]


def test_an_axis_has_a_length_even_for_one_value() -> None:
    assert axes.around([2, 4], 0.1) == pytest.approx((1.8, 4.2))
    for alone in (0.0, 0.5, -3.0):
        low, high = axes.around([alone, alone])
        assert low < alone < high
