import pathlib

import pytest

from experiments.lab.system import cgroups, environment


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Returns a function that makes the files of a machine that is read instead of this one."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)

    def make(files: dict[str, str]) -> pathlib.Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        return tmp_path

    return make


def test_the_limits_of_all_groups_around_count(machine):
    top = "sys/fs/cgroup"
    root = machine(
        {
            "proc/self/cgroup": "0::/job/step",
            f"{top}/job/step/memory.max": "max",
            f"{top}/job/step/memory.current": "70",
            f"{top}/job/step/memory.events": "oom 9\noom_kill 2",
            f"{top}/job/step/cpu.max": "max 100000",
            f"{top}/job/memory.max": "100",
            f"{top}/job/memory.current": "90",
            f"{top}/job/memory.stat": "file 50\ninactive_file 30",
            f"{top}/job/memory.events": "oom_kill 7",
            f"{top}/job/cpu.max": "250000 100000",
        }
    )
    assert cgroups.memory() == [(100, 40)]
    assert cgroups.cores() == 3
    assert cgroups.killed() == (f"{root / top}/job/step/memory.events", 2)


def test_version_1_has_a_tree_for_each_controller(machine):
    top = "sys/fs/cgroup"
    root = machine(
        {
            "proc/self/cgroup": "4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/unified",
            f"{top}/memory/a/b/memory.limit_in_bytes": "100",
            f"{top}/memory/a/b/memory.usage_in_bytes": "60",
            f"{top}/memory/a/b/memory.stat": "inactive_file 1\ntotal_inactive_file 5",
            f"{top}/memory/a/b/memory.oom_control": "under_oom 0\noom_kill 3",
            f"{top}/memory/memory.limit_in_bytes": "1000",
            f"{top}/memory/memory.usage_in_bytes": "800",
            f"{top}/cpu/c/cpu.cfs_quota_us": "-1",
            f"{top}/cpu/c/cpu.cfs_period_us": "100000",
            f"{top}/cpu/cpu.cfs_quota_us": "50000",
            f"{top}/cpu/cpu.cfs_period_us": "100000",
        }
    )
    assert cgroups.memory() == [(100, 45), (1000, 200)]
    assert cgroups.cores() == 1
    assert cgroups.killed() == (f"{root / top}/memory/a/b/memory.oom_control", 3)


def test_a_container_that_does_not_see_its_folder_is_at_the_top(machine):
    for group in ("/kubepods/pod1", "/../../other"):
        machine(
            {
                "proc/self/cgroup": f"0::{group}",
                "sys/fs/cgroup/memory.max": "100",
                "sys/fs/cgroup/memory.current": "90",
                "sys/fs/cgroup/cpu.max": "200000 100000",
            }
        )
        assert cgroups.memory() == [(100, 10)] and cgroups.cores() == 2


def test_a_machine_without_groups_limits_nothing(machine):
    root = machine({"proc/vmstat": "nr_free 8\noom_kill 4"})
    assert cgroups.memory() == [] and cgroups.cores() is None
    assert cgroups.killed() == (f"{root / 'proc/vmstat'}", 4)


def test_no_more_cores_are_used_than_the_quota_pays_for(monkeypatch):
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: set(range(64)))
    for quota, cores in ((None, 64), (2, 2), (100, 64)):
        monkeypatch.setattr(cgroups, "cores", lambda quota=quota: quota)
        assert environment.usable_cores() == cores
