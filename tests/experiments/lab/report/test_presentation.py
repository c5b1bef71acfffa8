import json

import pandas as pd
import pytest

from experiments.lab.config.config import Config
from experiments.lab.report import presentation
from experiments.lab.report.figures import panels
from experiments.lab.report.page import Table
from experiments.lab.report.presentation import Presentation
from experiments.lab.store import layout, manifest
from experiments.lab.store.manifest import settings_of


def drawn():
    with panels(1, 1, (3, 2)) as (figure, grid):
        grid[0, 0].plot([0, 1])
    return figure


def broken():
    raise ValueError("no limits")


def full():
    raise OSError("no space left")


def said(figures):
    return Presentation(
        title="Does it?",
        about="2 seeds.",
        found=["It does."],
        summary=pd.DataFrame({"depth": [2], "loss": [0.5]}),
        figures=figures,
        captions=dict.fromkeys(figures, "What it shows."),
        shown=[Table("", ["depth", "loss", "wide"], [["2", "0.5", "x"]], "A note.", ("wide",))],
        more={"more.csv": pd.DataFrame({"x": [1]})},
    )


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / manifest.NAME).write_text(manifest.text("study", settings_of(Config(), "", "")))
    return tmp_path


def test_everything_is_written_and_told(workdir, capsys):
    presentation.publish(workdir, said({"one": drawn}))
    told = capsys.readouterr().out
    assert "It does." in told and "A note." in told and f"{workdir}" in told and "0.5" in told
    assert (workdir / layout.SUMMARY).read_text() == "depth,loss\n2,0.5\n"
    assert (workdir / "more.csv").read_text() == "x\n1\n"
    page = (workdir / layout.REPORT).read_text()
    assert "What it shows." in page and "data:image/svg+xml" in page


def test_a_figure_that_cannot_be_drawn_leaves_a_line_and_its_neighbours(workdir, capsys):
    presentation.publish(workdir, said({"one": drawn, "other": drawn, "third": drawn}))
    assert (workdir / layout.FIGURES / "other.png").exists()
    capsys.readouterr()
    presentation.publish(workdir, said({"one": drawn, "other": broken, "third": drawn}))
    warned = capsys.readouterr().err
    assert warned == ("warning: The figure other cannot be drawn (ValueError: no limits).\n")
    assert {path.name for path in (workdir / layout.FIGURES).iterdir()} == {
        "one.png",
        "one.svg",
        "third.png",
        "third.svg",
    }
    page = (workdir / layout.REPORT).read_text()
    assert page.count("data:image/svg+xml") == 2 and "other cannot be drawn" in page


def test_a_full_disk_is_no_figure_that_cannot_be_drawn(workdir):
    with pytest.raises(OSError, match="no space"):
        presentation.publish(workdir, said({"one": full}))
    assert json.loads((workdir / manifest.NAME).read_text())["study"] == "study"


def test_a_narrow_terminal_leaves_out_what_only_a_wide_one_shows(workdir, capsys, monkeypatch):
    monkeypatch.setattr(presentation.terminal, "width", lambda: 80)
    presentation.publish(workdir, said({}))
    table, notes = capsys.readouterr().out.split("It does.")
    assert "wide" not in table and "A wider terminal shows wide, as does the report." in notes
    assert "wide" in (workdir / layout.REPORT).read_text()
