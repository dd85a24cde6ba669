"""HTML tables of results."""

from __future__ import annotations

from mobilenet_chest.display import html_table


def test_texts_are_escaped_and_cells_kept() -> None:
    html = html_table("<b>&", ("a<", ""), [("<script>", 1), (None, 0.5)], note="x > y")
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("<tr>") == 3
    assert "<td>&lt;script&gt;</td><td>1</td>" in html
    assert "<td></td><td>0.5</td>" in html
    assert html.endswith("<p>x &gt; y</p>")


def test_no_headings() -> None:
    html = html_table("t", (), [])
    assert html == "<table><caption>t</caption><tbody></tbody></table>"
