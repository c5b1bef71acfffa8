"""The formats: known bytes give known arrays, and any other bytes one line."""

import gzip
import math
import struct
import tarfile
import tracemalloc
from tarfile import CHRTYPE, DIRTYPE, LNKTYPE, REGTYPE, SYMTYPE

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lab.data import binary
from experiments.lab.system.errors import UserError

MEMBERS = ("folder/a.bin", "folder/b.bin")
RECORD = 3073


def is_one_line(error) -> bool:
    return "\n" not in str(error.value) and str(error.value).endswith(
        "put a whole copy in its place"
    )


def test_a_record_is_its_label_then_red_green_and_blue_row_by_row():
    planes = np.zeros(3072, np.uint8)
    planes[[5, 1024 + 32, 2048 + 1023]] = 7, 8, 9
    x, y = binary.records(b"\x03" + planes.tobytes(), "file", (10,))
    assert x.shape == (1, 32, 32, 3) and x.dtype == np.uint8 and y.tolist() == [3]
    assert (x[0, 0, 5, 0], x[0, 1, 0, 1], x[0, 31, 31, 2]) == (7, 8, 9) and x.sum() == 24


def test_the_last_label_byte_counts(formats):
    images = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 32, 32, 3)
    x, y = binary.records(formats.cifar(images, [19, 0], [42, 99]), "file", (20, 100))
    np.testing.assert_array_equal(x, images)
    assert y.tolist() == [42, 99] and x.flags.c_contiguous


@pytest.mark.parametrize(
    "content, classes, word",
    [
        (b"", (10,), "has 0 bytes"),
        (bytes(RECORD - 1), (10,), "whole records of 3073"),
        (bytes(RECORD + 1), (10,), "whole records of 3073"),
        (bytes(RECORD), (20, 100), "whole records of 3074"),
        (b"\x0a" + bytes(RECORD - 1), (10,), "the label 10, where labels go from 0 to 9"),
        (b"\x14\x00" + bytes(RECORD - 1), (20, 100), "the label 20"),
        (b"\x00\x64" + bytes(RECORD - 1), (20, 100), "the label 100"),
    ],
)
def test_faulty_records(content, classes, word):
    with pytest.raises(UserError, match=f"file: .*{word}") as error:
        binary.records(content, "file", classes)
    assert is_one_line(error)


def test_a_file_too_long_is_not_read(tmp_path):
    path = tmp_path / "long.bin"
    with path.open("wb") as file:
        file.truncate(10**12 // RECORD * RECORD)  # a terabyte, sparse
    with pytest.raises(UserError, match="1 to 50000 whole records") as error:
        binary.record_file(path, RECORD)
    assert is_one_line(error)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (1, 28, 28)])
@pytest.mark.parametrize("packed", [False, True])
def test_idx(formats, tmp_path, shape, packed):
    array = np.arange(math.prod(shape)).reshape(shape)
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(formats.gzip(formats.idx(array)) if packed else formats.idx(array))
    found = binary.idx(path, len(shape))
    np.testing.assert_array_equal(found, array % 256)
    assert found.dtype == np.uint8


def images_header(*shape, magic=0x803) -> bytes:
    return struct.pack(">4I", magic, *shape)


