"""Broken files: whatever the bytes, a reader gives a sound value or one clear error.

Neither takes more than some hundred megabytes; and what is sealed by a checksum is never accepted
unless it is what was written.
"""

import contextlib
import io
import json
import pathlib
import random
import resource
import time

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.lab.config import commandline, grid, validation
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data import binary, npz, weights
from experiments.lab.store import checkpoints, layout, manifest, records, tables
from experiments.lab.store.checkpoints import Checkpoint
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.records import Record
from experiments.lab.store.schema import MEASURES
from experiments.lab.store.tables import Tables
from experiments.lab.system import lock, sealed
from experiments.lab.system.errors import ContentError, UserError, printable
from resnet_jax import Parts, cifar_network, from_linen

CONFIG = Config(depths=(2, 4), num_seeds=2, learning_rates=(0.1,))
RUNS = tuple(grid.all_runs(CONFIG))
GROUP = Group(RUNS[0].cell, RUNS[:4])
COUNT = len(GROUP.runs)
END = {"steps": 1, "status": 0, "diverged_at": -1}
RESULTS = {name: np.full(COUNT, code, np.int32) for name, code in END.items()}
RESULTS |= {name: np.full(COUNT, 0.25, np.float32) for name in MEASURES}
RESULTS |= {"sha256": np.full((COUNT, 32), 7, np.uint8)}
HISTORY = {"step": np.array([1]), "loss": np.full((COUNT, 1), np.nan, np.float32)}
READINGS = {"step": np.array([1]), "power": np.full((COUNT, 1, 2), np.inf, np.float32)}
WHOLE = Record("digest", GROUP.runs, RESULTS, HISTORY, {"blocks": READINGS}, {"seconds": "1"})
RECORD = records.encode(WHOLE)
CHECKPOINT = checkpoints.encode(
    Checkpoint(GROUP, 3, "digest", {"x": np.arange(9.0), "y": np.ones(2, int)})
)
NETWORK = from_linen(cifar_network(8, 10, Parts(), width=4))
IMAGE = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")
PARAMS = jax.eval_shape(NETWORK.init, jax.random.key(0), IMAGE)
STATISTICS = jax.eval_shape(NETWORK.forward, PARAMS, IMAGE, 1.0, None)[1]


def npz_content() -> bytes:
    content, chance = io.BytesIO(), np.random.RandomState(0)
    arrays = {"x_train": chance.randn(6, 3), "y_train": np.arange(6) % 3}
    arrays |= {"x_test": chance.randn(2, 3), "y_test": np.arange(2)}
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def safetensors_content() -> bytes:
    whole = lambda tree: jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), tree)
    path = pathlib.Path("/dev/shm") / f"weights-{random.random()}.safetensors"
    weights.save(path, whole(PARAMS), whole(STATISTICS))
    content = path.read_bytes()
    path.unlink()
    return content


def is_npz(value) -> bool:
    x_train, y_train, x_test, y_test, classes, _ = value
    return (
        len(x_train) == len(y_train)
        and len(x_test) == len(y_test)
        and np.isfinite(x_train).all()
        and y_train.max() + 1 == classes > y_test.max()
    )


def texts(record=WHOLE) -> dict[str, str]:
    """The tables that a record makes."""
    made = Tables()
    made.take(record)
    return made.texts({run: index for index, run in enumerate(record.runs)})


def is_record(record) -> bool:
    """Whether every table that a record makes can be read again, unless it tells of a failure."""
    if record.failure:
        return record.results == {}
    made = texts(record)
    rows = tables.read(made[layout.RESULTS].encode(), tables.RESULTS)
    tables.read(made[layout.HISTORY].encode(), tables.HISTORY)
    for name in record.readings:
        tables.read_readings(name, made[f"{name}{layout.READINGS}"].encode())
    return are_results(rows) and [grid.run_of(row) for row in rows] == list(record.runs)


def are_results(rows) -> bool:
    return all(0 <= float(row["train_error"]) <= 1 and grid.run_of(row) for row in rows)


def are_measurements(rows, what: str) -> bool:
    """Whether rows are about runs, each of their steps and what was measured there once."""
    keys = {(grid.run_of(row), int(row["step"]), row[what]) for row in rows}
    return len(keys) == len(rows) and all(step >= 0 for _, step, _ in keys)


def all_numbers(rows, but=()) -> bool:
    """Whether columns, but for some and those that name the run, are numbers to every reader."""
    left_out = {*grid.RUN_COLUMNS, *but}
    words = [word for row in rows for name, word in row.items() if name not in left_out]
    return all(map(grid.PLAIN_NUMBER.fullmatch, words))


def is_checkpoint(found) -> bool:
    """Whether a checkpoint's runs can be named in a table, and its arrays written again."""
    runs = [grid.run_of(run.columns()) for run in found.group.runs]
    again = checkpoints.decode(checkpoints.encode(found))
    same = all(
        array.tobytes() == again.arrays[name].tobytes() for name, array in found.arrays.items()
    )
    return tuple(runs) == found.group.runs and again[:3] == found[:3] and same


