"""Writes and reads the manifest of a work directory: which study it holds, and its settings."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from experiments.lab.config.config import SHELL, TRAINING, Config
from experiments.lab.config.vocabulary import MAPS
from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError, UserError

#: The version of the files' format, raised when their meaning changes; other versions are refused.
SCHEMA = 7

#: Schemas from before there were checksums.
_UNSEALED = (1, 2)

NAME = "config.json"
_MOST_BYTES = 2**24


class Settings(NamedTuple):
    """Holds the settings that define a study.

    Attributes:
      shown: every setting but directories and the like, the custom block, and the data's digest.
      core: the ones among them that all runs in a directory share.
    """

    shown: dict
    core: dict

    @property
    def digest(self) -> str:
        """Returns a digest that differs between studies that may not share a directory."""
        return digest(self.core)


def settings_of(config: Config, block: str, data: str) -> Settings:
    """Returns the settings of a study.

    Args:
      config: configuration of the study.
      block: identity of a custom block; empty for the family's.
      data: digest of its data set, which identifies a file wherever it lies.
    """
    roles = {field.name: field.metadata["role"] for field in dataclasses.fields(config)}
    values = dataclasses.asdict(config)
    name = pathlib.PurePath(config.dataset).name
    values["dataset"] = name.encode("utf-8", "backslashreplace").decode()
    if ":" in config.map:  # vmap:8.0 is vmap:8; the fields of variants are canonical already
        values["map"] = MAPS.parse(config.map).text
    values = json.loads(json.dumps(values))
    more = {"own_block": block, "data_sha256": data}
    shown = [name for name, role in roles.items() if role != SHELL]
    core = [name for name, role in roles.items() if role == TRAINING and name != "dataset"]
    return Settings(
        {name: values[name] for name in shown} | more, {name: values[name] for name in core} | more
    )


def digest(value: dict) -> str:
    """Returns the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def text(study: str, settings: Settings) -> str:
    """Returns the manifest of a study as text."""
    manifest = {"study": study, "schema": SCHEMA, "settings": settings.shown}
    return json_text({**manifest, "sha256": digest(manifest)})


def json_text(value: dict) -> str:
    """Returns a value as indented JSON, for people to read."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: pathlib.Path) -> dict:
    """Returns the object in a JSON file.

    Raises:
      ContentError: the file holds none.
    """
    try:
        value = json.loads(sealed.read_at_most(path, _MOST_BYTES))
        json_text(value).encode()  # fails on NaN and on unpaired surrogates
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not _is_shallow(value):
        raise ContentError("holds no JSON object of ours")
    return value


def _is_shallow(value: object, levels: int = 20) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(part, levels - 1) for part in inside)


def read(directory: pathlib.Path) -> dict:
    """Reads the manifest in a directory: ``study``, ``schema`` and ``settings``.

    Raises:
      UserError: there is none, or it is damaged.
    """
    path = directory / NAME
    try:
        manifest = read_json(path)
    except ContentError:
        manifest = {}
    if not isinstance(manifest.get("settings"), dict):
        raise UserError(f"--workdir={directory} holds no study; name another directory")
    said = manifest.pop("sha256", None)
    if said != digest(manifest) and (said or manifest.get("schema") not in _UNSEALED):
        raise UserError(
            f"{path} is damaged (its checksum differs); restore it, or run the study's command "
            "again, which writes it anew"
        )
    return manifest


def other_study(there: dict, study: str, settings: Settings) -> str:
    """Returns how the study of a manifest differs from this one; empty if it does not."""
    if there.get("study") != study:
        return f"its study is {there.get('study')!r}"
    if there.get("schema") != SCHEMA:
        return f"its files have schema {there.get('schema')}, and this version writes {SCHEMA}"
    return difference(there, settings, settings.core)


def difference(there: dict, settings: Settings, names: Iterable[str]) -> str:
    """Returns in which of the named settings a manifest differs from ours, in words."""
    old, new = there["settings"], settings.shown
    differing = sorted(name for name in names if old.get(name) != new.get(name))
    return "; ".join(f"{name} is {old.get(name)} there, {new.get(name)} here" for name in differing)
