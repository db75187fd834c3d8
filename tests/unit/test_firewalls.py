"""What the host's own firewall is asked to open: firewalld's policies and ufw's rules, pure.

Transcripts: firewalld 2.3.1 and ufw 0.36.2 of Debian 13.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from roles.firewall import firewalld, ufw
from roles.firewall.facts import Firewalls, FirewallStates
from roles.firewall.operations import _policies
from roles.firewall.plan import plan
from tests.unit.test_roles_plans import lab

ANSWER = (
    '{"type":"a{sv}","data":[{"short":{"type":"s","data":"halofleet-in"},"target":{"type":"s","data":"CONTINUE"},'
    '"masquerade":{"type":"b","data":false},"rich_rules":{"type":"as","data":["rule family=\\"ipv4\\" source '
    'address=\\"10.44.0.0\\" destination address=\\"10.44.0.1\\" port port=\\"50052\\" protocol=\\"tcp\\" accept"]},'
    '"priority":{"type":"i","data":-100},"ingress_zones":{"type":"as","data":["ANY"]},"egress_zones":{"type":"as",'
    '"data":["HOST"]}}]}'
)
TUPLES = (
    "allow tcp 50052 10.44.0.1 any 10.44.0.0 in_thunderbolt0 comment=68616c6f666c656574",
    "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in",
)
ROUTE = "route:allow any any 10.44.255.2 any 10.44.255.1 in_usb4-1!out_usb4-2"
POLICY = """\
<?xml version="1.0" encoding="utf-8"?>
<policy priority="-100" target="CONTINUE">
  <short>halofleet-in</short>
  <description>What halofleet needs open; what it needs closed is closed by the nftables table inet halofleet.</description>
  <ingress-zone name="ANY"/>
  <egress-zone name="HOST"/>
  <rule family="ipv4">
    <source address="10.44.0.0"/>
    <destination address="10.44.0.1"/>
    <port port="50052" protocol="tcp"/>
    <accept/>
  </rule>
  <rule family="ipv4">
    <source address="10.44.0.0"/>
    <destination address="10.44.0.1"/>
    <port port="15201" protocol="tcp"/>
    <accept/>
  </rule>
