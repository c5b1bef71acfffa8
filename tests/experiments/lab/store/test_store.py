import json

import numpy as np
import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.store import layout, manifest
from experiments.lab.store.layout import free_directory
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.results import Results
from experiments.lab.store.schema import MEASURES
from experiments.lab.store.store import Store
from experiments.lab.system import lock
from experiments.lab.system.errors import UserError

HERE = {"python": "3", "devices": ["cpu"]}
SMALL = {"depths": (4, 8), "num_seeds": 2, "learning_rates": (0.1,)}


def silent(line):
    raise AssertionError(f"said: {line}")


def open_store(path, **changes):
    config = Config(**{**SMALL, **changes})
    return Store(path, "degradation", settings_of(config, "", "digest"), grid.all_runs(config))


def groups(**changes):
    """A group for each cell of the small study."""
    config = Config(**{**SMALL, **changes})
    return [Group(cell, tuple(grid.runs(config, cell))) for cell in grid.cells(config)]


def rows(group, value=0.5):
    """Made-up results, history, readings and timings of a group."""
    runs, number = len(group.runs), np.float32(value)
    end = {"steps": 1, "status": 0, "diverged_at": -1}
    results = {name: np.full(runs, code, np.int32) for name, code in end.items()}
    results |= {name: np.full(runs, number) for name in MEASURES}
    history = {"step": np.array([0, 1]), "train_loss": np.full((runs, 2), number)}
    blocks = {"step": np.array([1]), "power": np.full((runs, 1, 2), number)}
    return results, history, {"blocks": blocks}, {"seconds": "1"}


def tables_of(path, say):
    results = Results(path, say)
    return results.runs, results.history


def fill(path, *which, say=silent, **changes):
    """Adds groups to a store."""
    opened = open_store(path, **changes)
    with opened.opened(HERE, say):
        for group in which:
            opened.add(group, *rows(group))
    return opened


def contents(path):
    return {
        file.relative_to(path): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != lock.NAME
    }


def test_what_was_added_is_found_again_to_the_byte(tmp_path):
    path = tmp_path / "lauf ü 1"
    assert not open_store(path).finished and not path.exists()
    shallow, deep = groups()
    fill(path, shallow, deep)
    before = contents(path)
    again = open_store(path)
    with again.opened(HERE, silent):
        assert again.finished == {*shallow.runs, *deep.runs}
    assert contents(path) == before


def test_tables_do_not_depend_on_the_order_of_work(tmp_path):
    shallow, deep = groups()
    fill(tmp_path / "one", shallow, deep)
    fill(tmp_path / "other", deep)
    fill(tmp_path / "other", *(Group(shallow.cell, (run,)) for run in reversed(shallow.runs)))
    for name in (layout.RESULTS, layout.HISTORY):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    "more",
    [
        {"num_seeds": 3},
        {"depths": (2, 4, 8)},
        {"learning_rates": (0.2, 0.1)},
        {"shortcut_weights": (0.0, 0.5, 1.0)},
        {"norm": ("batch", "layer")},
        {"workdir": "elsewhere", "checkpoint_seconds": 1.0},
    ],
)
def test_more_runs_extend_a_study(tmp_path, more):
    fill(tmp_path, *groups())
    extended = open_store(tmp_path, **more)
    with extended.opened(HERE, silent):
        assert extended.finished == {run for group in groups() for run in group.runs}
    settings = manifest.read(tmp_path)["settings"]
    assert all(settings[name] for name in more if name in settings)


def test_other_training_is_refused_with_the_difference(tmp_path):
    opened = open_store(tmp_path)
    with opened.opened(HERE, silent):
        pass
    open_store(tmp_path, steps=7)  # nothing has begun here, so nothing is lost
    fill(tmp_path, groups()[0])
    with pytest.raises(UserError, match=r"steps is 300 there, 7 here; width is 0 there, 3 here"):
        open_store(tmp_path, steps=7, width=3)
    with pytest.raises(UserError, match="matmul_precision is default there, highest here"):
        open_store(tmp_path, matmul_precision="highest")
    with pytest.raises(UserError, match="deterministic is"):
        open_store(tmp_path, deterministic=not Config().deterministic)


