"""Every console and Python example of README.md and the manual runs and prints what the page shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import manual
from helpers.examples import Runner, Setting, differences, examples, masked, rewritten, same, updated
from helpers.stores import working_in

REWRITE = "MOBILENET_CHEST_REWRITE_PAGES"
SLOW = ("<!-- examples: slow -->", "<!-- run in: store", "<!-- run in: promoted")
"""What a page has whose examples take long: a store to show is half a minute's work."""

QUICKSTART, QUICKSTART_OUTPUT = "python sweep.py", "MOBILENET_CHEST_QUICKSTART"
"""The README's main command, and the variable that names what it printed where it has run in the repository already."""


def _pages() -> Iterator[object]:
    for page in manual.pages():
        text = page.read_text(encoding="utf-8")
        if manual.has_examples(page):
            marks = [pytest.mark.slow, pytest.mark.timeout(1500)] if any(sign in text for sign in SLOW) else []
            yield pytest.param(page, id=manual.name(page), marks=marks)


@pytest.mark.parametrize("page", list(_pages()))
def test_examples(page: Path, prepare: Callable[[str], Setting]) -> None:
    text = page.read_text(encoding="utf-8")
    quickstart = os.environ.get(QUICKSTART_OUTPUT)
    if page == manual.README and quickstart:
        outputs = {QUICKSTART: Path(quickstart).read_text(encoding="utf-8")}
        with working_in(manual.ROOT):
            results = list(Runner(lambda _: Setting(manual.ROOT), outputs).run(text))
    else:
        results = list(Runner(prepare).run(text))
    assert not [printed for _, printed, _ in results if any("Traceback" in line for line in printed)]
    if os.environ.get(REWRITE):
        page.write_text(updated(text, results), encoding="utf-8")
        return
    wrong = differences(results)
    again = f"{manual.name(page)} shows other outputs; see above, then type: python tests/docs/generate.py --outputs"
    assert not wrong, "\n\n".join([*wrong, again])


# --- the mechanism itself ------------------------------------------------------------------------------------------


def test_numbers_ids_and_widths_do_not_count() -> None:
    shown = ["│ best │ 0.9978 (0.991–0.999) │ 8388b42dd37f40a8b360c70979fc5b6b │", "└──────┴─────┘", "took 88 s"]
    other = ["│ best │  0.71 (0.6–0.8) │ 0123456789abcdef0123456789abcdef │", "└─┴────────┘", "took 1 min 2 s"]
    assert same(shown, other)
    assert not same(shown, [other[0].replace("best", "tied"), *other[1:]])
    assert not same(shown, other[:2])


def test_elisions() -> None:
    printed = [f"line {word}" for word in ("one", "two", "three", "four")]
    assert same(["line one", "…", "line four"], printed)
    assert not same(["line one", "…", "line five"], printed)
    assert same(["line o…", "line two", "line…", "line four"], printed)
    assert rewritten(["a", "…", "z"], printed) == ["line one", "…", "line four"]
    assert rewritten(["a"], printed) == printed
    assert len(rewritten(["a"], ["word " * 60])[0]) <= 118


def test_varying_rows_are_compared_by_their_columns() -> None:
    assert masked("│ 3 │ pruned │", rows_vary=True) == masked("│ 1 │ complete │", rows_vary=True)
    assert masked("│ 3 │", rows_vary=True) != masked("│ 1 │ complete │", rows_vary=True)


def test_a_changed_output_is_written_in_its_place() -> None:
    text = "# Page\n\n```console\n$ one \\\n    two\nold\n$ three\nsame 1\n```\n"
    first, second = examples(manual.blocks(text)[0])
    assert (first.command, second.command) == ("one two", "three")
    after = updated(text, [(first, ["new", "lines"], False), (second, ["same 2"], False)])
    assert after == text.replace("old\n", "new\nlines\n")
    assert differences([(first, ["new"], False), (second, ["same 2"], False)])[0].startswith("$ one two")


def test_a_block_that_begins_with_output_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        examples(manual.blocks("```console\noutput\n```\n")[0])


def test_a_setting_has_to_be_named(prepare: Callable[[str], Setting]) -> None:
    with pytest.raises(ValueError, match="run in: empty"):
        list(Runner(prepare).run("```console\n$ true\n```\n"))
    with pytest.raises(ValueError, match="no setting 'nowhere'"):
        list(Runner(prepare).run("<!-- run in: nowhere -->\n```console\n$ true\n```\n"))


def test_a_file_and_a_command_on_it(prepare: Callable[[str], Setting]) -> None:
    page = "<!-- run in: empty -->\n<!-- file: a.txt -->\n```text\none\n```\n\n```console\n$ cat a.txt\none\n```\n"
    ((example, printed, rows_vary),) = Runner(prepare).run(page)
    assert (example.command, example.shown, printed, rows_vary) == ("cat a.txt", ["one"], ["one"], False)


def test_an_error_is_shown_where_nothing_is_printed(prepare: Callable[[str], Setting]) -> None:
    commands = "$ python sweep.py small.yaml stage2.lrr=1\n$ echo progress >&2; echo x\n"
    page = f"<!-- run in: empty -->\n```console\n{commands}```\n"
    (_, refused, _), (_, both, _) = Runner(prepare).run(page)
    assert "stage2.lrr" in refused[0]
    assert both == ["x"]
