"""Rolling reboots of three booted hosts, watched from outside: never two are down at once, also when one stays down.

The role, its order and the reboots are the real ones. What calls for a reboot is lab data: lab.yml asks for another
kernel argument, and boot_loader.sh gives the hosts, which have no kernel of their own, a command line that only a boot
changes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.spec import load
from tests.lab.harness import Lab, Run
from tests.lab.watch import Seen, Watch, together

WEIGHT = 6

ORDER = ["halo2", "halo3", "halo1"]
"""Workers by id, then the controller."""
BACK_SECONDS = 90
"""A reboot takes 2 to 20 s here; a machine that is busier than any seen yet has no part in what is tested."""
BOOT_LOADER = (Path(__file__).parent / "boot_loader.sh").read_text()


@pytest.fixture
def rolling(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """The session's hosts as boxes: `virtual` is left out, they have a boot loader, and a kernel of their own."""
    found = Lab(tmp_path, lab.instance, lab.addresses)
    found.inventory.write_text(lab.inventory.read_text())
    file = yaml.safe_load(lab.yml.read_text())
    del file["virtual"]
    file["links"] = [{"usb4": {end.node: end.interface for end in link.ends}} for link in load(lab.yml).links]
    file["defaults"] |= {"kernel": "own", "ssh": {"key": str(lab.home() / "labs/test/id_ed25519")}}
    found.yml.write_text(yaml.safe_dump(file))
    for host in ORDER:
        lab.ssh(host, BOOT_LOADER)
    yield found
    for host in ORDER:
        lab.ssh(host, f"set -- remove\n{BOOT_LOADER}")


def ask(lab: Lab, **defaults: Any) -> None:
    file = yaml.safe_load(lab.yml.read_text())
    file["defaults"] |= defaults
    lab.yml.write_text(yaml.safe_dump(file))


def run(lab: Lab, *flags: str) -> Run:
    data = ("--data", f"back_seconds={BACK_SECONDS}")
    return lab.pyinfra("-y", "--json", *flags, *data, str(lab.inventory), "tests/lab/kernel_only.py")


def words(lab: Lab, host: str) -> list[str]:
    return shlex.split(lab.ssh(host, "cat /proc/cmdline"))


def one_at_a_time(seen: dict[str, Seen], hosts: list[str]) -> None:
    """These were rebooted once each, in this order, each after the one before it was back; no other was."""
    once = {host: int(host in hosts) for host in seen}
    assert together(seen) == []
    assert {host: len(each.ids) - 1 for host, each in seen.items()} == once
    assert {host: len(each.down) for host, each in seen.items()} == once
    away = [seen[host].down[0] for host in hosts]
    assert away == sorted(away), f"in another order than {hosts}: {away}"


def test_one_at_a_time_workers_first(rolling: Lab) -> None:
    ask(rolling, iommu="off")
    with Watch(rolling) as watch:
        run(rolling).ok()
    one_at_a_time(watch.seen, ORDER)
    assert all("amd_iommu=off" in words(rolling, host) for host in ORDER)
    with Watch(rolling) as watch:
        again = run(rolling).ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0)
    one_at_a_time(watch.seen, [])


def test_one_does_not_come_back(lab: Lab, rolling: Lab) -> None:
    """The rest stays up, and once the box is switched on again the next run ends the work."""
    ask(rolling, iommu="pt")
    rolling.ssh("halo3", "touch /boot/stays-off")
    with Watch(rolling) as watch:
        failed = run(rolling)
    lab.up().ok()
    assert failed.status == 1
    assert f"halo3: not back {BACK_SECONDS} s after its reboot; the nodes after it stay up" in failed.err
    seen = watch.seen
    assert together(seen) == []
    assert {host: (len(each.ids), len(each.down)) for host, each in seen.items()} == {
        "halo1": (1, 0),
        "halo2": (2, 1),
        "halo3": (1, 1),
    }
    assert not seen["halo3"].reached[-1].said
    with Watch(rolling) as watch:
        run(rolling).ok()
    one_at_a_time(watch.seen, ["halo1"])
    assert all("iommu=pt" in words(rolling, host) for host in ORDER)


def test_never_leaves_a_note(rolling: Lab) -> None:
    ask(rolling, iommu="off", reboot="never")
    with Watch(rolling) as watch:
        done = run(rolling).ok()
    one_at_a_time(watch.seen, [])
    note = "pending until it is rebooted: amd_iommu=off; not done here: reboot: never"
    assert done.err.count(note) == len(ORDER)
    ask(rolling, reboot="when-needed")
    with Watch(rolling) as watch:
        run(rolling, "--limit", "halo3").ok()
    one_at_a_time(watch.seen, ["halo3"])
