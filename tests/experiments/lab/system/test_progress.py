import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from experiments.lab.system import progress
from experiments.lab.system.progress import LOG_SECONDS, Progress


@pytest.fixture
def shown(monkeypatch):
    """Returns a function that makes a progress, its clock, and what it writes."""

    def make(width=None):
        clock, text = SimpleNamespace(now=0.0), io.StringIO()
        console = Console(file=text, width=width or 80, force_terminal=bool(width), highlight=False)
        monkeypatch.setattr(progress.rich.console, "Console", lambda **_: console)
        return Progress(lambda: clock.now), clock, text

    return make


def test_a_log_has_a_line_now_and_then_with_what_is_left(shown):
    progress, clock, text = shown()
    progress.now("depth 2: compiling")
    clock.now = LOG_SECONDS + 1
    progress.now("depth 2: step 3 of 9")  # nothing is known of the time left
    progress.now("depth 2: step 4 of 9", left=9.0)  # too soon for a line
    clock.now = 2 * LOG_SECONDS + 3
    progress.now("depth 2: step 5 of 9", left=3 * clock.now)
    assert text.getvalue().splitlines() == [
        "depth 2: step 3 of 9",
        "25%, about 3:09 left: depth 2: step 5 of 9",
    ]


def test_time_passes_while_nothing_is_said(shown):
    progress, clock, _ = shown()
    clock.now = 10.0
    progress.now("compiling", left=30.0)
    assert progress._told() == "25%, about 0:30 left"
    clock.now = 30.0
    assert progress._told() == "75%, about 0:10 left"
    clock.now = 90.0  # it takes longer than was said
    assert progress._told() == "100%, about 0:00 left"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bar_takes_one_line_of_any_terminal(shown, width):
    progress, _, text = shown(width)
    progress.now("depth 20, batch, pre_activation, inverse_sqrt, he: step 1 of 9", left=1.0)
    console = progress._console
    with console.capture() as captured:
        console.print(progress._bar.get_renderable())
    assert captured.get().rstrip("\n").count("\n") == 0
    assert "about 0:01 left" in captured.get()


def test_lines_wrap_between_words_on_a_terminal_and_never_in_a_file(shown):
    long = "of every word " * 12
    for width, lines in ((40, 5), (None, 1)):
        progress, _, text = shown(width)
        progress.say(long)
        assert len(text.getvalue().splitlines()) == lines
        assert "wor\n" not in text.getvalue()
