"""The report's page: everything escaped, everything in it."""

import html.parser
import json
import re
import subprocess
import sys

import pytest

from experiments.lab.report import page
from experiments.lab.report.page import Listing, Page, Picture, Table
from experiments.lab.store import layout

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7 * 7 }} https://example.org/"
EMPTY = Page("", "", (), (), (), (), (), "")


class Tags(html.parser.HTMLParser):
    """The tags of a page, their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, text):
        self.text += text


def everywhere(text):
    """A page with a text in every place that there is."""
    table = Table(text, [text], [[text], [text]], text)
    listing = Listing(text, [(text, text)])
    return Page(text, text, [text], [text], [Picture("data:,", text)], [table], [listing], text)


def test_every_value_is_escaped():
    evil, harmless = Tags(page.html(everywhere(EVIL))), Tags(page.html(everywhere("harmless")))
    assert evil.tags == harmless.tags and "script" not in evil.tags
    assert [name for name, _ in evil.attributes] == [name for name, _ in harmless.attributes]
    assert evil.text == harmless.text.replace("harmless", EVIL)


def test_nothing_is_asked_for_from_elsewhere():
    text = page.html(everywhere("harmless"))
    assert not re.search(r"https?:|//|@import|url\(", text)
    parsed = Tags(text)
    sources = [value for name, value in parsed.attributes if name in ("src", "href", "data")]
    assert sources and all(source.startswith("data:") for source in sources)
    policy = dict(parsed.attributes)["content"]
    assert "default-src 'none'" in text and policy


def test_figures_are_images_in_which_no_script_can_run(tmp_path):
    (tmp_path / "a.svg").write_text(f"<svg>{EVIL}</svg>")
    shown = page.html(EMPTY._replace(figures=[page.picture(tmp_path / "a.svg", "a figure")]))
    assert "alert" not in shown and Tags(shown).tags.count("img") == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3"),
        ([2, 4], "2, 4"),
        ({"jax": "0.10", "x": [1]}, "jax 0.10, x 1"),
        ("", ""),
        (None, "None"),
    ],
)
def test_words(value, words):
    assert page.words(value) == words


@pytest.mark.slow
def test_a_report_of_strange_names_is_harmless(tmp_path):
    """Settings that were not made by us, in a directory whose checksums nevertheless are right."""
    study = [sys.executable, "-m", "experiments", "degradation", "--depths=2", "--num_seeds=1"]
    study += ["--width=4", "--steps=2", "--learning_rates=0.1", "--shortcut_weights=1"]
    subprocess.run([*study, f"--workdir={tmp_path / 'run'}"], check=True, capture_output=True)
    about = json.loads((tmp_path / "run" / layout.ENVIRONMENT).read_text())
    (tmp_path / "run" / layout.ENVIRONMENT).write_text(json.dumps({**about, EVIL: EVIL}))
    report = [sys.executable, "-m", "experiments", "report", f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(report, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parsed = Tags((tmp_path / "run" / layout.REPORT).read_text())
    assert "script" not in parsed.tags and EVIL in parsed.text
    assert "residual" in parsed.text and parsed.tags.count("img") == 4
