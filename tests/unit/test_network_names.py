"""Names of interfaces and of other ends: the block of /etc/hosts, renames in any state of a box, the settings' sums."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import load
from roles.network import hosts, renames, settings
from roles.network.ports import DRIVER, LINK_FILE, Port, Seen, meant, needs_module

ROOT = Path(__file__).parents[2]
NAMES = ((IPv4Address("10.44.0.0"), "halo1-usb4"), (IPv4Address("10.44.0.9"), "halo3-usb4"))
OTHERS = ((IPv4Address("10.44.0.77"), "halo9-usb4"),)
TEXTS = st.text(st.sampled_from("a# \n\r\t\udce9.1"), max_size=40)


@given(TEXTS)
def test_the_block_comes_and_goes_and_leaves_every_byte(text: str) -> None:
    with_block = hosts.changed(text, NAMES)
    assert hosts.changed(with_block, NAMES) == with_block
    assert hosts.changed(with_block, OTHERS) == hosts.block(OTHERS) + text
    assert hosts.changed(with_block, ()) == text
    assert hosts.changed(text, ()) == text


@given(TEXTS.map(lambda text: f"{text}\n"), TEXTS)
def test_a_block_is_changed_where_it_stands(before: str, after: str) -> None:
    text = before + hosts.block(OTHERS) + after
    assert hosts.changed(text, NAMES) == before + hosts.block(NAMES) + after
    assert hosts.changed(text + "\n" + hosts.block(OTHERS), ()) == before + after + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{hosts.BEGIN}\n",
        f"a\n{hosts.END}\nb\n",
        hosts.block(NAMES).replace("\n", "\r\n"),
        f"{hosts.BEGIN}\nx\n{hosts.block(NAMES)}",
        f"{hosts.block(NAMES)}{hosts.END}",
    ],
)
def test_what_is_half_a_block_is_not_guessed(text: str) -> None:
    with pytest.raises(hosts.BrokenBlockError):
        hosts.changed(text, NAMES)


FRONT, BACK, THIRD = "pci-0000:c8:00.5", "pci-0000:c8:00.6", "pci-0000:c9:00.5"
PORTS = (Port("usb4-2", FRONT, "", "halo2"), Port("usb4-3", BACK, "", "halo3"))
NAMED = st.permutations(["usb4-2", "usb4-3", "thunderbolt0", "thunderbolt1"])


@given(NAMED, st.permutations([FRONT, BACK, THIRD]), st.integers(0, 3))
def test_afterwards_every_port_has_its_name_and_no_other_interface_has(
    called: list[str], paths: list[str], count: int
) -> None:
    seen = [
        Seen(name, path, DRIVER, file=LINK_FILE.format(interface=name))
        for name, path in list(zip(called, paths, strict=False))[:count]
    ]
    now = {one.path: one.name for one in seen}
    for command in renames.renames(PORTS, seen):
        if freed := re.match(r"ip link set dev (\S+) down && ip link set dev \1 name thunderbolt%d", command):
            free = next(name for n in range(9) if (name := f"thunderbolt{n}") not in now.values())
            (path,) = [path for path, name in now.items() if name == freed[1]]
            now[path] = free
            continue
        path = command.partition("ID_PATH=")[2].partition(";")[0]
        (port,) = [port for port in PORTS if port.said == path]
        assert port.interface not in now.values(), "udev would not give a name that is taken"
        # What the second try takes down is this interface still, or nothing.
        old = re.search(r"ip link set dev (\S+) down", command)
        assert old is None or now[path] == old[1]
        now[path] = port.interface
    for port in PORTS:
        assert now.get(port.said, port.interface) == port.interface
    assert not {name for path, name in now.items() if path == THIRD} & {port.interface for port in PORTS}


def test_a_port_is_exactly_one() -> None:
    other = Seen("thunderbolt0", f"{FRONT}0", DRIVER)
    no_cable = Seen("eth0", FRONT, "r8169", "aa:bb:cc:dd:ee:01")
    assert meant(PORTS[0], [other, no_cable]) == []
    assert meant(Port("lan", "aa:bb:cc:dd:ee:01", ""), [other, no_cable]) == [no_cable]
    assert meant(Port("usb4-2", "", "", "halo2"), [other, no_cable]) == [other]


@pytest.mark.parametrize(
    ("file", "needs"),
    [
        ("examples/pair-usb4.yml", True),
        ("vagrant.yml", False),
        ("lab.yml", False),
        ("examples/four-over-10gbe.yml", False),
    ],
)
def test_usb4s_module_is_for_those_that_have_usb4(file: str, needs: bool) -> None:
    """Vagrant's machines have other cards under names of their own, and kernels without the module."""
    lab = load(ROOT / "inventory" / file)
    assert {needs_module(lab, name) for name in lab.nodes} == {needs}


def test_the_figures_of_the_settings_are_what_the_kernels_documentation_adds_up_to() -> None:
    def seconds(retries: int) -> float:
        """N repetitions, ended by the N+1st wait; 0.2 s, doubled, 120 s at most."""
        return sum(min(0.2 * 2.0**wait, 120.0) for wait in range(retries + 1))

    entry = settings.data()["settings"]["net.ipv4.tcp_retries2"]
    assert round(seconds(entry["value"]), 1) == 102.2
    assert round(seconds(15), 1) == 924.6
    assert round(seconds(5), 1) == 12.6
    for figure in ("102.2", "924.6", "12.6"):
        assert figure in entry["note"]


def test_every_setting_has_a_source_and_a_reason() -> None:
    for entry in settings.data()["settings"].values():
        assert entry["sources"]
        assert entry["note"]
    assert set(settings.wanted()) == set(re.findall(r"^(\S+) = ", settings.file().content, re.M))
