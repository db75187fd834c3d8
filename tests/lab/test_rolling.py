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
from tests.lab.harness import ROOT, Lab, Run
from tests.lab.watch import Sample, Watch, blind, boots, down, together

ORDER = ["halo2", "halo3", "halo1"]
"""Workers by id, then the controller."""
BACK_SECONDS = 25
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
    lab.up().ok()
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


def one_at_a_time(samples: dict[str, list[Sample]], hosts: list[str]) -> None:
    """These went down once each, in this order, each after the one before it ran its new boot; no other did."""
    assert together(samples) == []
    assert {host: len(boots(each)) - 1 for host, each in samples.items()} == {host: int(host in hosts) for host in samples}
    assert {host: len(down(each)) for host, each in samples.items()} == {host: int(host in hosts) for host in samples}
    back = 0.0
    for host in hosts:
        ((gone, _),) = down(samples[host])
        assert gone > back, f"{host} went down before the one before it was back"
        new = boots(samples[host])[1]
        back = next(sample.told for sample in samples[host] if sample.boot == new)


def test_one_at_a_time_workers_first(rolling: Lab) -> None:
    ask(rolling, iommu="off")
    with Watch(rolling) as watch:
        run(rolling).ok()
    import pickle; pickle.dump(watch.samples, open("/tmp/lab/rolling_try/s.pkl","wb"))
    one_at_a_time(watch.samples, ORDER)
    for host in ORDER:
        assert "amd_iommu=off" in words(rolling, host)
    with Watch(rolling) as watch:
        again = run(rolling).ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0)
    one_at_a_time(watch.samples, [])
