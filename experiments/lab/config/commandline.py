"""Derives flags from the fields of a configuration, and parses them; presets are flag files."""

import dataclasses
import os
import pathlib
import textwrap
import typing
from collections.abc import Sequence

from absl import flags

from experiments.lab.system.errors import UserError, suggest

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

PRESETS = pathlib.Path(__file__).parents[2] / "presets"

ConfigType = typing.TypeVar("ConfigType", bound="DataclassInstance")


class _ListParser(flags.ArgumentParser):
    """Parses comma-separated values, each by the parser of a single value."""

    syntactic_help = "a comma-separated list"

    def __init__(self, item: flags.ArgumentParser):
        self._item = item

    def parse(self, argument):
        if isinstance(argument, tuple):
            return argument
        return tuple(self._item.parse(text.strip()) for text in argument.split(",") if text.strip())


class _NumberParser(flags.ArgumentParser):
    """Parses one number; if that fails, the error says in words what was expected."""

    def __init__(self, kind: type, wanted: str):
        self._kind, self._wanted = kind, wanted

    def parse(self, argument):
        try:
            return self._kind(argument)
        except ValueError:
            raise ValueError(f"{argument!r} is not {self._wanted}") from None


_PARSERS = {
    int: _NumberParser(int, "a whole number"),
    float: _NumberParser(float, "a number"),
    str: flags.ArgumentParser(),
}


def _parser(annotation) -> flags.ArgumentParser:
    if annotation in _PARSERS:
        return _PARSERS[annotation]
    return _ListParser(_PARSERS[typing.get_args(annotation)[0]])


def show(value) -> str:
    """Returns a value as it is typed after its flag."""
    return ",".join(map(show, value)) if isinstance(value, tuple) else f"{value}"


def presets() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.flags"))


def parse(defaults: ConfigType, argv: Sequence[str]) -> ConfigType:
    """Returns the configuration that a command line asks for.

    Args:
      defaults: a dataclass instance; its fields are the flags.
      argv: the command line's arguments, without the program's name.

    Raises:
      UserError: a flag is unknown or its value cannot be read.
    """
    values = flags.FlagValues()
    types = typing.get_type_hints(type(defaults))
    for field in dataclasses.fields(defaults):
        about = field.name, getattr(defaults, field.name), field.metadata["help"]
        if types[field.name] is bool:
            flags.DEFINE_boolean(*about, flag_values=values)
        else:
            flags.DEFINE(_parser(types[field.name]), *about, values)
    try:
        rest = values(["", *_expand_presets(argv)])[1:]
    except UnicodeDecodeError:
        raise UserError("--flagfile: the file is not UTF-8 text") from None
    except RecursionError:  # absl searches for similar names letter by letter
        raise UserError("a flag has a name of more than a thousand letters") from None
    except flags.Error as error:
        raise UserError(_reword(error, list(values))) from None
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag; flags look like --depths=4,8")
    found = {field.name: values[field.name].value for field in dataclasses.fields(defaults)}
    return dataclasses.replace(
        defaults, **{name: _place(name, value) for name, value in found.items()}
    )


def _place(name: str, value: typing.Any) -> typing.Any:
    """Returns a value; of a path, with the user's home for ``~``, which shells leave after ``=``.

    Raises:
      UserError: the value is an address on the network.
    """
    if not isinstance(value, str):
        return value
    if "://" in value:
        raise UserError(f"--{name}={value}: is an address; take a path on this machine")
    return os.path.expanduser(value) if value.startswith("~") else value  # noqa: PTH111


def _expand_presets(argv: Sequence[str]) -> list[str]:
    """Replaces ``--preset=NAME`` by its flag file, and puts flag files first: other flags win."""
    files, others = [], []
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.lstrip("-") not in ("preset", "flagfile") or not name.startswith("-"):
            others.append(argument)
            continue
        value = value if equals else next(arguments, "")
        if name.lstrip("-") == "flagfile":
            files += _flags_in(pathlib.Path(_place("flagfile", value)))
            continue
        if value not in presets():
            raise UserError(f"--preset={value}: {suggest(value, presets())}")
        files += _flags_in(PRESETS / f"{value}.flags")
    return files + others


def _flags_in(path: pathlib.Path) -> list[str]:
    """Returns the flags in a file, one a line; lines that begin with ``#`` or ``//`` are comments.

    Raises:
      UserError: there is no such file, it is no text, or it names a flag twice.
    """
    if not path.is_file():
        raise UserError(f"--flagfile={path}: there is no such file")
    lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    found = [line for line in lines if line and not line.startswith(("#", "//"))]
    names = [line.partition("=")[0].lstrip("-") for line in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--flagfile={path}: --{name} stands there twice; give it once")
        if name in ("preset", "flagfile"):
            raise UserError(f"--flagfile={path}: a flag file names no other; give both as flags")
    return found


def _reword(error: flags.Error, known: Sequence[str]) -> str:
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"there is no flag --{error.flagname}; {suggest(error.flagname, known)}"
    words = " ".join(str(error).split()).removeprefix("ERROR:: ").removeprefix("flag ")
    return f"{words}; give it one, as in --name=value" if words.startswith("Missing") else words


def help_text(program: str, summary: str, defaults) -> str:
    """Returns the text that ``--help`` prints."""
    lines = [summary, "", f"usage: python -m {program} [--flag=value ...]", ""]
    entries = [
        ("--preset=", f"a flag file that comes with the package: {', '.join(presets())}"),
        ("--flagfile=", "a custom flag file, without --preset; other flags override either kind"),
    ]
    for field in dataclasses.fields(defaults):
        text = field.metadata["help"]
        if names := field.metadata.get("names"):
            text += f" ({', '.join(names)})"
        entries.append((f"--{field.name}={show(getattr(defaults, field.name))}", text))
    entries.append(("--debug", "shows where an error came from"))
    for flag, text in entries:
        lines.append(f"  {flag}")
        lines.extend(textwrap.wrap(text, 94, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join(lines)
