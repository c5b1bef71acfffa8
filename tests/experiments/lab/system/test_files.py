import pytest

from experiments.lab.system import files


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    files.write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_short_writes_are_completed(tmp_path, monkeypatch):
    write = files.os.write
    monkeypatch.setattr(files.os, "write", lambda to, content: write(to, content[:3]))
    files.write_bytes(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_moved_files_find_a_free_name(tmp_path):
    for content in (b"1", b"2", b"3"):
        files.write_bytes(tmp_path / "a", content)
        files.move(tmp_path / "a", tmp_path / "aside" / "deep")
    names = sorted(path.name for path in (tmp_path / "aside" / "deep").iterdir())
    assert names == ["a", "a.1", "a.2"]
    files.remove(tmp_path / "a")  # which is not there
