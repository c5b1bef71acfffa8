"""Image sets in a user's folder: in every place and form, and what is said of what is amiss."""

import pathlib
import tracemalloc

import numpy as np
import pytest

from experiments.lab.data import datasets, images
from experiments.lab.system.errors import UserError

CIFAR_FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"


def put(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def packed(formats, files: dict[str, bytes], folder: str = CIFAR_FOLDER) -> bytes:
    return formats.gzip(formats.tar({f"{folder}/{name}": file for name, file in files.items()}))


def same(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first[:4], second[:4], strict=True))


def test_cifar10_in_every_form(formats, tmp_path):
    files = formats.cifar10(4)
    put(tmp_path / "plain", files)
    put(tmp_path / "unpacked" / CIFAR_FOLDER, files)
    put(tmp_path / "packed", {ARCHIVE: packed(formats, files)})
    plain, *others = (
        images.read("cifar10", str(tmp_path / form)) for form in ("plain", "unpacked", "packed")
    )
    x_train, y_train, x_test, y_test, classes, about = plain
    assert x_train.shape == (20, 32, 32, 3) and x_test.shape == (4, 32, 32, 3)
    assert y_train.shape == (20,) and y_test.shape == (4,) and classes == 10
    assert x_train.flags.c_contiguous and "CIFAR-10" in about
    # Record 1 of batch 2 is example 5: a label, and then the red of the upper left pixel.
    record = files["data_batch_2.bin"][3073:6146]
    assert (y_train[5], x_train[5, 0, 0, 0]) == (record[0], record[1])
    assert all(same(plain, other) for other in others)


@pytest.mark.parametrize("form", ["plain", "packed"])
def test_cifar100_has_fine_labels(formats, tmp_path, form):
    x = np.random.RandomState(0).randint(0, 256, (3, 32, 32, 3))
    files = {
        "train.bin": formats.cifar(x, [0, 19, 5], [99, 0, 50]),
        "test.bin": formats.cifar(x[:1], [1], [2]),
    }
    archive = {"cifar-100-binary.tar.gz": packed(formats, files, "cifar-100-binary")}
    put(tmp_path, files if form == "plain" else archive)
    x_train, y_train, x_test, y_test, classes, _ = images.read("cifar100", str(tmp_path))
    np.testing.assert_array_equal(x_train, x)
    np.testing.assert_array_equal(x_test, x[:1])
    assert y_train.tolist() == [99, 0, 50] and y_test.tolist() == [2] and classes == 100


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_in_every_form(formats, tmp_path, name):
    files = formats.mnist(5, 2)
    zipped = {f"{file}.gz": formats.gzip(content) for file, content in files.items()}
    put(tmp_path / "plain", files)
    put(tmp_path / "zipped", zipped)
    put(tmp_path / "sub" / name, zipped)
    plain, *others = (
        images.read(name, str(tmp_path / form)) for form in ("plain", "zipped", "sub")
    )
    assert plain[0].shape == (5, 28, 28) and plain[2].shape == (2, 28, 28) and plain[4] == 10
    assert plain[0].tobytes() == files["train-images-idx3-ubyte"][16:]
    assert plain[3].tobytes() == files["t10k-labels-idx1-ubyte"][8:]
    assert plain[5].lower() == name.replace("_", "-") + ", 28x28"
    assert all(same(plain, other) for other in others)


def test_own_subfolders_tell_the_mnists_apart(formats, tmp_path):
    put(tmp_path, formats.mnist(3, 1, seed=0))
    put(tmp_path / "fashion_mnist", formats.mnist(3, 1, seed=1))
    digits, fashion = (images.read(name, str(tmp_path)) for name in ("mnist", "fashion_mnist"))
    assert not np.array_equal(digits[0], fashion[0])
    assert fashion[0].tobytes() == formats.mnist(3, 1, seed=1)["train-images-idx3-ubyte"][16:]


