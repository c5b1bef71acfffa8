"""Downloads, from servers of the test's own: no network is needed."""

import contextlib
import hashlib
import http.server
import io
import pathlib
import socket
import threading

import pytest

from experiments.lab.data import datasets, downloads, images
from experiments.lab.system.errors import UserError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``: bytes, a status, or bytes and the length to claim for them."""

    def do_GET(self):  # noqa: N802
        self.server.asked.append(self.path.lstrip("/"))
        answer = self.server.files.get(self.path.lstrip("/"), 404)
        if isinstance(answer, int):
            self.send_error(answer)
            return
        content, length = answer if isinstance(answer, tuple) else (answer, len(answer))
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts servers: ``serve(files)`` gives one with an ``address`` and what it was ``asked``."""
    servers = []

    def start(files):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.files, server.asked = files, []
        server.address = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "resnet_jax"


def closed_address() -> str:
    """Where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def mnist(formats, monkeypatch):
    """Files of a small MNIST; ``mnist.at(*mirrors)`` makes them the published ones."""
    files = {f"{name}.gz": formats.gzip(body) for name, body in formats.mnist(5, 2).items()}
    published = tuple(
        downloads.File(name, len(body), hashlib.sha256(body).hexdigest())
        for name, body in files.items()
    )

    class Mnist(dict):
        def at(self, *mirrors):
            monkeypatch.setitem(downloads.SOURCES, "mnist", downloads.Source(mirrors, published))

    return Mnist(files)


def test_fetched_once_and_quietly(cache, serve, mnist, capfd):
    server = serve(mnist)
    mnist.at(server.address)
    data = datasets.load("mnist")
    assert data.x_train.shape == (5, 28, 28) and data.x_test.shape == (2, 28, 28)
    assert sorted(server.asked) == sorted(mnist)
    assert {path.name: path.read_bytes() for path in (cache / "mnist").iterdir()} == mnist
    out, err = capfd.readouterr()
    assert not out and [line.split()[0] for line in err.splitlines()] == ["fetching"] * 4
    again = datasets.load("mnist")
    assert len(server.asked) == 4 and datasets.digest(again) == datasets.digest(data)
    assert capfd.readouterr() == ("", "")


LABELS = "t10k-labels-idx1-ubyte.gz"


def refusals(content: bytes) -> dict:
    """Answers that a mirror should not give for a file, and what is said of each."""
    return {
        "absent": (404, "status 404"),
        "failing": (503, "status 503"),
        "empty": (b"", "sent another file"),
        "page": (b"<html>please log in</html>", "sent another file"),
        "flipped": (b"\x00" + content[1:], "sent another file"),
        "longer": ((content + b"x", None), "sent another file"),
        "endless": ((content + bytes(2**25), None), "sent another file"),
        "cut off": ((content[:-9], None), "sent another file"),
        "broken off": ((content[:-9], len(content)), "Error"),
    }


@pytest.mark.parametrize("fault", refusals(b""))
def test_the_next_mirror_is_tried(cache, serve, mnist, fault):
    answer, word = refusals(mnist[LABELS])[fault]
    bad, good = serve(mnist | {LABELS: answer}), serve(mnist)
    mnist.at(bad.address)
    with pytest.raises(
        UserError, match=f"cannot fetch {LABELS} \\(127.0.0.1: .*{word}\\)"
    ) as error:
        downloads.fetch("mnist")
    assert "\n" not in str(error.value)
    # What was whole is kept, what was not has left nothing behind, and only that is asked for.
    assert {path.name for path in (cache / "mnist").iterdir()} == set(mnist) - {LABELS}
    assert str(error.value).count("SHA-256") == 1
    mnist.at(bad.address, good.address)
    assert len(images.read("mnist", "")[3]) == 2
    assert good.asked == [LABELS] and bad.asked.count(LABELS) == 2 and len(bad.asked) == 5


@pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: body[:-1] + b"\xff"])
def test_a_damaged_cache_is_mended(cache, serve, mnist, damage):
    server = serve(mnist)
    mnist.at(server.address)
    folder = downloads.fetch("mnist")
    (folder / LABELS).write_bytes(damage(mnist[LABELS]))
    assert downloads.fetch("mnist") == folder == cache / "mnist"
    assert (folder / LABELS).read_bytes() == mnist[LABELS] and server.asked.count(LABELS) == 2


def test_no_more_than_the_published_bytes_are_kept(capsys):
    file = io.BytesIO()
    bounded = downloads._Bounded(file, 10, "http://host/file")
    bounded.write(b"12345")
    bounded.write(b"67890")
    with pytest.raises(ValueError):
        bounded.write(b"x")
    assert file.getvalue() == b"1234567890"
    assert capsys.readouterr().err == "fetching http://host/file (0.0 MB)\n"


def test_offline(cache, mnist, capfd):
    address = closed_address()
    mnist.at(address)
    with pytest.raises(UserError) as error:
        datasets.load("mnist")
    text = str(error.value)
    assert text.startswith("--dataset=mnist: cannot fetch train-images-idx3-ubyte.gz")
    assert str(cache / "mnist") in text and "--data_dir" in text and "\n" not in text
    for name, size, sha256 in downloads.SOURCES["mnist"].files:
        assert f"{address}{name} ({size} bytes, SHA-256 {sha256})" in text
    assert capfd.readouterr() == ("", "")


def test_no_place_to_keep_it(cache, serve, mnist):
    mnist.at(serve(mnist).address)
    cache.write_text("in the way")
    with pytest.raises(OSError, match="cannot be kept in .*resnet_jax.*--data_dir") as error:
        downloads.fetch("mnist")
    assert "\n" not in str(error.value)


def test_the_published_files_are_named_in_full():
    assert set(downloads.SOURCES) == set(images.NAMES)
    for mirrors, files in downloads.SOURCES.values():
        assert len(mirrors) > 1 and all(mirror.endswith("/") for mirror in mirrors)
        assert all(len(bytes.fromhex(file.sha256)) == 32 and file.size > 0 for file in files)
    hashes = [file.sha256 for source in downloads.SOURCES.values() for file in source.files]
    assert len(set(hashes)) == len(hashes) == 10