def test_another_spelling_of_a_setting_is_the_same_study(tmp_path):
    fill(tmp_path, groups()[0], map="vmap:8")
    open_store(tmp_path, map="vmap:8.0")
    with pytest.raises(UserError, match="map is vmap:8 there, vmap:4 here"):
        open_store(tmp_path, map="vmap:4")


def test_a_begun_study_is_not_taken_over_either(tmp_path):
    opened = open_store(tmp_path)
    with opened.opened(HERE, silent):
        opened.save(groups()[0], 1, {"x": np.zeros(2)})
    with pytest.raises(UserError, match="steps is 300 there"):
        open_store(tmp_path, steps=7)


@pytest.mark.parametrize(
    ("fewer", "word"),
    [
        ({"num_seeds": 1}, "4 runs that this command leaves out (num_seeds is 2 there, 1 here)"),
        ({"depths": (4,)}, "depths is [4, 8] there, [4] here"),
        ({"first_seed": 1}, "first_seed is 0 there, 1 here"),
    ],
)
def test_fewer_runs_are_refused(tmp_path, fewer, word):
    fill(tmp_path, *groups())
    with pytest.raises(UserError) as refused:
        open_store(tmp_path, **fewer)
    assert word in str(refused.value) and "--fresh" in str(refused.value)


def test_a_failure_does_not_hold_back_fewer_runs(tmp_path):
    shallow, deep = groups()
    opened = fill(tmp_path, shallow)
    with opened.opened(HERE, silent):
        opened.fail(deep, "no memory")
    again = open_store(tmp_path)
    with again.opened(HERE, silent):
        assert again.failures == {deep: "no memory"} and again.finished == {*shallow.runs}
    fewer = open_store(tmp_path, depths=(shallow.cell.depth,))
    with fewer.opened(HERE, silent):
        assert not fewer.failures  # everything that was asked for is done
    with open_store(tmp_path).opened(HERE, silent, retry_failed=True):
        pass
    assert not list((tmp_path / layout.RECORDS).glob("*.failed"))


def test_where_all_runs_failed_the_report_says_so(tmp_path):
    opened = open_store(tmp_path)
    with pytest.raises(UserError, match="has no finished runs to report on yet$"):
        tables_of(tmp_path, silent)
    with opened.opened(HERE, silent):
        opened.fail(groups()[1], "no memory")
    with pytest.raises(UserError, match=r"to report on yet\. Depth 8: \d+ runs have no .*: no mem"):
        tables_of(tmp_path, silent)


def test_what_comes_out_after_all_clears_the_failure(tmp_path):
    deep = groups()[1]
    opened = open_store(tmp_path)
    with opened.opened(HERE, silent):
        opened.fail(deep, "no memory")
        opened.add(deep, *rows(deep))
        assert not opened.failures
    again = open_store(tmp_path)
    with again.opened(HERE, silent):
        assert not again.failures and again.finished == {*deep.runs}


