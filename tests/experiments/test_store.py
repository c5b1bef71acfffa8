import json

import pytest

from experiments import store
from experiments.config import Config
from experiments.errors import UserError
from experiments.store import Store, settings_of

CELL = {
    "family": "dense",
    "block": "dense",
    "depth": 4,
    "norm": "batch",
    "order": "original",
    "shortcut": "A",
    "branch_scale": "one",
    "init": "he",
}
HERE = {"python": "3", "devices": ["cpu"]}


def open_store(path, **changes):
    return Store(path, "degradation", settings_of(Config(**changes), "lecture", "digest"))


def add(to, depth, value="0.5"):
    row = {**CELL, "depth": depth, "seed": 0}
    history = [{**row, "step": step, "metric": "train_loss", "value": value} for step in (0, 1)]
    to.add_cell([{**row, "train_error": value}], history, [{**CELL, "depth": depth}])


def test_finished_cells_are_found_again_to_the_byte(tmp_path):
    path = tmp_path / "lauf ü 1"
    first = open_store(path)
    assert not path.exists()
    assert first.start(HERE)
    add(first, 4, "0.1")
    add(first, 8, "1e-05")
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    again = open_store(path)
    assert again.finished_cells() == {
        ("dense", "dense", str(depth), "batch", "original", "A", "one", "he") for depth in (4, 8)
    }
    assert again.start(HERE)
    again.add_cell([], [], [])
    assert before == {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def test_rows_of_an_interrupted_cell_are_dropped(tmp_path):
    first = open_store(tmp_path / "run")
    first.start(HERE)
    add(first, 4)
    whole = (tmp_path / "run" / store.RESULTS).read_text()
    add(first, 8)
    (tmp_path / "run" / store.RESULTS).write_text(whole)  # killed before its results were in
    again = open_store(tmp_path / "run")
    again.start(HERE)
    add(again, 8)
    history = (tmp_path / "run" / store.HISTORY).read_text().splitlines()
    assert len(history) == 1 + 4 and len(set(history)) == len(history)


def test_other_settings_are_refused_with_the_difference(tmp_path):
    first = open_store(tmp_path / "run")
    first.start(HERE)
    open_store(tmp_path / "run", steps=7)  # nothing has finished here, so nothing is lost
    add(first, 4)
    with pytest.raises(UserError, match=r"steps is 300 there, 7 here; width is 0 there, 3 here"):
        open_store(tmp_path / "run", steps=7, width=3)
    open_store(tmp_path / "run", workdir="elsewhere")  # where it lies is no setting


def test_other_studies_and_schemas_are_refused(tmp_path):
    first = open_store(tmp_path)
    first.start(HERE)
    add(first, 4)
    manifest = json.loads((tmp_path / store.CONFIG).read_text())
    for change, word in (({"study": "other"}, "study is 'other'"), ({"schema": 0}, "schema 0")):
        (tmp_path / store.CONFIG).write_text(json.dumps({**manifest, **change}))
        with pytest.raises(UserError, match=word):
            open_store(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "3", '{"settings": 1}', "\x00\xff"])
def test_directories_that_hold_something_else_are_refused(tmp_path, content):
    (tmp_path / store.CONFIG).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="holds no study"):
        open_store(tmp_path)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "family,depth\nx", "\xff\xfe", "\0\n"])
def test_damaged_tables_are_refused_with_one_line(tmp_path, content):
    first = open_store(tmp_path)
    first.start(HERE)
    add(first, 4)
    for name in (store.RESULTS, store.HISTORY):
        whole = (tmp_path / name).read_bytes()
        for damaged in (content.encode("latin-1"), whole[:-9]):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(UserError, match=name):
                store.read_tables(tmp_path)
        (tmp_path / name).write_bytes(whole)
    assert [len(table) for table in store.read_tables(tmp_path)] == [1, 2]


def test_a_torn_environment_is_unknown(tmp_path):
    first = open_store(tmp_path)
    first.start(HERE)
    add(first, 4)
    (tmp_path / store.ENVIRONMENT).write_text('{"python": ')
    assert not open_store(tmp_path).start(HERE)


def test_another_environment_is_kept_beside(tmp_path):
    first = open_store(tmp_path)
    assert first.start(HERE)
    add(first, 4)
    moved = open_store(tmp_path)
    assert not moved.start({**HERE, "devices": ["gpu"]})
    written = json.loads((tmp_path / store.ENVIRONMENT).read_text())
    assert written["bit_comparable"] is False and written["past"] == [HERE]
    assert written["devices"] == ["gpu"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    store.write_text(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        store.write_text(path, "new")
    assert path.read_text() == "old"
