"""Landscape: what does the loss look like around trained plain and residual networks?

The loss is measured along random filter-normalised directions (Li et al. 2018), the same for plain
and residual networks of a seed: over a plane, on lines, and by the curvature of the Hessian.
"""

from collections.abc import Iterator

from experiments.lab.build import readings
from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.config.vocabulary import CONVOLUTIONS
from experiments.lab.run.study import Study, later


def _problems(config: Config) -> Iterator[str]:
    if not CONVOLUTIONS[config.convolution].twice:
        yield (
            f"--convolution={config.convolution}: its gradients cannot be differentiated again, as "
            "the curvature of the loss requires; omit it"
        )


STUDY = Study(
    "landscape",
    __doc__,
    Config(
        depths=(8, 32),
        num_seeds=6,
        learning_rates=(0.05, 0.02),
        # The Hessian's least eigenvalue is a few hundredths of its greatest or less, and TF32
        # products err by some thousandths of that.
        matmul_precision="highest",
    ),
    later("experiments.landscape.report", "report"),
    Reading(readings.at_end, later("experiments.landscape.reading", "of_network")),
    _problems,
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
