"""What the virtual lab refuses, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from inventory.spec.language.nodes import Mirror, Virtual
from roles.virtual_host.facts import Disk, Link, Route
from roles.virtual_host.images import image
from roles.virtual_host.names import instance_name
from roles.virtual_host.refusals import refusals, warnings
from tests.unit.test_virtual_host_plan import INSTANCE, ONE, TWO, WANTED, bare, built


def test_missing_tools_only_where_nothing_can_install_them() -> None:
    seen = replace(bare(), missing=("systemd-nspawn", "mmdebstrap"))
    assert refusals(WANTED, seen) == []
    (line,) = refusals(WANTED, replace(seen, package_tool=""))
    assert line.startswith("systemd-nspawn, mmdebstrap: not on this machine")


def test_taken_range_names_the_interface_and_the_other_lab() -> None:
    other = Link("hfother-br", 7, 0, True, 1500, "halofleet other of /src/other", "", ("10.9.0.1/24",))
    seen = replace(bare(), links={**bare().links, "hfother-br": other})
    assert refusals(WANTED, seen) == [
        "management: 10.9.0.0/24 is taken: hfother-br has 10.9.0.1/24 (the lab other of /src/other)"
    ]


def test_taken_by_a_route_or_a_name_server() -> None:
    seen = replace(bare(), routes=(Route("10.8.128.0/17", "tun0"),))
    assert refusals(WANTED, seen) == ["links_range: 10.8.0.0/16 is taken: tun0 has 10.8.128.0/17"]
    seen = replace(bare(), resolver="nameserver 10.9.0.53\n")
    assert refusals(WANTED, seen) == ["management: 10.9.0.0/24 is taken: this machine's name server is 10.9.0.53"]


def test_taken_subnet_of_a_fabric_names_the_other_lab() -> None:
    wanted = replace(WANTED, ranges=(*WANTED.ranges, ("links[3].subnet", IPv4Network("10.7.0.0/24"))))
    other = Link("hfother-br", 7, 0, True, 1500, "halofleet other of /src/other", "", ("10.7.0.1/16",))
    seen = replace(bare(), links={**bare().links, "hfother-br": other})
    assert refusals(wanted, seen) == [
        "links[3].subnet: 10.7.0.0/24 is taken: hfother-br has 10.7.0.1/16 (the lab other of /src/other)"
    ]


def test_disk_is_counted_once_for_one_file_system() -> None:
    mib = 2**20
    (line,) = refusals(WANTED, replace(bare(), state_disk=Disk("/s", 1, mib), image_disk=Disk("/i", 1, mib)))
    assert line.startswith("/s: 1 MiB free, 2424 MiB needed for 2 hosts")
    one, two = refusals(WANTED, replace(bare(), state_disk=Disk("/s", 1, mib), image_disk=Disk("/i", 2, mib)))
    assert "1424 MiB" in one
    assert "1000 MiB" in two
    assert refusals(WANTED, replace(built(), state_disk=Disk("/s", 1, 0), image_disk=Disk("/s", 1, 0))) == []


def test_another_lab_or_base_in_this_instance() -> None:
    (line,) = refusals(WANTED, replace(built(), lab="office"))
    assert line.startswith("instance demo runs the lab 'office', not 'lab'")
    fedora = replace(ONE, image=image("fedora-43", Virtual()))
    (line,) = refusals(replace(WANTED, hosts=(fedora, TWO)), built())
    assert line.startswith("halo1: built from another base system")
    unmade = {node: replace(host, made=False) for node, host in built().hosts.items()}
    assert refusals(replace(WANTED, hosts=(fedora, TWO)), replace(built(), hosts=unmade)) == []


def test_dnf_is_needed_for_a_fedora_from_its_mirror_alone() -> None:
    without = replace(bare(), missing=("dnf",), package_tool="")
    assert refusals(replace(WANTED, hosts=(replace(ONE, image=image("fedora-43", Virtual())),)), without) == []
    mirror = Mirror(mirror="http://mirror.example/fedora", key=Path("/keys/fedora"))
    real = replace(ONE, image=image("fedora-43", Virtual(fedora=mirror)))
    (line,) = refusals(replace(WANTED, hosts=(real,)), without)
    assert line.startswith("dnf: not on this machine")


def test_warnings() -> None:
    assert list(warnings(WANTED, bare())) == []
    assert list(warnings(WANTED, replace(bare(), dropping=(f"ip {INSTANCE.full}",)))) == []
    (line,) = warnings(WANTED, replace(bare(), dropping=("ip filter",)))
    assert f"let packets from {INSTANCE.bridge} pass" in line
    (line,) = warnings(WANTED, replace(bare(), resolver="nameserver 127.0.0.1\n"))
    assert "loopback only" in line


def test_instance_name() -> None:
    assert instance_name({"HALOFLEET_LAB": "ci-7"}, Path("/src/x")) == "ci-7"
    here = instance_name({}, Path("/src/My Lab"))
    assert here.startswith("my-lab-")
    assert here != instance_name({}, Path("/other/My Lab"))
    for bad in ("Bad", "a.b", "-a", "a" * 42, "a/b"):
        with pytest.raises(ValueError, match="HALOFLEET_LAB"):
            instance_name({"HALOFLEET_LAB": bad}, Path("/x"))