def is_config(config) -> bool:
    """Whether a configuration's runs can be listed, with rates and depths that can be trained."""
    runs = grid.all_runs(config)
    return bool(runs) and all(run.learning_rate > 0 and run.cell.depth >= 2 for run in runs)


def have_shapes(trees) -> bool:
    like = jax.tree.leaves((PARAMS, STATISTICS))
    return all(
        (leaf.shape, leaf.dtype) == (other.shape, other.dtype)
        for leaf, other in zip(jax.tree.leaves(trees), like, strict=True)
    )


def same_arrays(these, those) -> bool:
    return these.keys() == those.keys() and all(
        np.array_equal(array, those[name]) for name, array in these.items()
    )


def read_flags(path):
    config = commandline.parse(Config(), [f"--flagfile={path}"])
    validation.validate(config)
    return config


def in_folder(name, read):
    """A reader of a file of a certain name in a folder."""

    def of(path):
        place = path.with_name("folder")
        place.mkdir(exist_ok=True)
        path.replace(place / name)
        return read(place)

    return of


MANIFEST = manifest.text("degradation", settings_of(CONFIG, "", "")).encode()
SHOWN = settings_of(CONFIG, "", "").shown


def cases(formats) -> dict:
    """Readers by name: a file's sound content, how a path is read, and whether a value is sound."""
    images = np.arange(3 * 3072, dtype=np.uint8).reshape(3, 32, 32, 3)
    cifar = formats.cifar(images, [1, 2, 3])
    archive = formats.gzip(formats.tar({"a.bin": cifar}), mtime=0)
    idx = formats.idx(np.arange(60).reshape(3, 4, 5))
    written = checkpoints.decode(CHECKPOINT)
    about = {"python": "3", "past": [{"python": "2"}]}
    rank3 = lambda array: array.ndim == 3 and array.dtype == np.uint8 and array.size > 0
    return {
        "data.npz": (npz_content(), npz.read, is_npz),
        "weights.safetensors": (
            safetensors_content(),
            lambda path: weights.load(path, PARAMS, STATISTICS),
            have_shapes,
        ),
        "images-idx3-ubyte": (idx, lambda path: binary.idx(path, 3), rank3),
        "images-idx3-ubyte.gz": (
            formats.gzip(idx, mtime=0),
            lambda path: binary.idx(path, 3),
            rank3,
        ),
        "batch.bin": (
            cifar,
            lambda path: binary.records(binary.record_file(path, 3073), "batch.bin", (10,)),
            lambda value: len(value[0]) == len(value[1]) and value[1].max() < 10,
        ),
        "cifar.tar.gz": (
            archive,
            lambda path: binary.archived_records(path, ["a.bin"], 3073),
            lambda value: len(value["a.bin"]) % 3073 == 0,
        ),
        "results.csv": (
            texts()[layout.RESULTS].encode(),
            lambda path: tables.read(path.read_bytes(), tables.RESULTS),
            are_results,
        ),
        "history.csv": (
            texts()[layout.HISTORY].encode(),
            lambda path: tables.read(path.read_bytes(), tables.HISTORY),
            lambda rows: are_measurements(rows, "metric") and all_numbers(rows, ["metric"]),
        ),
        "blocks.readings.csv": (
            texts()[f"blocks{layout.READINGS}"].encode(),
            lambda path: tables.read_readings("blocks", path.read_bytes()),
            lambda rows: are_measurements(rows, "place") and all_numbers(rows),
        ),
        "a.record": (
            RECORD,
            lambda path: records.decode(path.read_bytes()),
            lambda value: records.encode(value) == RECORD,
        ),
        "a.checkpoint": (
            CHECKPOINT,
            lambda path: checkpoints.decode(path.read_bytes()),
            lambda value: value[:3] == written[:3] and same_arrays(value.arrays, written.arrays),
        ),
        "unsealed.record": (
            sealed.unseal(RECORD),
            lambda path: records.decode(sealed.seal(path.read_bytes())),
            is_record,
        ),
        "unsealed.checkpoint": (
            sealed.unseal(CHECKPOINT),
            lambda path: checkpoints.decode(sealed.seal(path.read_bytes())),
            is_checkpoint,
        ),
        "config.json": (
            MANIFEST,
            in_folder(manifest.NAME, manifest.read),
            lambda value: value["schema"] != manifest.SCHEMA or value["settings"] == SHOWN,
        ),
        "environment.json": (
            manifest.json_text(about).encode(),
            manifest.read_json,
            lambda value: json.loads(manifest.json_text(value)) == value,
        ),
        "lock": (
            b'{"pid": 12, "host": "here", "since": "2026"}',
            in_folder(lock.NAME, lock.holder),
            lambda value: json.loads(json.dumps(value)) == value and isinstance(value, dict),
        ),
        "own.flags": (
            b"# mine\n--depths=2,4\n--learning_rates=0.1,1e-2\n--norm=batch\n",
            read_flags,
            is_config,
        ),
    }