@pytest.mark.parametrize("name", ["thesis.pdf.part", "lock", "lock.txt"])
def test_what_is_not_ours_is_neither_taken_nor_removed(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(UserError, match="holds no study"):
        open_store(tmp_path)
    assert (tmp_path / name).read_text() == "precious"
    fill(tmp_path / "run", groups()[0])
    (tmp_path / "run" / "notes.part").write_text("precious")
    fill(tmp_path / "run", groups()[1])
    assert (tmp_path / "run" / "notes.part").read_text() == "precious"


def test_a_lock_that_points_elsewhere_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("")
    (tmp_path / "run" / lock.NAME).symlink_to(tmp_path / "precious")
    with (
        pytest.raises(OSError, match="symbolic"),
        open_store(tmp_path / "run").opened(HERE, silent),
    ):
        pass
    assert (tmp_path / "precious").read_text() == ""


def test_a_directory_of_ours_that_is_in_the_way_is_refused(tmp_path):
    fill(tmp_path, groups()[0])
    (tmp_path / layout.CHECKPOINTS).write_text("a file")
    with pytest.raises(UserError, match="no permission to write in"):
        open_store(tmp_path)


def test_fresh_is_the_first_free_directory(tmp_path):
    path = tmp_path / "run.1"
    assert free_directory(path) == path
    fill(path, groups()[0])
    assert free_directory(path) == tmp_path / "run.1-2"
    fill(tmp_path / "run.1-2", groups()[0])
    assert free_directory(path) == tmp_path / "run.1-3"


def test_other_studies_and_schemas_are_refused(tmp_path):
    fill(tmp_path, groups()[0])
    there = json.loads((tmp_path / manifest.NAME).read_text())
    for change, word in (({"study": "other"}, "study is 'other'"), ({"schema": 2}, "schema 2")):
        changed = {**there, **change}
        del changed["sha256"]
        changed["sha256"] = manifest.digest(changed)
        (tmp_path / manifest.NAME).write_text(json.dumps(changed))
        with pytest.raises(UserError, match=word):
            open_store(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "3", '{"settings": 1}', "\x00\xff", "[" * 10**5]
)
def test_directories_that_hold_something_else_are_refused(tmp_path, content):
    (tmp_path / manifest.NAME).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="holds no study"):
        open_store(tmp_path)


def test_a_damaged_manifest_is_written_anew_for_its_own_study_alone(tmp_path):
    fill(tmp_path, *groups())
    whole = (tmp_path / manifest.NAME).read_bytes()
    for damaged in (whole.replace(b"300", b"301"), whole[:-50], b""):
        (tmp_path / manifest.NAME).write_bytes(damaged)
        with pytest.raises(UserError, match="other settings"):
            open_store(tmp_path, steps=301)
        with open_store(tmp_path).opened(HERE, silent):
            pass
        assert (tmp_path / manifest.NAME).read_bytes() == whole


def test_a_damaged_manifest_does_not_shut_out_checkpoints(tmp_path):
    opened = open_store(tmp_path)
    with opened.opened(HERE, silent):
        opened.save(groups()[0], 1, {"x": np.zeros(2)})
    (tmp_path / manifest.NAME).write_text("{")
    again = open_store(tmp_path)
    with again.opened(HERE, silent):
        assert list(again.checkpoints(silent)) == [groups()[0]]
    assert manifest.read(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_record_is_set_aside_and_its_runs_are_missing(tmp_path, damage):
    shallow, deep = groups()
    fill(tmp_path, shallow, deep)
    before = contents(tmp_path)
    path = tmp_path / layout.RECORDS / f"{deep.name}.record"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if damage is None else damage)
    said = []
    again = open_store(tmp_path)
    with again.opened(HERE, said.append):
        assert again.finished == {*shallow.runs}
        again.add(deep, *rows(deep))
    assert len(said) == 1 and f"{deep.name}.record" in said[0] and "damaged" in said[0]
    kept = {
        file: content
        for file, content in contents(tmp_path).items()
        if file.parts[0] != layout.DAMAGED
    }
    assert kept == before


def test_tables_are_made_again_from_the_records(tmp_path):
    fill(tmp_path, *groups())
    before = contents(tmp_path)
    (tmp_path / layout.RESULTS).write_text("rubbish")
    (tmp_path / layout.HISTORY).unlink()
    (tmp_path / f"{layout.TIMINGS}.1.part").write_text("half")
    with open_store(tmp_path).opened(HERE, silent):
        pass
    assert contents(tmp_path) == before


def test_a_report_reads_records_where_a_table_is_damaged(tmp_path):
    fill(tmp_path, *groups())
    sound = tables_of(tmp_path, silent)
    assert [len(table) for table in sound] == [8, 16]
    for name in (layout.RESULTS, layout.HISTORY, layout.CHECKSUMS):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole.replace(b"5", b"6", 1))
        said = []
        mended = tables_of(tmp_path, said.append)
        assert len(said) == 1 and "records are read instead" in said[0]
        for table, like in zip(mended, sound, strict=True):
            assert table.equals(like)
        (tmp_path / name).write_bytes(whole)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "family,depth\nx", "\xff\xfe", "\0\n"])
