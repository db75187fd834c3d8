"""A change that cuts SSH, made on purpose, on a host of networkd and on one of NetworkManager and firewalld: each puts
back by itself what was there, to the byte, whether the control machine is still there or not."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from inventory.spec import load
from tests.lab.harness import ROOT, Lab, Run, make_lab
from tests.lab.test_topologies import every_address_answers
from tests.thorough import some

WEIGHT = 10
VERB = "tests/lab/links_only.py"
SYSTEMS = {"halo1": "debian-13", "halo2": "fedora-43"}
SECONDS = {"firewall": 60, "network": 80}
"""After which the node puts back: 40 for an answer, and 20 for each link and for the firewall. The change that cuts has
two links, the second of them on the interface of SSH."""
SLACK = 30
STATE = """\
find /etc /opt -xdev \\( -type f -o -type l \\) ! -name .updated -printf '%p %y %m %u %g %l %T@\\n' | sort
find /etc /opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum
nft -s list table inet halofleet
ip -o -4 address | sed 's/\\\\.*//'
ip -4 route show | sed 's/ metric [0-9]*//' | sort | uniq -c
grep . /proc/sys/net/ipv4/conf/*/forwarding
systemctl is-active NetworkManager systemd-networkd firewalld halofleet-firewall
systemctl is-enabled NetworkManager systemd-networkd firewalld halofleet-firewall
firewall-cmd --list-all-policies 2>/dev/null
cat /run/halofleet-firewall.loaded
true
"""
LEFT = (
    "systemctl list-units --all --plain --no-legend 'halofleet-put-back-*'; "
    "ls /var/lib/halofleet/put-back 2>/dev/null || true"
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    """Both have their links and their firewall."""
    found = make_lab(tmp_path_factory.mktemp("cut"), "cut-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    file = yaml.safe_load(found.yml.read_text())
    file["nodes"] = {name: file["nodes"][name] | {"os": system} for name, system in SYSTEMS.items()}
    file["links"] = [{"usb4": list(SYSTEMS)}]
    file["serves"]["chat"]["workers"] = ["halo2"]
    found.yml.write_text(yaml.safe_dump(file, sort_keys=False))
    del found.addresses["halo3"]
    found.down().ok()
    found.up().ok()
    yield found
    found.down().ok()


def links(lab: Lab, *flags: str, trace: Path | None = None) -> Run:
    return lab.pyinfra("-y", *flags, str(lab.inventory), VERB, trace=trace)


def asked_otherwise(lab: Lab, what: str) -> None:
    """The role has something to change, beside what cuts."""
    file = yaml.safe_load(lab.yml.read_text())
    if what == "firewall":
        serve = file["serves"]["chat"]
        serve["rpc_port"] = serve.get("rpc_port", 50052) + 1
    else:
        link = file["links"][0]
        link["mtu"] = 9000 if link.get("mtu") != 9000 else 1500
    lab.yml.write_text(yaml.safe_dump(file, sort_keys=False))


def state(lab: Lab) -> dict[str, list[str]]:
    return {node: lab.ssh(node, STATE).splitlines() for node in lab.addresses}


def opens(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), 2) as caller:
            return caller.recv(4) == b"SSH-"
    except OSError:
        return False


def gone(lab: Lab) -> float:
    """Waits until no node lets anybody new in."""
    deadline = time.monotonic() + 90
    while any(map(opens, lab.addresses.values())):
        assert time.monotonic() < deadline, "SSH was not cut"
        time.sleep(0.2)
    return time.monotonic()


def back(lab: Lab, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(opens, lab.addresses.values())):
        assert time.monotonic() < deadline, f"SSH is not back after {seconds} s"
        time.sleep(0.5)


def differing(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    return [f"{node}: {line}" for node in before for line in sorted({*before[node]} ^ {*after[node]})]


def test_a_change_is_confirmed_and_leaves_no_timer(pair: Lab, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    links(pair, trace=trace).ok()
    text = trace.read_text()
    for node in SYSTEMS:
        for name in ("network", "firewall"):
            for word in ("arm", "confirm"):
                sent = [line for line in text.splitlines() if f'"{node}"' in line and f"{word}-{name}" in line]
                assert len(sent) == 1, (node, word, name)
        assert pair.ssh(node, LEFT).split() == []
    assert every_address_answers(pair, load(pair.yml)) == 2
    before = state(pair)
    again = links(pair, "--json", trace=trace).ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0)
    assert not re.search("arm-|confirm-", trace.read_text()), "a second run costs nothing"
    assert differing(before, state(pair)) == []


@pytest.mark.parametrize("cut", some(["network", "firewall"]))
def test_a_change_that_cuts_ssh_is_put_back(pair: Lab, cut: str) -> None:
    links(pair).ok()
    before = state(pair)
    asked_otherwise(pair, cut)
    run = pair.start("-y", "--data", f"cut={cut}", str(pair.inventory), VERB)
    since = gone(pair)
    back(pair, SECONDS[cut] + SLACK)
    print(f"{cut}: away for {time.monotonic() - since:.0f} s")
    said, _ = run.communicate(timeout=300)
    print(said)
    assert run.returncode == 1, said
    what = {"firewall": "the firewall: ", "network": "the links: "}[cut]
    for node in SYSTEMS:
        assert f"[{node}]" in said
        assert f"journalctl -u halofleet-put-back-{cut} on {node} tells" in said
        assert "put back: /" in pair.ssh(node, f"journalctl --no-pager -o cat -u halofleet-put-back-{cut}")
    assert what in said
    assert differing(before, state(pair)) == []
    links(pair).ok()
    settled = links(pair, "--json").ok()
    assert settled.totals["success"] == 0


@pytest.mark.parametrize("cut", some(["firewall", "network"]))
def test_when_the_control_machine_is_killed_the_old_state_comes_back(pair: Lab, cut: str) -> None:
    links(pair).ok()
    before = state(pair)
    run = pair.start("-y", "--data", f"cut={cut}", str(pair.inventory), VERB)
    gone(pair)
    run.kill()
    run.wait()
    back(pair, SECONDS[cut] + SLACK)
    for node in SYSTEMS:  # it may still be at its last lines
        pair.ssh(node, f"flock /run/halofleet-put-back-{cut}.lock true")
    assert differing(before, state(pair)) == []
    asked_otherwise(pair, cut)
    links(pair).ok()
    for node in SYSTEMS:
        assert pair.ssh(node, LEFT).split() == []