NAMES = [
    "data.npz",
    "weights.safetensors",
    "images-idx3-ubyte",
    "images-idx3-ubyte.gz",
    "batch.bin",
]
NAMES += ["cifar.tar.gz", "results.csv", "history.csv", "blocks.readings.csv", "a.record"]
NAMES += ["a.checkpoint", "unsealed.record", "unsealed.checkpoint", "config.json"]
NAMES += ["environment.json", "lock", "own.flags"]


def test_every_reader_has_its_turn(formats):
    assert list(cases(formats)) == NAMES


def wrong_values() -> dict:
    """By the name of the file, a value that its reader must never give out."""
    (row, *_) = tables.read(texts()[layout.HISTORY].encode(), tables.HISTORY)
    results = tables.read(texts()[layout.RESULTS].encode(), tables.RESULTS)
    readings = tables.read_readings("blocks", texts()[f"blocks{layout.READINGS}"].encode())
    checkpoint, zeros = checkpoints.decode(CHECKPOINT), np.zeros((2, 3))
    other = GROUP._replace(runs=(RUNS[0]._replace(learning_rate=np.inf),))
    too_large = {**RESULTS, "train_error": 2 * np.ones(COUNT, np.float32)}
    return {
        "data.npz": (zeros, np.zeros(2, int), zeros, np.zeros(2, int), 3, ""),
        "weights.safetensors": (PARAMS, jax.tree.map(lambda _: np.zeros(1), STATISTICS)),
        "images-idx3-ubyte": zeros,
        "images-idx3-ubyte.gz": zeros,
        "batch.bin": (zeros, np.array([1, 12])),
        "cifar.tar.gz": {"a.bin": b"1"},
        "results.csv": [results[0] | {"train_error": "1.5"}],
        "history.csv": [row, row],
        "blocks.readings.csv": [readings[0] | {"power": "much"}],
        "a.record": WHOLE._replace(settings="other"),
        "a.checkpoint": checkpoint._replace(step=4),
        "unsealed.record": WHOLE._replace(results=too_large),
        "unsealed.checkpoint": checkpoint._replace(group=other),
        "config.json": {"schema": manifest.SCHEMA, "settings": {**SHOWN, "steps": 1}},
        "environment.json": {"python": float("nan")},
        "lock": [12],
        "own.flags": Config(learning_rates=(-0.1,)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_value_would_be_seen(formats, name):
    _, _, sound = cases(formats)[name]
    try:
        seen = not sound(wrong_values()[name])
    except (UserError, ContentError, ValueError):
        seen = True
    assert seen


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A file that has been damaged one to four times."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, end = sorted(chance.randrange(len(damaged) + 1) for _ in range(2))
        match chance.randrange(8):
            case 0 if damaged:
                damaged[min(at, len(damaged) - 1)] ^= 1 << chance.randrange(8)
            case 1 if damaged:
                damaged[min(at, len(damaged) - 1)] = chance.choice(b'\0\x7f\x80\xff09[{"\n,-')
            case 2:
                del damaged[at : min(end, at + 64)]
            case 3:
                damaged[at:at] = chance.randbytes(chance.randrange(64))
            case 4:
                damaged[at:at] = damaged[at : min(end, at + 512)]
            case 5:
                del damaged[at:]
            case 6:
                damaged[at:at] = chance.choice(
                    [b"9" * 30, b"[" * 3000, b"1e999", b"nan", b"\xff" * 8]
                )
            case _:
                damaged[at : at + 8] = chance.choice(
                    [b"\xff" * 8, b"\0" * 8, (2**40).to_bytes(8, "little")]
                )
    return bytes(damaged)


@contextlib.contextmanager
def little_memory(extra: int = 2**29):
    """Within the block, half a gigabyte more than now is all there is."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) for line in lines if line.startswith("VmData")) * 1024
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_sound(content, path, read, sound) -> bool:
    """Reads; whether a value came out. Anything but a sound value or a clear error raises."""
    path.write_bytes(content)
    start = time.monotonic()
    try:
        value = read(path)
    except (UserError, ContentError) as error:
        assert printable(str(error))
        return False
    finally:
        assert time.monotonic() - start < 10
    assert sound(value), "a wrong value was accepted"
    return True


@pytest.mark.parametrize("count", [300, pytest.param(7200, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", NAMES)
def test_mutated_files(formats, tmp_path, name, count):
    content, read, sound = cases(formats)[name]
    assert is_sound(content, tmp_path / name, read, sound)
    chance, refused = random.Random(name), 0
    with little_memory():
        for _ in range(count):
            refused += not is_sound(mutated(content, chance), tmp_path / name, read, sound)
    assert refused > count / 4 or name in ("lock", "batch.bin")


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(formats, tmp_path, name):
    _, read, sound = cases(formats)[name]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=400))
    def check(content):
        is_sound(content, tmp_path / name, read, sound)

    check()
