"""Report: draws the summary, figures and findings of a work directory again, from its tables."""

import dataclasses
import importlib
import pathlib
import sys

from experiments import STUDIES
from experiments.lab.run.command import command
from experiments.lab.store import manifest
from experiments.lab.system.errors import UserError, suggest
from experiments.lab.system.interrupts import Interrupts


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """Holds the flags of the command ``report``."""

    workdir: str = dataclasses.field(
        default="runs/degradation",
        metadata={"help": "a study's work directory, finished or not, wherever it lies now"},
    )


def report(config: ReportConfig, _: Interrupts) -> None:
    """Draws the report of a work directory; raises :class:`UserError` if that is impossible."""
    workdir = pathlib.Path(config.workdir)
    there = manifest.read(workdir)
    study = there.get("study")
    if there.get("schema") != manifest.SCHEMA:
        raise UserError(
            f"--workdir={workdir}: its files have schema {there.get('schema')}, and this version "
            f"reads {manifest.SCHEMA}; report with the version that made it"
        )
    if study not in STUDIES:
        raise UserError(
            f"--workdir={workdir}: study {study!r}: {suggest(str(study), STUDIES)}; one of your "
            "own draws itself again, by its own command"
        )
    importlib.import_module(f"experiments.{study}").STUDY.tell(workdir)


def main(argv: list[str] | None = None) -> int:
    """Runs the command, and returns its exit status."""
    return command("report", __doc__, ReportConfig(), report, argv)


if __name__ == "__main__":
    sys.exit(main())
