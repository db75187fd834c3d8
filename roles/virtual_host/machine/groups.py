"""Control groups: where a virtual host's processes are held together. Standard library only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def unified() -> Path | None:
    """Where control groups of version 2 are mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2" and fields[1].startswith("/sys/fs/cgroup"):
            return Path(fields[1])
    return None


def own(name: str) -> list[Path]:
    """The groups that hold this host's processes: one in version 2, one in systemd's of version 1, where they exist.

    With a name they are that; without one, this process is a unit and they are the unit's own.
    """
    mounted: dict[str, Path] = {}
    if (top := unified()) is not None:
        mounted[""] = top
    if Path("/sys/fs/cgroup/systemd").is_dir():
        mounted["name=systemd"] = Path("/sys/fs/cgroup/systemd")
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in mounted:
            found.append(mounted[controllers] / (name or path.strip("/")))
    return found


def enter(group: Path) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))


def remove(group: Path) -> None:
    """Remove a control group with all below it; one that is in use stays."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def instance(full: str) -> list[str]:
    """Where this instance has control groups of its own: a machine with version 2 only mounts it at the top."""
    hierarchies = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))
    return [str(top / full) for top in hierarchies if (top / full).is_dir()]