def mnist_fault(formats, folder: pathlib.Path, fault: str) -> str:
    """Puts a faulty MNIST into a folder; returns a word of the line that it deserves."""
    files = formats.mnist(5, 2)
    labels = "train-labels-idx1-ubyte"
    change, word = {
        "count": ({labels: formats.idx(np.zeros(4))}, "4 labels for the 5 images of train-images"),
        "label": ({labels: formats.idx(np.full(5, 10))}, "the label 10, where labels go from 0"),
        "swapped": ({labels: files["train-images-idx3-ubyte"]}, "IDX labels with 0x00000801"),
        "pixels": ({"t10k-images-idx3-ubyte": formats.idx(np.ones((2, 8, 8)))}, "[8, 8] pixels"),
        "missing": ({labels: None}, f"lacks {labels}.gz; get https"),
    }[fault]
    changed = {name: content for name, content in (files | change).items() if content}
    put(folder, changed)
    return word


@pytest.mark.parametrize("fault", ["count", "label", "swapped", "pixels", "missing"])
def test_faulty_mnist(formats, tmp_path, fault):
    word = mnist_fault(formats, tmp_path, fault)
    with pytest.raises(UserError) as error:
        datasets.load("mnist", str(tmp_path))
    assert word in str(error.value) and "\n" not in str(error.value)


def test_the_other_mnist_is_recognised(formats, tmp_path):
    """Both have files of the same names; published ones are told apart by their sizes."""
    zipped = {f"{file}.gz": formats.gzip(body) for file, body in formats.mnist(5, 2).items()}
    put(tmp_path, zipped | {"t10k-labels-idx1-ubyte.gz": bytes(4542)})
    with pytest.raises(UserError, match="is mnist's file, by its size, and not fashion_mnist's"):
        datasets.load("fashion_mnist", str(tmp_path))


@pytest.mark.parametrize("form", ["plain", "packed"])
@pytest.mark.parametrize(
    "file, content, word",
    [
        ("data_batch_3.bin", bytes(3072), "has 3072 bytes"),
        ("data_batch_3.bin", b"", "has 0 bytes"),
        ("test_batch.bin", b"\x0a" * 3073, "holds the label 10"),
        ("test_batch.bin", None, "lacks .*test_batch.bin"),
    ],
)
def test_faulty_cifar(formats, tmp_path, form, file, content, word):
    files = {name: body for name, body in formats.cifar10(1).items() if name != file}
    files |= {} if content is None else {file: content}
    put(tmp_path, files if form == "plain" else {ARCHIVE: packed(formats, files)})
    with pytest.raises(UserError, match=word) as error:
        datasets.load("cifar10", str(tmp_path))
    assert "\n" not in str(error.value) and file in str(error.value)


@pytest.mark.parametrize("name", images.NAMES)
def test_an_empty_folder_is_told_what_belongs_there(tmp_path, name):
    with pytest.raises(
        UserError, match="holds no .*get http.* bytes, SHA-256 [0-9a-f]{64}"
    ) as error:
        datasets.load(name, str(tmp_path))
    assert f"--data_dir={tmp_path}" in str(error.value) and "\n" not in str(error.value)


def test_no_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in ("file", "absent", "file/below"):
        with pytest.raises(UserError, match=f"--data_dir=.*{place}: there is no such folder"):
            datasets.load("cifar10", str(tmp_path / place))


@pytest.mark.long
def test_cifar10_of_full_size(formats, tmp_path):
    files = formats.cifar10(10_000)
    put(tmp_path, {ARCHIVE: packed(formats, files)})
    tracemalloc.start()
    data = datasets.load("cifar10", str(tmp_path), holdout=5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.x_train.shape == (45_000, 32, 32, 3) and data.x_train.dtype == np.float32
    assert data.x_test.shape == (5000, 32, 32, 3) and data.y_train.dtype == np.int32
    assert peak < 1.5e9
    np.testing.assert_allclose(data.x_train.std(dtype=np.float64), 1, rtol=1e-5)
    np.testing.assert_allclose(data.x_train.mean(0, dtype=np.float64), 0, atol=1e-5)
    whole = images.read("cifar10", str(tmp_path))
    # Example 12,345 is record 2,345 of batch 2; the green plane is the second, its rows 32 long.
    record = files["data_batch_2.bin"][2345 * 3073 : 2346 * 3073]
    assert whole[0][12_345, 3, 7, 1] == record[1 + 1024 + 3 * 32 + 7]
    assert whole[1][12_345] == record[0] and len(whole[3]) == 10_000