</policy>
"""  # noqa: E501


def test_a_workers_policy(tmp_path: Path) -> None:
    (file,) = firewalld.policies(plan(lab(tmp_path), "halo2"))
    assert (file.path, file.mode) == ("/etc/firewalld/policies/halofleet-in.xml", "644")
    assert file.content == POLICY


def test_what_the_file_says_is_what_is_looked_for(tmp_path: Path) -> None:
    """The rules of every node of a chain: as many in the XML as in the words that firewalld prints."""
    chain = lab(tmp_path, links__2=None, firewall={"api": ["192.168.1.0/24", "10.8.0.7/32"]})
    for node, counts in {"halo1": {"halofleet-in": 2}, "halo2": {"halofleet-in": 2, "halofleet-pass": 2}}.items():
        wanted = plan(chain, node)
        rules = firewalld.rules(wanted)
        assert {name: len(lines) for name, lines in rules.items() if lines} == counts
        for file in firewalld.policies(wanted):
            root = ElementTree.fromstring(file.content.encode())  # noqa: S314  # ours
            found = [_words(rule) for rule in root.findall("rule")]
            assert found == list(rules[Path(file.path).stem])
    assert 'source address="10.8.0.7/32" port port="8080"' in " ".join(
        rules["halofleet-in"] + firewalld.rules(plan(chain, "halo1"))["halofleet-in"]
    )


def _words(rule: ElementTree.Element) -> str:
    words = [f'rule family="{rule.get("family")}"']
    for part in rule:
        words.append(" ".join([part.tag, *(f'{key}="{value}"' for key, value in part.items())]))
    return " ".join(words)


def test_firewalls_of_a_host() -> None:
    said = [
        "loaded",
        "firewalld",
        "file halofleet-in f6e4fc96",
        f"policy halofleet-in {ANSWER}",
        "policy halofleet-pass ",
    ]
    found = FirewallStates().process([*said, "ufw", *(f"tuple {line}" for line in TUPLES)])
    assert found == Firewalls(
        loaded=True,
        firewalld=True,
        files={"halofleet-in": "f6e4fc96"},
        runs={
            "halofleet-in": frozenset(
                {
                    'rule family="ipv4" source address="10.44.0.0" destination address="10.44.0.1" '
                    'port port="50052" protocol="tcp" accept'
                }
            ),
            "halofleet-pass": frozenset(),
        },
        ufw=True,
        tuples=frozenset(TUPLES),
    )
    assert FirewallStates().process([]) == Firewalls()


def test_firewalld_is_told_only_where_it_differs(tmp_path: Path) -> None:
    wanted = plan(lab(tmp_path), "halo2")
    (file,) = firewalld.policies(wanted)
    runs = {name: frozenset(lines) for name, lines in firewalld.rules(wanted).items()}
    right = Firewalls(loaded=True, firewalld=True, files={"halofleet-in": file.sha256}, runs=runs)

    def told(seen: Firewalls) -> list[str]:
        return [str(command).split(" ")[0] for command in _policies(wanted, seen)]

    assert told(right) == []
    assert len(told(Firewalls(firewalld=True, files={}, runs=runs))) == 3, "it runs what is not on disk"
    assert len(told(Firewalls(firewalld=True, files=right.files, runs={}))) == 1, "it was not told"
    old = right.files | {"halofleet-pass": "0"}
    assert len(told(Firewalls(firewalld=True, files=old, runs=runs))) == 2, "a passage of an earlier topology"
    assert told(Firewalls(firewalld=False, files=right.files)) == ["rm"], "it was switched off"
    assert told(Firewalls(firewalld=False)) == []


def test_rules_of_ufw(tmp_path: Path) -> None:
    chain = lab(tmp_path, links__2=None, firewall={"api": ["192.168.1.0/24", "10.8.0.7/32"]})
    assert [rule.line for rule in ufw.rules(plan(chain, "halo1"))] == [
        "allow tcp 8080 0.0.0.0/0 any 192.168.1.0/24 in",
        "allow tcp 8080 0.0.0.0/0 any 10.8.0.7 in",
    ]
    assert [rule.line for rule in ufw.rules(plan(chain, "halo2"))] == [
        "allow tcp 50052 10.44.0.1 any 10.44.0.0 in_thunderbolt0",
        "allow tcp 15201 10.44.0.1 any 10.44.0.0 in_thunderbolt0",
        "route:allow any any 10.44.255.254 any 10.44.255.252 in_thunderbolt1!out_thunderbolt0",
        "route:allow any any 10.44.255.252 any 10.44.255.254 in_thunderbolt0!out_thunderbolt1",
    ]


def commands(*rules: ufw.Rule, seen: tuple[str, ...]) -> list[str]:
    return [shlex.join(words) for words in ufw.changes(rules, frozenset(seen))]


def test_what_ufw_is_told() -> None:
    door = ufw.Rule("10.44.0.0", "10.44.0.1", "50052", into="thunderbolt0")
    assert ufw.Rule.parse(door.line) == door
    assert commands(door, seen=TUPLES) == []
    assert commands(door, seen=TUPLES[1:]) == [
        "ufw prepend allow in on thunderbolt0 proto tcp from 10.44.0.0 to 10.44.0.1 port 50052 comment halofleet"
    ]
    for own in (door.line, f"{door.line} comment=6d696e65"):
        assert commands(door, seen=(own,)) == [], "the user has the same rule"
    assert commands(seen=TUPLES) == [
        "ufw delete allow in on thunderbolt0 proto tcp from 10.44.0.0 to 10.44.0.1 port 50052"
    ]
    assert commands(seen=(door.line, f"{door.line} comment=6d696e65")) == [], "what is not ours stays"
    passage = ufw.Rule.parse(ROUTE)
    assert commands(passage, seen=()) == [
        "ufw route prepend allow in on usb4-1 out on usb4-2 from 10.44.255.1 to 10.44.255.2 comment halofleet"
    ]
    assert commands(seen=(ROUTE + ufw.MARK,)) == [
        "ufw route delete allow in on usb4-1 out on usb4-2 from 10.44.255.1 to 10.44.255.2"
    ]


@given(
    st.builds(
        ufw.Rule,
        st.sampled_from(["10.44.0.0", "192.168.1.0/24", "0.0.0.0/0"]),
        st.sampled_from(["10.44.0.1", "0.0.0.0/0"]),
        st.sampled_from(["", "50052"]),
        st.sampled_from(["", "usb4-1", "in_out"]),
        st.sampled_from(["", "usb4-2", "enp97s0"]),
    )
)
def test_a_rule_of_ours_is_understood_again(rule: ufw.Rule) -> None:
    assert ufw.Rule.parse(rule.line) == rule


ZONES = """\
public (default, active)
  target: default
  ingress-priority: 0
  interfaces: host0 usb4-1
  sources:{sources}
  services: dhcpv6-client ssh
  ports: 8022/tcp
  rich rules:{rules}

work
  services: ssh
  ports:
"""


def test_what_a_reload_would_close(tmp_path: Path) -> None:
    """firewall-cmd is replaced by files; the rest of the command is what a node runs."""
    program = tmp_path / "firewall-cmd"
    program.write_text(f'#!/bin/sh\ncase "$1" in --permanent) cat {tmp_path}/kept ;; *) cat {tmp_path}/now ;; esac\n')
    program.chmod(0o755)

    def saved(now: str, kept: str) -> tuple[int, str]:
        (tmp_path / "now").write_text(now)
        (tmp_path / "kept").write_text(kept)
        run = subprocess.run(
            ["sh", "-c", firewalld.SAVED],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, run.stderr

    same = ZONES.format(sources="", rules="")
    kept = same.replace(" (default, active)", "").replace("host0 usb4-1", "")
    assert saved(same, kept) == (0, ""), "NetworkManager puts interfaces into zones as it goes"
    status, words = saved(same, kept.replace("8022/tcp", ""))
    assert status == 1
    assert "not in them: public ports: 8022/tcp. Keep it" in words
    assert saved(same.replace("dhcpv6-client", ""), kept)[0] == 0, "what is closed for now only may open again"
    assert "public sources: 10.0.0.0/8" in saved(ZONES.format(sources=" 10.0.0.0/8", rules=""), kept)[1]
    rule = '\n\trule family="ipv4" source address="10.9.9.9" {}'
    assert saved(ZONES.format(sources="", rules=rule.format("reject")), kept)[0] == 0
    assert saved(ZONES.format(sources="", rules=rule.format("accept")), kept)[0] == 1
