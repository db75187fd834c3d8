"""Hosts whose network is NetworkManager's and whose firewall is firewalld or ufw, beside one of networkd's: a ring, a
chain through each of the firewalls, and hosts that change their programs. Debian's packages of all of them, for real.

Nothing here runs udev: a link that comes back gets its forwarding from udev on a real host (99-systemd.rules), so that
is not looked at after a replug.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from paramiko import SSHException

from inventory.spec import load
from tests.lab.harness import ROOT, Lab, make_lab
from tests.lab.scan import listen, opens, scan
from tests.lab.test_topologies import CHAIN, RING, every_address_answers, reshape, switch

WEIGHT = 5
RPC, OTHER = 50052, 50099
BUDGET = 20

# Fedora's own, of the package firewalld (src.fedoraproject.org/rpms/firewalld, FedoraWorkstation.xml).
WORKSTATION = """\
<?xml version="1.0" encoding="utf-8"?>
<zone>
  <short>Fedora Workstation</short>
  <service name="dhcpv6-client"/>
  <service name="ssh"/>
  <service name="samba-client"/>
  <port protocol="udp" port="1025-65535"/>
  <port protocol="tcp" port="1025-65535"/>
  <forward/>
</zone>
"""

INSTALL = "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq --no-install-recommends "
TO_NETWORK_MANAGER = """\
set -e
cat >/etc/NetworkManager/system-connections/management.nmconnection <<END
[connection]
id=management
type=ethernet
interface-name=host0
[ipv4]
method=manual
address1=$(ip -4 -o address show host0 | awk '{print $4}'),$(ip -4 route show default | cut -d' ' -f3)
[ipv6]
method=link-local
END
chmod 600 /etc/NetworkManager/system-connections/management.nmconnection
systemctl enable --quiet --now NetworkManager
nmcli connection reload
nmcli --wait 20 connection up management >/dev/null
systemctl disable --quiet --now systemd-networkd.socket systemd-networkd.service
"""
TO_NETWORKD = """\
set -e
systemctl disable --quiet --now NetworkManager
systemctl enable --quiet --now systemd-networkd
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    """halo1: networkd, ufw. halo2: NetworkManager, firewalld as on Fedora Workstation. halo3: NetworkManager, firewalld
    with a zone that opens nothing but SSH."""
    found = make_lab(
        tmp_path_factory.mktemp("managers"), "managers-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    )
    found.down().ok()
    found.up().ok()
    packages = {"halo1": "ufw iptables", "halo2": "network-manager firewalld", "halo3": "network-manager firewalld"}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: found.ssh(node, INSTALL + packages[node]), packages))
    found.ssh("halo1", "ufw allow ssh && ufw --force enable")
    found.ssh("halo2", f"cat >/usr/lib/firewalld/zones/FedoraWorkstation.xml <<'END'\n{WORKSTATION}END\n")
    found.ssh("halo2", "firewall-cmd --quiet --reload && firewall-cmd --quiet --set-default-zone=FedoraWorkstation")
    for node in ("halo2", "halo3"):
        found.ssh(node, TO_NETWORK_MANAGER)
    yield found
    found.down().ok()


@contextmanager
def listeners(lab: Lab) -> Iterator[None]:
    """In the place of the servers. The RPC server itself is not knocked at: it serves one connection at a time, and two
    that wait are all that it keeps."""
    workers = [node for node in lab.addresses if node != "halo1"]
    lab.ssh("halo1", "systemctl stop halofleet-server-chat")
    for node in workers:
        lab.ssh(node, "systemctl stop halofleet-rpc-server")
    for node in lab.addresses:
        listen(lab, node, (RPC, OTHER))
    yield
    for node in lab.addresses:
        lab.ssh(node, "systemctl stop listen")
    for node in workers:  # the server gives up on a worker that does not listen yet
        listens = f"ss -ltnH | grep -q ':{RPC} '"
        lab.ssh(node, f"systemctl start halofleet-rpc-server; until {listens}; do sleep 0.2; done")
    health = f"curl -fs http://{lab.addresses['halo1']}:8080/health >/dev/null"
    wait = f"for try in $(seq 150); do if {health}; then exit 0; fi; sleep 0.5; done; "
    wait += "journalctl -n 30 -u halofleet-server-chat >&2; exit 1"
    lab.ssh("halo1", f"systemctl start halofleet-server-chat; {wait}")


