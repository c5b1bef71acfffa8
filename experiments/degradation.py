"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

The question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure: plain networks
and residual ones, the same in everything but the shortcut weight, at one depth after the other.
"""

import pathlib
import sys

from experiments import manifest, runner, store
from experiments.config import Config


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, paper.csv and figures/, and prints the table and what was found.

    A pure function of config.json, results.csv and history.csv.
    """
    # Seconds, which --help need not wait for.
    from experiments import figures, published, summary, terminal

    settings = manifest.read(workdir)["settings"]
    results, history = store.read_tables(workdir, terminal.warn)
    table = summary.summarise(results)
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    tested = "Validation" if settings.get("holdout") else "Test"
    errors = {"train_error": "Training error", "test_error": f"{tested} error"}
    losses = {"train_loss": "Training loss", "test_loss": f"{tested} loss"}
    drawn = {
        "error_over_depth": figures.over_depth(results, errors),
        "loss_over_depth": figures.over_depth(results, losses),
        "training_curves": figures.training_curves(results, history, "train_error"),
        "learning_rates": figures.rates(results),
    }
    for name, figure in drawn.items():
        figures.save(figure, workdir / "figures", name)
    terminal.show(table, workdir, held_out=tested == "Validation")
    paper = settings.get("compare")
    if paper in published.PAPERS:
        beside = published.compare(paper, table)
        store.write_text(workdir / store.PAPER, beside.to_csv(index=False, lineterminator="\n"))
        source, deviations = published.PAPERS[paper].source, published.deviations(settings)
        terminal.show_paper(beside, source, settings, deviations)


STUDY = runner.Study("degradation", __doc__, Config(), report)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
