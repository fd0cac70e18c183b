"""How many processors a process may use, and what is chosen for them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from toxic_model.machine import usable_processors
from toxic_model.runtime import streams_of

PROCESSORS = 16


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with sixteen processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(PROCESSORS)), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, PROCESSORS),
        ({"proc/self/cgroup": "0::/\n"}, PROCESSORS),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, PROCESSORS),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/gone\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, PROCESSORS),
        (
            {
                "proc/self/cgroup": "1:cpu:/docker/1\n0::/docker/1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "800000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            PROCESSORS,
        ),
    ],
)
def test_a_container_uses_what_its_quota_allows(
    tmp_path: Path, files: Mapping[str, str], expected: int
) -> None:
    """Control groups of both versions limit processors; a part of one counts as one."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert usable_processors(tmp_path) == expected


def test_affinity_limits_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`taskset` and Kubernetes's static policy give a process some of the processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert usable_processors(tmp_path) == 3


def test_streams_grow_with_processors() -> None:
    """Each stream keeps four threads if it can, and there are always two to overlap batch and answer."""
    assert {n: streams_of(n) for n in (1, 2, 4, 8, 16, 64)} == {1: 2, 2: 2, 4: 2, 8: 2, 16: 4, 64: 8}