def only_the_planned(lab: Lab) -> None:
    """The RPC ports are open to the controller over the planned way, and to nobody else; the scan sees what is open."""
    doors = {("halo1", way.into.node, str(way.destination), RPC) for way in load(lab.yml).ways("chat")}
    with listeners(lab):
        found = scan(lab, (RPC, OTHER))
    assert {entry for entry in found if entry[3] == RPC} == doors
    assert ("here", "halo2", lab.addresses["halo2"], OTHER) in found, "halo2 lets everybody in at the other port"
    assert any(entry[1] == "halo2" and entry[3] == OTHER and "%" in entry[2] for entry in found), "over IPv6 too"
    assert not any(entry[1] != "halo2" and entry[3] == OTHER for entry in found), "the others nobody"


def _door(lab: Lab, worker: str) -> str:
    (way,) = (way for way in load(lab.yml).ways("chat") if way.into.node == worker)
    return f"timeout 3 bash -c '</dev/tcp/{way.destination}/{RPC}' 2>/dev/null && echo open || echo closed"


def settled(lab: Lab, trace: Path | None = None) -> None:
    again = lab.cluster("--json", trace=trace).ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0), again.out


def answers(lab: Lab) -> None:
    url = f"http://{lab.addresses['halo1']}:8080/v1/chat/completions"
    headers = {"Authorization": f"Bearer {(lab.home() / 'labs/test/chat.key').read_text().strip()}"}
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    reply = requests.post(url, json=body, headers=headers, timeout=60)
    assert reply.status_code == 200
    assert reply.json()["usage"]["completion_tokens"] >= 1