IDX_FAULTS = {
    "empty": (b"", "ends too early"),
    "short header": (images_header(1, 2, 3)[:-1], "ends too early"),
    "labels": (images_header(1, 2, 3, magic=0x801) + bytes(6), "starts with 0x00000801"),
    "of floats": (images_header(1, 2, 3, magic=0xD03) + bytes(24), "starts with 0x00000d03"),
    "no images": (images_header(0, 28, 28), "0 x 28 x 28 bytes"),
    "no pixels": (images_header(2, 0, 28), "2 x 0 x 28 bytes"),
    "huge": (images_header(2**32 - 1, 2**32 - 1, 2**32 - 1), "there must be 1 to 268435456"),
    "large": (images_header(2**28, 1, 1), ""),
    "one short": (images_header(1, 2, 3) + bytes(5), "too early|says 1 x 2 x 3 = 6 bytes, and 5 "),
    "one long": (
        images_header(1, 2, 3) + bytes(7),
        "says 1 x 2 x 3 = 6 bytes, and (7|more) follow",
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("fault", IDX_FAULTS)
def test_faulty_idx(formats, tmp_path, fault, packed):
    content, word = IDX_FAULTS[fault]
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(formats.gzip(content) if packed else content)
    with pytest.raises(UserError, match=f"{path.name}: .*({word})") as error:
        binary.idx(path, 3)
    assert is_one_line(error)


def test_a_plain_files_size_is_compared_with_its_header(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(images_header(2**20, 16, 16) + bytes(5))
    with pytest.raises(UserError, match="268435456 bytes, and 5 follow"):
        binary.idx(path, 3)


def gzip_faults(content: bytes) -> dict[str, bytes]:
    whole = gzip.compress(content)
    return {
        "not gzipped": content,
        "torn": whole[:-1],
        "half": whole[: len(whole) // 2],
        "checksum": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
        "garbage after it": whole + b"garbage",
        "body": whole[:10] + b"\xff" * 8 + whole[18:],
    }


@pytest.mark.parametrize("fault", gzip_faults(b"."))
def test_faulty_gzip(formats, tmp_path, fault):
    random = np.random.RandomState(0)
    path = tmp_path / "file.gz"
    path.write_bytes(gzip_faults(formats.idx(random.randint(0, 256, (3, 28, 28))))[fault])
    with pytest.raises(UserError, match="gzip|too early") as error:
        binary.idx(path, 3)
    assert is_one_line(error)
    path.write_bytes(gzip_faults(formats.tar(dict.fromkeys(MEMBERS, bytes(RECORD))))[fault])
    with pytest.raises(UserError, match="gzip|too early") as error:
        binary.archived_records(path, MEMBERS, RECORD)
    assert is_one_line(error)


def test_members_by_name(formats, tmp_path):
    path = tmp_path / "archive.tar.gz"
    contents = {"folder/a.bin": bytes(RECORD), "folder/b.bin": b"\x01" * 2 * RECORD}
    others = {"../a.bin": b"x" * 700, "a.bin": b"y", f"folder/{'long' * 60}": b"z"}
    path.write_bytes(formats.gzip(formats.tar(others | contents | {"readme": b"end"})))
    assert binary.archived_records(path, MEMBERS, RECORD) == contents
    assert [file.name for file in tmp_path.iterdir()] == ["archive.tar.gz"]  # nothing is extracted


def header(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def claim(size: int, kind: bytes = tarfile.GNUTYPE_LONGNAME, name: str = "other") -> bytes:
    """A header that announces so many bytes, by default of a name, which tarfile would hold."""
    info = header(name, kind)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def negative_size(name: str, size: int) -> bytes:
    """A header whose size is ``-size``, which the base-256 form of sizes can say."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (256**12 - size).to_bytes(12, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


A, B = MEMBERS
BOTH = dict.fromkeys(MEMBERS, bytes(RECORD))
#: Faulty archives, made from a writer of archives, and a word of the line that each deserves.
ARCHIVE_FAULTS = {
    "no archive": (lambda tar: b"hello" * 200, "no tar archive"),
    "nothing": (lambda tar: b"", f"lacks {A}"),
    "no members": (lambda tar: tar({}), f"lacks {A}"),
    "one member": (lambda tar: tar({A: bytes(RECORD)}), f"lacks {B}"),
    "other folder": (lambda tar: tar({f"../{A}": bytes(RECORD), B: bytes(RECORD)}), f"lacks {A}"),
    "twice": (lambda tar: tar({A: bytes(RECORD)})[: 512 * 8] + tar(BOTH), f"holds {A} twice"),
    "symbolic link": (lambda tar: tar(BOTH | {A: header(A, SYMTYPE, "/etc/passwd")}), "a link"),
    "hard link": (lambda tar: tar(BOTH | {A: header(A, LNKTYPE, "../../secret")}), "a link"),
    "device": (lambda tar: tar(BOTH | {A: header(A, CHRTYPE)}), "no plain file"),
    "folder": (lambda tar: tar(BOTH | {A: header(A, DIRTYPE)}), "no plain file"),
    "empty": (lambda tar: tar(BOTH | {A: b""}), "has 0 bytes"),
    "one short": (lambda tar: tar(BOTH | {A: bytes(RECORD - 1)}), "whole records"),
    "one long": (lambda tar: tar(BOTH | {A: bytes(RECORD + 1)}), "whole records"),
    "header": (lambda tar: b"\xff" + tar(BOTH)[1:], "no tar archive"),
    "torn header": (lambda tar: tar(BOTH)[:300], "no tar archive"),
    "torn member": (lambda tar: tar(BOTH)[:2000], "ends too early"),
    "torn other": (lambda tar: claim(10**5) + bytes(10**4), "ends too early"),
    "huge member": (lambda tar: claim(2**40, REGTYPE, A), "far more"),
    "huge name": (lambda tar: claim(2**40), "far more"),
    "below zero": (lambda tar: negative_size("other", 2**40) + tar(BOTH), f"-{2**40} bytes"),
}


@pytest.mark.parametrize("fault", ARCHIVE_FAULTS)
def test_faulty_archives(formats, tmp_path, fault):
    content, word = ARCHIVE_FAULTS[fault]
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(formats.gzip(content(formats.tar)))
    with pytest.raises(UserError, match=f"{path.name}: .*{word}") as error:
        binary.archived_records(path, MEMBERS, RECORD)
    assert is_one_line(error)


def peak_bytes(act) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_bombs_stay_folded(formats, tmp_path, monkeypatch):
    path = tmp_path / "bomb.gz"
    zeros = bytes(2**26)
    path.write_bytes(formats.gzip(images_header(1, 28, 28) + zeros))
    assert peak_bytes(lambda: binary.idx(path, 3)) < 2**22
    path.write_bytes(formats.gzip(images_header(2**20, 16, 16)))  # promises what does not come
    assert peak_bytes(lambda: binary.idx(path, 3)) < 2**22
    monkeypatch.setattr(binary, "MOST_RECORDS", 1000)  # and 6 MB for the archives below
    inflated, read = [], gzip.GzipFile.read

    def counted(*arguments):
        inflated.append(len(content := read(*arguments)))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    whole = formats.tar(BOTH)
    for bomb in (claim(2**26), claim(2**26, REGTYPE), claim(5 * 10**6), whole):
        path.write_bytes(formats.gzip(bomb + zeros))
        inflated.clear()
        assert peak_bytes(lambda: binary.archived_records(path, MEMBERS, RECORD)) < 2**23
        assert sum(inflated) < 2**24


@st.composite
def changes(draw):
    """A function that damages bytes in one to three places."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["truncate", "extend", "flip", "insert"]),
                st.floats(0, 1, exclude_max=True),
                st.binary(min_size=1, max_size=20),
            ),
            min_size=1,
            max_size=3,
        )
    )

    def damage(content: bytes) -> bytes:
        for kind, place, extra in steps:
            # Half of the damage goes to the front, where headers are.
            at = int(place * 2 % 1 * (len(content) if place < 0.5 else min(64, len(content))))
            if kind == "truncate":
                content = content[:at]
            elif kind == "extend":
                content += extra
            elif kind == "flip":
                content = content[:at] + extra + content[at + len(extra) :]
            else:
                content = content[:at] + extra + content[at:]
        return content

    return damage


READERS = {
    "cifar": lambda path: binary.records(binary.record_file(path, RECORD), str(path), (10,)),
    "idx": lambda path: binary.idx(path, 3),
    "idx.gz": lambda path: binary.idx(path, 3),
    "tar.gz": lambda path: binary.archived_records(path, MEMBERS, RECORD),
}


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=50, deadline=None)
@given(damage=changes())
def test_damage_gives_a_value_or_one_line(formats, tmp_path_factory, kind, within, damage):
    random = np.random.RandomState(0)
    content = {
        "cifar": formats.cifar(random.randint(0, 256, (2, 32, 32, 3)), random.randint(0, 10, 2)),
        "tar.gz": formats.tar(dict.fromkeys(MEMBERS, random.bytes(RECORD))),
    }.get(kind, formats.idx(random.randint(0, 256, (3, 28, 28))))
    if within:
        content = damage(content)
    if kind.endswith("gz"):
        content = formats.gzip(content)
    if not within:
        content = damage(content)
    path = tmp_path_factory.mktemp("damaged") / f"file.{kind}"
    path.write_bytes(content)
    try:
        READERS[kind](path)
    except UserError as error:
        assert "\n" not in str(error)