def test_damaged_tables_without_records_are_refused_with_one_line(tmp_path, content):
    fill(tmp_path / "run", groups()[0])
    for name in (layout.RESULTS, layout.HISTORY):
        bare = tmp_path / "bare"
        bare.mkdir(exist_ok=True)
        for each in (layout.RESULTS, layout.HISTORY):
            (bare / each).write_bytes((tmp_path / "run" / each).read_bytes())
        assert [len(table) for table in tables_of(bare, silent)] == [4, 8]
        whole = (bare / name).read_bytes()
        for damaged in (content.encode("latin-1"), whole[:-9]):
            (bare / name).write_bytes(damaged)
            with pytest.raises(UserError, match=name):
                tables_of(bare, silent)


def test_checkpoints_are_found_until_their_runs_have_finished(tmp_path):
    shallow, deep = groups()
    opened = fill(tmp_path, shallow)
    arrays = {"x": np.arange(3.0, dtype=np.float32), "at": np.array(2)}
    with opened.opened(HERE, silent):
        for step in (1, 2, 3):
            opened.save(deep, step, arrays)
    again = open_store(tmp_path, num_seeds=5)  # also where more runs are asked for
    with again.opened(HERE, silent):
        found = again.checkpoints(silent)
        assert list(found) == [deep] and found[deep].step == 3
        np.testing.assert_equal(found[deep].arrays, arrays)
        again.add(deep, *rows(deep))
        assert again.checkpoints(silent) == {}
    assert not list((tmp_path / layout.CHECKPOINTS).iterdir())


def test_of_two_checkpoints_a_damaged_one_leaves_the_other(tmp_path):
    deep = groups()[1]
    opened = open_store(tmp_path)
    with opened.opened(HERE, silent):
        for step in (1, 2, 3):
            opened.save(deep, step, {"step": np.array(step)})
        paths = sorted((tmp_path / layout.CHECKPOINTS).iterdir())
        assert len(paths) == 2
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of step 3, the newest
    said = []
    again = open_store(tmp_path)
    with again.opened(HERE, silent):
        assert again.checkpoints(said.append)[deep].step == 2
        assert len(said) == 1 and "set aside" in said[0]
        again.save(deep, 5, {"step": np.array(5)})
        assert again.checkpoints(silent)[deep].step == 5


def test_a_torn_environment_is_unknown(tmp_path):
    fill(tmp_path, groups()[0])
    (tmp_path / layout.ENVIRONMENT).write_text('{"python": ')
    said = []
    with open_store(tmp_path).opened(HERE, said.append):
        assert "not comparable" in said[0]


def test_another_environment_is_kept_beside(tmp_path):
    fill(tmp_path, groups()[0])
    said = []
    more = {"cores": 64, "devices": ["cpu", "cpu"]}
    with open_store(tmp_path).opened({**HERE, **more}, silent):
        pass  # a run does not depend on the number of devices
    with open_store(tmp_path).opened({**HERE, "devices": ["gpu"]}, said.append):
        assert "not comparable" in said[0]
    written = json.loads((tmp_path / layout.ENVIRONMENT).read_text())
    assert written["bit_comparable"] is False and written["past"] == [{**HERE, **more}]
    assert written["devices"] == ["gpu"]


@pytest.mark.parametrize(
    "change", [{"matmul_precision": "highest"}, {"xla_flags": "--xla_gpu_autotune_level=0"}]
)
def test_what_changes_bits_on_accelerators_is_another_environment(tmp_path, change):
    fill(tmp_path, groups()[0])
    usual, said = {**HERE, "matmul_precision": "default", "xla_flags": ""}, []
    with open_store(tmp_path).opened(usual, silent):
        pass  # what earlier versions did not tell was as usual
    with open_store(tmp_path).opened({**usual, **change}, said.append):
        assert "not comparable" in said[0]


def test_one_process_at_a_time(tmp_path):
    in_use = pytest.raises(UserError, match=r"in use by process \d+ on \S+ since 2")
    with open_store(tmp_path).opened(HERE, silent), in_use:
        open_store(tmp_path)
    open_store(tmp_path)
