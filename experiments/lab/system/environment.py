"""Describes what a study runs on: cores, versions, and the user's cache."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

from experiments.lab.system import cgroups

PACKAGES = ("resnet_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")

#: The fields of /proc/cpuinfo that describe a processor's abilities, on x86 and on ARM.
_TELLING = {"vendor_id", "cpu family", "model", "model name", "stepping", "flags"} | {
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
    "Features",
}


def usable_cores() -> int:
    """Returns the number of processor cores that this process may use, by affinity and quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, cgroups.cores() or allowed or 1)


def users_cache() -> pathlib.Path:
    """Returns the directory of this user's cache.

    Raises:
      OSError: there is no such directory.
    """
    import platformdirs

    try:
        path = pathlib.Path(platformdirs.user_cache_dir("resnet_jax"))
    except RuntimeError as error:  # neither HOME nor an entry in the list of users
        raise FileNotFoundError(f"{error}") from None
    if not path.is_absolute():  # no home
        raise FileNotFoundError(f"{path} is no place")
    return path


def describe(devices: list[str], jax_config: Any) -> dict:
    """Returns versions, machine, source revision and compiler; what cannot be determined is None.

    Args:
      devices: kinds of the devices, as JAX names them.
      jax_config: ``jax.config``, whose settings change the last bits of results.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": usable_cores(),
        "devices": devices,
        "matmul_precision": jax_config.jax_default_matmul_precision or "default",
        "compiler_optimizes": not jax_config.read("jax_disable_most_optimizations"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_revision": _git_revision(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor_features() -> list[str]:
    """Returns lines that differ between processors whose programs do: model and instruction set."""
    lines = {line for line in _cpuinfo() if line.partition(":")[0].strip() in _TELLING}
    return sorted(lines) or [platform.machine(), platform.processor()]


def _processor() -> str | None:
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if "model name" in line]
    return names[0] if names else platform.processor() or None


def _cpuinfo() -> list[str]:
    try:
        return pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _git_revision() -> str | None:
    """Returns the revision of this source, ``-dirty`` if changed since; None if none tracks it."""
    here = pathlib.Path(__file__)
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # An environment inside a user's own repository is none of that repository's sources.
        for arguments in (["ls-files", "--error-unmatch", here.name], describe):
            said = subprocess.run(
                ["git", *arguments],
                cwd=here.parent,
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