def comes_back(lab: Lab) -> None:
    """Every planned address answers again, without pyinfra."""
    deadline = time.monotonic() + 180
    while True:
        try:
            every_address_answers(lab, load(lab.yml))
        except (AssertionError, OSError, EOFError, SSHException):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def reboot(lab: Lab, node: str) -> None:
    lab.ssh(node, "systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
    lab.wait_until_gone(node)


def test_a_ring_of_both_managers(mixed: Lab, tmp_path: Path) -> None:
    assert mixed.ssh("halo2", "systemctl is-active systemd-networkd || true").strip() == "inactive"
    inventory = reshape(mixed, RING, nodes=3)
    assert every_address_answers(mixed, inventory) == 6
    answers(mixed)
    before = mixed.fingerprint()
    settled(mixed, tmp_path / "trace")
    assert mixed.fingerprint() == before
    for node in ("halo2", "halo3"):
        modes = mixed.ssh(node, "stat -c '%a %U %n' /etc/NetworkManager/system-connections/halofleet-*").splitlines()
        assert len(modes) == 2
        assert all(line.startswith("600 root ") for line in modes)
        assert "halofleet-usb4" not in mixed.ssh(node, "ls /etc/systemd/network")
        states = mixed.ssh(node, "LC_ALL=C nmcli -t -f DEVICE,STATE,CONNECTION device").splitlines()
        assert "host0:connected:management" in states
        assert len([line for line in states if ":connected:halofleet-usb4-" in line]) == 2
    assert "NetworkManager" not in mixed.ssh("halo1", "ls /etc")


def test_closed_to_everybody_else(mixed: Lab) -> None:
    only_the_planned(mixed)
    assert not opens(mixed.addresses["halo1"], OTHER), "ufw denies what nobody has allowed"
    assert opens(mixed.addresses["halo1"], 8080), "and the API is allowed"


def test_what_firewalld_does_leaves_it_as_it_is(mixed: Lab) -> None:
    for command in ("firewall-cmd --quiet --reload", "systemctl restart firewalld"):
        for node in ("halo2", "halo3"):
            mixed.ssh(node, command)
        only_the_planned(mixed)
    settled(mixed)
    zones = mixed.ssh("halo2", "ls /etc/firewalld/zones; firewall-cmd --list-all-zones")
    assert "halofleet" not in zones, "the zones are the user's"
    mixed.ssh("halo1", "ufw reload")
    only_the_planned(mixed)


def test_what_is_open_for_now_only_is_not_closed_by_us(mixed: Lab) -> None:
    """SSH might be among it."""
    mixed.ssh("halo3", "firewall-cmd --quiet --zone=public --add-port=8022/tcp; rm /etc/firewalld/policies/halofleet-*")
    run = mixed.cluster()
    assert run.status == 1
    assert "public ports: 8022/tcp" in run.err
    assert "firewall-cmd --runtime-to-permanent" in run.err
    mixed.ssh("halo3", "firewall-cmd --quiet --zone=public --remove-port=8022/tcp")
    mixed.cluster().ok()
    settled(mixed)


def test_a_node_that_reboots_has_its_links_and_its_firewall_back(mixed: Lab) -> None:
    for node in ("halo2", "halo3"):
        reboot(mixed, node)
    comes_back(mixed)
    mixed.cluster().ok()  # the controller's connections are of before the reboot
    only_the_planned(mixed)
    settled(mixed)


def test_a_link_that_was_taken_away_and_made_anew_is_back(mixed: Lab) -> None:
    before = mixed.ssh("halo2", "cat /sys/class/net/usb4-3/address 2>/dev/null || ip -br link show usb4-3")
    mixed.ssh("halo2", "ip link delete usb4-3")
    assert "usb4-2" not in mixed.ssh("halo3", "ip -br link")
    mixed.up().ok()
    assert mixed.ssh("halo2", "ip -br link show usb4-3") != before
    comes_back(mixed)
    settled(mixed)


def test_a_chain_through_networkmanager_and_firewalld(mixed: Lab) -> None:
    inventory = reshape(mixed, CHAIN, nodes=3)
    assert every_address_answers(mixed, inventory) == 4 + 4
    only_the_planned(mixed)
    answers(mixed)
    reboot(mixed, "halo2")
    comes_back(mixed)
    assert mixed.ssh("halo3", "ip -br -4 address show lo").count("/32") == 1


def test_a_chain_through_ufw(mixed: Lab) -> None:
    """The middle changes its firewall: nothing of ours stays with firewalld."""
    mixed.ssh("halo2", INSTALL + "ufw iptables; systemctl disable --quiet --now firewalld; ufw allow ssh")
    mixed.ssh("halo2", f"ufw allow {OTHER}/tcp; ufw --force enable")
    assert mixed.ssh("halo1", _door(mixed, "halo3")).strip() == "closed", "ufw passes nothing on by itself"
    mixed.cluster().ok()
    settled(mixed)
    every_address_answers(mixed, load(mixed.yml))
    only_the_planned(mixed)
    assert mixed.ssh("halo2", "ls /etc/firewalld/policies").split() == []
    assert mixed.ssh("halo2", "grep -c 'route:allow.*comment=' /etc/ufw/user.rules").strip() == "2"


def test_a_firewall_that_does_not_run_is_named_before_any_change(mixed: Lab) -> None:
    mixed.ssh("halo3", "systemctl stop firewalld")
    run = mixed.cluster()
    assert run.status == 2
    assert "firewalld: inactive, enabled" in run.err
    mixed.ssh("halo3", "systemctl start firewalld")
    settled(mixed)


def test_a_host_that_changes_its_manager_keeps_nothing_of_the_other(mixed: Lab) -> None:
    mixed.ssh("halo3", TO_NETWORKD)
    inventory = reshape(mixed, RING, nodes=3)
    assert every_address_answers(mixed, inventory) == 6
    left = mixed.ssh("halo3", "ls -R /etc/NetworkManager /etc/sysctl.d").split()
    assert [name for name in left if "halofleet" in name] == ["90-halofleet-tcp.conf"]
    assert mixed.ssh("halo3", "ls /etc/systemd/network").count("05-halofleet-usb4-") == 2
    rules = mixed.ssh("halo2", "cat /etc/ufw/user.rules")
    assert rules.count("comment=") == 2, "for the RPC port and for what measures the link; a ring passes nothing on"
    only_the_planned(mixed)


def test_a_switch_of_both_managers(mixed: Lab) -> None:
    inventory = reshape(mixed, switch("halo1", "halo2", "halo3"), nodes=3)
    assert every_address_answers(mixed, inventory) == 6
    assert mixed.ssh("halo2", "nmcli -g GENERAL.CONNECTION device show ethernet").strip() == "halofleet-ethernet"
    assert mixed.ssh("halo1", "ls /etc/systemd/network").count("05-halofleet-ethernet.network") == 1
    only_the_planned(mixed)
