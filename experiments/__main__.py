"""Lists the studies, or runs the one that is named: ``python -m experiments``."""

import importlib
import sys

from experiments import STUDIES
from experiments.lab.run.command import USAGE_ERROR, show_help
from experiments.lab.system.errors import suggest

COMMANDS = (*STUDIES, "networks", "report")


def main(argv: list[str] | None = None) -> int:
    """Runs the command and flags in ``argv``, and returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("--help", "-h", "help"):
        lines = [
            "usage: python -m experiments NAME [--flag=value ...]; NAME --help lists its flags\n"
        ]
        for name in COMMANDS:
            about = _module(name).STUDY.question if name in STUDIES else _module(name).__doc__
            lines.append(f"  {name:17s}  {(about or '').partition(chr(10))[0]}")
        return show_help("\n".join(lines))
    name, *flags = argv
    if name not in COMMANDS:
        print(f"experiments: no study {name!r}; {suggest(name, COMMANDS)}", file=sys.stderr)
        return USAGE_ERROR
    return _module(name).main(flags)


def _module(name: str):
    return importlib.import_module(f"experiments.{name}")


if __name__ == "__main__":
    sys.exit(main())
