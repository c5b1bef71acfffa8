"""Downloads published data sets once into the user's cache, and checks them before use."""

import hashlib
import pathlib
import sys
import urllib.parse
from typing import BinaryIO, NamedTuple

from experiments.lab.system.errors import UserError

#: Seconds to wait for a connection, and for the next bytes.
TIMEOUT = (10, 30)


class File(NamedTuple):
    """Describes a published file: its name, size in bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class Source(NamedTuple):
    """Lists the files of a data set, and the addresses to put before their names, best first."""

    mirrors: tuple[str, ...]
    files: tuple[File, ...]


#: Two hosts of the University of Toronto; both are reported to serve the same bytes.
_KRIZ = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
_ZALANDO = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"

# fmt: off
SOURCES = {
    "cifar10": Source(_KRIZ, (
        File("cifar-10-binary.tar.gz", 170052171,
             "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    )),
    "cifar100": Source(_KRIZ, (
        File("cifar-100-binary.tar.gz", 168513733,
             "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    )),
    "mnist": Source((
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ), (
        File("train-images-idx3-ubyte.gz", 9912422,
             "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        File("train-labels-idx1-ubyte.gz", 28881,
             "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        File("t10k-images-idx3-ubyte.gz", 1648877,
             "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        File("t10k-labels-idx1-ubyte.gz", 4542,
             "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    )),
    "fashion_mnist": Source((
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", _ZALANDO,
    ), (
        File("train-images-idx3-ubyte.gz", 26421880,
             "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        File("train-labels-idx1-ubyte.gz", 29515,
             "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        File("t10k-images-idx3-ubyte.gz", 4422102,
             "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        File("t10k-labels-idx1-ubyte.gz", 5148,
             "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    )),
}
# fmt: on


def fetch(name: str) -> pathlib.Path:
    """Returns the folder of the user's cache that holds all files of a data set.

    Correct files stay; files that are missing or differ from the published ones are downloaded, and
    get their names only after they are checked.

    Args:
      name: key of ``SOURCES``.

    Raises:
      UserError: no mirror sent a file; the message says how to get it otherwise.
      OSError: a file cannot be stored.
    """
    import pooch  # imported here, since it is not needed to read files that are there

    source = SOURCES[name]
    folder = pathlib.Path(pooch.os_cache("resnet_jax")) / name
    for file in source.files:
        if not _is_whole(folder, file):
            refusals = _download(file, source.mirrors, folder)
            if refusals:
                missing = [file for file in source.files if not _is_whole(folder, file)]
                raise UserError(
                    f"--dataset={name}: cannot fetch {file.name} ({', '.join(refusals)}); put it "
                    f"into {folder} or where --data_dir says: {addresses(source.mirrors, missing)}"
                )
    return folder


def addresses(mirrors: tuple[str, ...], files: list[File] | tuple[File, ...]) -> str:
    """Returns the addresses of files, with the sizes and digests that identify them, as text."""
    return "; ".join(
        f"{mirrors[0]}{file.name} ({file.size} bytes, SHA-256 {file.sha256})" for file in files
    )


def publisher(path: pathlib.Path) -> str | None:
    """Returns the data set that has a published file of this name and size; None if none has."""
    for name, source in SOURCES.items():
        for file in source.files:
            if (file.name, file.size) == (path.name, path.stat().st_size):
                return name
    return None


def _is_whole(folder: pathlib.Path, file: File) -> bool:
    path = folder / file.name
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _download(file: File, mirrors: tuple[str, ...], folder: pathlib.Path) -> list[str]:
    """Downloads a file from the first mirror that has it, or returns how each of them failed."""
    import pooch
    import requests

    pooch.get_logger().setLevel("CRITICAL")  # our own message says the same
    refusals = []
    for mirror in mirrors:
        url = mirror + file.name
        try:
            pooch.retrieve(
                url, f"sha256:{file.sha256}", file.name, folder, downloader=_Downloader(file.size)
            )
            return []
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            reason = f"status {status}" if status else type(error).__name__
        except ValueError:  # raised by pooch for a wrong checksum, and here for a wrong size
            reason = "sent another file"
        except OSError as error:
            raise OSError(
                f"{file.name} cannot be kept in {folder} ({error}); make room there, or put the "
                "file elsewhere and say where with --data_dir"
            ) from None
        refusals.append(f"{urllib.parse.urlsplit(url).hostname}: {reason}")
    return refusals


class _Downloader:
    """Downloads from an address into a file, up to the published size."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, url: str, path: str, _) -> None:
        import pooch

        # The bytes as they are stored, without further compression by the server.
        http = pooch.HTTPDownloader(
            chunk_size=2**16, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        with pathlib.Path(path).open("wb") as file:
            http(url, _Bounded(file, self.size, url), None)


class _Bounded:
    """Wraps a file so that it takes at most ``size`` bytes, and prints where they come from."""

    def __init__(self, file: BinaryIO, size: int, url: str):
        self.file, self.left, self.flush = file, size, file.flush
        self.news = f"fetching {url} ({size / 1e6:.1f} MB)"

    def write(self, content: bytes) -> None:
        if self.news:
            print(self.news, file=sys.stderr, flush=True)
            self.news = ""
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("longer than the published file")
        self.file.write(content)
