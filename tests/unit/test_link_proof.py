"""What the links were seen to be, and what is said about it. Pure.

Transcripts: templates/link_proof/look.sh and iperf3 -J between two network namespaces (Debian 12: iputils 20221126,
iproute2 6.1, iperf3 3.12), shortened where nothing is read.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.spec import Lab
from roles.lib.finding import Finding
from roles.link_proof import record, speed
from roles.link_proof.eyes import Eyes
from roles.link_proof.facts import Answer, Claim, Claims, Port, Sight, Sights
from roles.link_proof.judge import judge
from roles.link_proof.operations import narrow_now, stops, strangers
from roles.link_proof.plan import Pair, Peer, Proof, pairs, plan, rounds
from tests.unit.test_roles_plans import FABRIC, lab

SAID = """\
security domain0 user
usb4 l1 rx_speed 20.0 Gb/s
usb4 l1 rx_lanes 2
port l1 10000
proven 0123456789abcdef l1 9000 9.4
proven nonsense
route l1 10.99.0.1 [{"dst":"10.99.0.1","from":"10.99.0.0","dev":"l1","flags":[],"uid":0,"cache":[]}]
route l1 10.99.0.3 [{"dst":"10.99.0.3","from":"10.99.0.0","dev":"host0","flags":[],"uid":0,"cache":[]}]
mac l1 10.99.0.1 9E:EC:C7:0A:F6:33
claimed l1 10.99.0.0 DE:AC:A8:79:49:C5
times l1 10.99.0.1 0.035 0.054 0.061 0.043
heard l1 fe80::9cec:c7ff:fe0a:f633
heard l1 fe80::9cec:c7ff:fe0a:f633
passes l1 10.99.0.1 9000
arrived l1 3
addresses [{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"address":"00:00:00:00:00:00",\
"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"}]},{},\
{"ifindex":2,"ifname":"l1","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":9000,"operstate":"UP",\
"link_type":"ether","address":"9e:e7:f4:d3:aa:2f","addr_info":[{"family":"inet","local":"10.99.0.0","prefixlen":31,\
"scope":"global","label":"l1"},{"family":"inet6","local":"fe80::9ce7:f4ff:fed3:aa2f","prefixlen":64,"scope":"link"}]}]
""".splitlines()

SPEED = (
    '{"start":{"version":"iperf 3.12"},"intervals":[],"end":{"sum_sent":{"bits_per_second":5317750534.554544,'
    '"retransmits":112,"sender":true},"sum_received":{"start":0,"end":1.001937,"bytes":661389312,'
    '"bits_per_second":5280885420.93964,"sender":true}}}'
)
REFUSED = (
    '{"start":{"connected":[],"version":"iperf 3.12"},"intervals":[],"end":{},'
    '"error":"unable to connect to server: Connection refused"}'
)


def test_what_a_node_says_of_its_links() -> None:
    seen = Sights().process(SAID)
    assert seen.ports["l1"] == Port(
        mac="9e:e7:f4:d3:aa:2f",
        mtu=9000,
        up=True,
        carrier=True,
        addresses=frozenset({"10.99.0.0"}),
        local=frozenset({"fe80::9ce7:f4ff:fed3:aa2f"}),
    )
    assert seen.answers["l1", "10.99.0.1"] == Answer(
        "l1", (0.035, 0.054, 0.061, 0.043), 9000, frozenset({"9e:ec:c7:0a:f6:33"})
    )
    assert seen.answers["l1", "10.99.0.3"] == Answer("host0")
    assert seen.claimed == {("l1", "10.99.0.0"): frozenset({"de:ac:a8:79:49:c5"})}
    assert seen.heard == {"l1": frozenset({"fe80::9cec:c7ff:fe0a:f633"})}
    assert (seen.arrived, seen.port, seen.security) == ({"l1": 3}, {"l1": 10000}, {"domain0": "user"})
    assert seen.usb4 == {"l1": {"rx_speed": "20.0 Gb/s", "rx_lanes": "2"}}
    assert seen.proven == (record.Proven("0123456789abcdef", "l1", 9000, 9.4),)


def test_who_has_an_address_before_it_is_given() -> None:
    said = ["mac 9e:e7:f4:d3:aa:2f", "taken enp97s0 10.45.0.1 DE:AC:A8:79:49:C5"]
    claim = Claims().process(said)
    assert claim == Claim(frozenset({"9e:e7:f4:d3:aa:2f"}), (("enp97s0", "10.45.0.1", "de:ac:a8:79:49:c5"),))
    (line,) = strangers({"halo1": claim, "halo2": Claim()})
    assert line.startswith("halo1: address in use: 10.45.0.1 is on the wire of enp97s0 already: de:ac:a8:79:49:c5")
    assert strangers({"halo1": claim, "halo2": Claim(frozenset({"de:ac:a8:79:49:c5"}))}) == [], "a node gives it up"


# --- a healthy lab, and what is done to it


def mac(node: str, interface: str) -> str:
    return f"02:00:00:00:0{node[-1]}:{sum(map(ord, interface)) % 256:02x}"


def local(node: str, interface: str) -> str:
    return f"fe80::{node[-1]}:{sum(map(ord, interface)):x}"


def healthy(whole: Lab) -> Eyes:
    proofs = {name: plan(whole, name) for name in whole.nodes}
    return Eyes(proofs, {name: _healthy(proof) for name, proof in proofs.items()}, {})


def _healthy(proof: Proof) -> Sight:
    ports = {
        wire.interface: Port(
            mac(proof.node, wire.interface),
            wire.mtu,
            True,
            True,
            frozenset({wire.address}),
            frozenset({local(proof.node, wire.interface)}),
        )
        for wire in proof.wires
    }
    answers = {
        (wire.interface, peer.address): Answer(
            wire.interface, (0.05,) * 20, wire.mtu, frozenset({mac(peer.node, peer.interface)})
        )
        for wire in proof.wires
        for peer in wire.peers
    }
    answers |= {(far.interface, far.address): Answer(far.interface, (0.1,) * 20, far.mtu) for far in proof.far}
    heard = {wire.interface: frozenset(local(peer.node, peer.interface) for peer in wire.peers) for wire in proof.wires}
    return Sight(ports=ports, answers=answers, heard=heard)


def port(eyes: Eyes, node: str, interface: str, **values: object) -> Eyes:
    """The same with another port."""
    sight = eyes.sights[node]
    changed = replace(sight, ports={**sight.ports, interface: replace(sight.ports[interface], **values)})  # type: ignore[arg-type]
    return replace(eyes, sights={**eyes.sights, node: changed})


def answer(eyes: Eyes, node: str, key: tuple[str, str], **values: object) -> Eyes:
    sight = eyes.sights[node]
    changed = replace(sight, answers={**sight.answers, key: replace(sight.answers[key], **values)})  # type: ignore[arg-type]
    return replace(eyes, sights={**eyes.sights, node: changed})


def sight(eyes: Eyes, node: str, **values: object) -> Eyes:
    return replace(eyes, sights={**eyes.sights, node: replace(eyes.sights[node], **values)})  # type: ignore[arg-type]


def silent(eyes: Eyes, node: str, key: tuple[str, str], **values: object) -> Eyes:
    """Nothing comes back to the node."""
    quiet = answer(eyes, node, key, times=(), passes=0, macs=frozenset())
    return sight(quiet, node, heard={**eyes.sights[node].heard, key[0]: frozenset()}, **values)


def said(eyes: Eyes) -> list[str]:
    return [f"{found.severity} {found.node}: {found.rule}: {found.seen}" for found in judge(eyes)]


ONE, TWO = ("thunderbolt0", "10.44.0.1"), ("thunderbolt0", "10.44.0.0")
"""As halo1 reaches halo2, and halo2 halo1."""


def test_nothing_is_said_of_what_is_well(tmp_path: Path) -> None:
    for changes in ({}, {"links__2": None}, {"links__2": FABRIC}):
        assert said(healthy(lab(tmp_path, **changes))) == []


def gone(eyes: Eyes) -> Eyes:
    eyes = sight(eyes, "halo1", ports={"thunderbolt1": eyes.sights["halo1"].ports["thunderbolt1"]})
    return port(silent(eyes, "halo2", TWO), "halo2", "thunderbolt0", carrier=False)


def down(eyes: Eyes) -> Eyes:
    eyes = port(eyes, "halo2", "thunderbolt0", up=False, carrier=False)
    return port(silent(eyes, "halo1", ONE), "halo1", "thunderbolt0", carrier=False)


def half_open(eyes: Eyes) -> Eyes:
    """What halo1 sends arrives nowhere; halo2's requests arrive at halo1."""
    eyes = silent(eyes, "halo1", ONE, arrived={"thunderbolt0": 3})
    return silent(eyes, "halo2", TWO, arrived={"thunderbolt0": 0})


def swapped(eyes: Eyes) -> Eyes:
    """At halo1: the cable to halo2 is in the port of the one to halo3, and the other way round."""
    eyes = silent(silent(eyes, "halo1", ONE), "halo1", ("thunderbolt1", "10.44.0.5"))
    heard = {
        "thunderbolt0": frozenset({local("halo3", "thunderbolt1")}),
        "thunderbolt1": frozenset({local("halo2", "thunderbolt0")}),
    }
    return sight(eyes, "halo1", heard=heard)


def other_port(eyes: Eyes) -> Eyes:
    """At halo2 the cable is in the other port, which answers for the address of the planned one."""
    at = mac("halo2", "thunderbolt1")
    return answer(silent(eyes, "halo1", ONE), "halo1", ONE, macs=frozenset({at}))


def stranger(eyes: Eyes) -> Eyes:
    return answer(silent(eyes, "halo1", ONE), "halo1", ONE, macs=frozenset({"de:ad:be:ef:00:01"}), times=(0.05,))


FAULTS: list[tuple[Callable[[Eyes], Eyes], list[str]]] = [
    (
        gone,
        [
            "stop halo1: usb4 halo1-halo2: interface: no thunderbolt0",
            "stop halo2: usb4 halo1-halo2: no link: thunderbolt0 is up and has no carrier",
        ],
    ),
    (
        down,
        [
            "stop halo1: usb4 halo1-halo2: no link: thunderbolt0 is up and has no carrier",
            "stop halo2: usb4 halo1-halo2: interface: thunderbolt0 is down",
        ],
    ),
    (
        half_open,
        [
            "stop halo1: usb4 halo1-halo2: half open: halo2's packets arrive, "
            "what halo1 sends does not arrive at halo2",
            "stop halo2: usb4 halo1-halo2: half open: what halo2 sends arrives at halo1, nothing comes back",
        ],
    ),
    (
        swapped,
        [
            "stop halo1: usb4 halo1-halo2: wrong peer: at thunderbolt0 is thunderbolt1 of halo3",
            "stop halo1: usb4 halo1-halo3: wrong peer: at thunderbolt1 is thunderbolt0 of halo2",
        ],
    ),
    (other_port, ["stop halo1: usb4 halo1-halo2: wrong peer: at thunderbolt0 is thunderbolt1 of halo2"]),
    (
        stranger,
        [
            "stop halo1: usb4 halo1-halo2: wrong peer: at thunderbolt0 is de:ad:be:ef:00:01, "
            "which no node of this run has"
        ],
    ),
    (
        lambda eyes: answer(
            eyes, "halo1", ONE, macs=frozenset({mac("halo2", "thunderbolt0"), mac("halo3", "thunderbolt0")})
        ),
        ["stop halo1: usb4 halo1-halo2: duplicate address: 10.44.0.1 is also thunderbolt0 of halo3"],
    ),
    (
        lambda eyes: sight(eyes, "halo2", claimed={("thunderbolt0", "10.44.0.1"): frozenset({"de:ad:be:ef:00:01"})}),
        [
            "stop halo2: usb4 halo1-halo2: address in use: 10.44.0.1 is used by de:ad:be:ef:00:01, "
            "which no node of this run has too"
        ],
    ),
    (
        lambda eyes: port(eyes, "halo2", "thunderbolt0", mtu=1400),
        ["stop halo2: usb4 halo1-halo2: MTU of an end: 1400 on thunderbolt0"],
    ),
    (
        lambda eyes: answer(eyes, "halo1", ONE, passes=0),
        ["stop halo1: usb4 halo1-halo2: packets: packets of 1500 bytes do not get to halo2"],
    ),
    (
        lambda eyes: port(eyes, "halo2", "thunderbolt0", addresses=frozenset()),
        ["stop halo2: usb4 halo1-halo2: address: thunderbolt0 has none"],
    ),
    (
        lambda eyes: answer(eyes, "halo1", ONE, dev="host0"),
        ["stop halo1: usb4 halo1-halo2: interface: packets to halo2 go by host0"],
    ),
    (
        lambda eyes: answer(eyes, "halo1", ONE, times=(0.05, 4.2, 4.3)),
        ["warn halo1: usb4 halo1-halo2: round trip: 4.20 ms"],
    ),
    (
        lambda eyes: answer(eyes, "halo1", ONE, times=()),
        ["stop halo1: usb4 halo1-halo2: half open: halo2 is there and answers no ping"],
    ),
]


@pytest.mark.parametrize(("fault", "wanted"), FAULTS)
def test_every_fault_is_named(tmp_path: Path, fault: Callable[[Eyes], Eyes], wanted: list[str]) -> None:
    eyes = fault(healthy(lab(tmp_path)))
    assert said(eyes) == wanted
    for finding in judge(eyes):
        assert finding.fix
        assert finding.expected


def fixes(eyes: Eyes) -> list[str]:
    return [finding.fix for finding in judge(eyes)]


def test_the_fix_names_the_port_and_the_other_end(tmp_path: Path) -> None:
    whole = healthy(lab(tmp_path))
    assert fixes(down(whole))[0] == "thunderbolt0 of halo2 is down: ip link set thunderbolt0 up there"
    assert fixes(swapped(whole))[0].startswith("plug the cable from thunderbolt0 into thunderbolt0 of halo2")
    assert fixes(other_port(whole)) == [
        "the cable is in the wrong port of halo2: it belongs into thunderbolt0; or correct links"
    ]


def test_a_way_through_others(tmp_path: Path) -> None:
    chain = healthy(lab(tmp_path, links__2=None))
    key = ("thunderbolt0", "10.44.255.252")
    assert said(answer(chain, "halo1", key, times=())) == ["stop halo1: way to halo3: no answer"]
    assert said(answer(chain, "halo1", key, passes=0)) == [
        "stop halo1: way to halo3: packets of 1500 bytes do not get there"
    ]


# --- MTU


def test_a_switch_that_passes_small_packets_only(tmp_path: Path) -> None:
    whole = lab(tmp_path, links__2=FABRIC)
    eyes = answer(healthy(whole), "halo1", ("enp97s0", "10.45.0.3"), passes=1500)
    (finding,) = judge(eyes)
    assert (finding.rule, finding.severity) == ("ethernet: path MTU", "stop")
    assert finding.seen == "packets of 9000 bytes do not get to halo3, of 1500 they do"
    assert "look at the switch" in finding.fix
    assert stops(eyes.proofs, [finding]) == [], "cluster.py goes on with less"
    assert {name: narrow_now(proof.wires, [finding]) for name, proof in eyes.proofs.items()} == {
        "halo1": {"enp97s0": 1500},
        "halo2": {},
        "halo3": {"enp97s0": 1500},
    }
    # From then on that is what is expected, and said as long as it is so.
    narrowed = {"halo1": {"enp97s0": 1500}, "halo3": {"enp97s0": 1500}}
    for node in narrowed:
        eyes = port(eyes, node, "enp97s0", mtu=1500)
        eyes = answer(eyes, node, ("enp97s0", "10.45.0.3" if node == "halo1" else "10.45.0.1"), passes=1500)
    assert said(replace(eyes, narrowed=narrowed)) == [
        f"warn {node}: ethernet: MTU: 1500: larger packets did not get through" for node in narrowed
    ]


def test_what_is_remembered_counts_for_this_very_link(tmp_path: Path) -> None:
    proof = plan(lab(tmp_path, links__2=FABRIC), "halo1")
    known = {
        name: tuple(
            record.Proven(wire.digest, wire.interface, 1500)
            for wire in plan(lab(tmp_path, links__2=FABRIC), name).wires
        )
        for name in ("halo1", "halo2", "halo3")
    }
    assert record.open_wires(proof, known) == ()
    assert record.narrowed(proof, known) == {"enp97s0": 1500}
    assert record.open_wires(proof, {"halo2": known["halo2"]}) == proof.wires, "this node's own counts"
    assert [wire.link for wire in record.open_wires(proof, known | {"halo3": ()})] == ["ethernet"]
    assert record.narrowed(proof, known | {"halo3": ()}) == {}
    wide = {name: tuple(replace(each, mtu=9000) for each in lines) for name, lines in known.items()}
    assert record.narrowed(proof, wide) == record.narrowed(proof, known | {"halo3": wide["halo3"]}) == {}
    jumbo = plan(lab(tmp_path, links__2=FABRIC | {"mtu": 4000}), "halo1")
    assert [wire.link for wire in record.open_wires(jumbo, known)] == ["ethernet"]
    assert record.narrowed(jumbo, known) == {}


def test_what_no_serve_uses_stops_nothing(tmp_path: Path) -> None:
    eyes = healthy(lab(tmp_path))
    idle = answer(eyes, "halo2", ("thunderbolt1", "10.44.0.9"), times=())
    assert len(judge(idle)) == 1
    assert stops(eyes.proofs, judge(idle)) == []
    used = judge(answer(eyes, "halo1", ONE, times=()))
    assert stops(eyes.proofs, used) == used


def test_what_cannot_be_looked_with_is_said_and_nothing_else(tmp_path: Path) -> None:
    eyes = silent(healthy(lab(tmp_path)), "halo1", ONE, lacks=frozenset({"ping", "iperf3"}))
    assert said(eyes) == ["stop halo1: links: ping: is not there"]
    eyes = sight(healthy(lab(tmp_path)), "halo1", lacks=frozenset({"arping"}))
    assert said(eyes) == ["warn halo1: links: arping: is not there"]


# --- speed


def test_no_node_is_measured_twice_at_a_time(tmp_path: Path) -> None:
    ring = pairs(lab(tmp_path))
    assert [[pair.link for pair in each] for each in rounds(ring)] == [
        ["usb4 halo1-halo2"],
        ["usb4 halo1-halo3"],
        ["usb4 halo2-halo3"],
    ]
    fabric = {"ethernet": {f"halo{number}": "enp97s0" for number in (1, 2, 3, 4)}, "subnet": "10.45.0.0/24"}
    whole = lab(tmp_path, nodes__halo4={"id": 4, "address": "10.43.0.14"}, links__2=fabric)
    four = [pair for pair in pairs(whole) if pair.link == "ethernet"]
    assert [(pair.sender.node[-1], pair.receiver.node[-1]) for pair in four] == [
        ("1", "2"),
        ("2", "3"),
        ("3", "4"),
        ("4", "1"),
    ]
    assert [len(each) for each in rounds(four)] == [2, 2]


def test_what_iperf3_says() -> None:
    assert speed.parse([SPEED, SPEED]) == speed.Speed(5.28088542093964, 5.28088542093964)
    assert speed.parse([SPEED, REFUSED]).problem == "unable to connect to server: Connection refused"
    assert speed.parse(["", ""]).problem == "said nothing"
    assert speed.parse(["sh: 1: iperf3: not found", ""]).problem == "sh: 1: iperf3: not found"
    assert speed.parse([]).problem == "said nothing"


def test_the_receiver_listens_on_its_end_of_the_link_alone_and_not_for_long(tmp_path: Path) -> None:
    pair = pairs(lab(tmp_path))[0]
    assert str(speed.listen(pair, 15201, 3)) == (
        "timeout 36 sh -c 'iperf3 -s -1 -B 10.44.0.1 -p 15201 && iperf3 -s -1 -B 10.44.0.1 -p 15201' "
        ">/dev/null 2>&1 || true"
    )
    assert "-c 10.44.0.1 -B 10.44.0.0 -p 15201 --connect-timeout 2000 -t 3 " in str(speed.send(pair, 15201, 3))


def test_where_iperf3_is_not_nothing_is_started(tmp_path: Path) -> None:
    pair = pairs(lab(tmp_path))[0]
    sights = {"halo1": Sight(), "halo2": Sight(lacks=frozenset({"iperf3"}))}
    assert speed.measure({}, sights, [pair], 15201, 1) == {pair: speed.Speed(problem="halo2 has no iperf3")}


IPERF3 = """\
#!/bin/sh
echo "$*" >>{calls}
if [ $(wc -l <{calls}) -le {refusals} ]; then echo '{refused}'; else echo '{speed}'; fi
"""


@pytest.mark.parametrize(("refusals", "calls"), [(0, 2), (3, 5), (99, 8)])
def test_a_receiver_that_does_not_listen_yet_is_tried_again(tmp_path: Path, refusals: int, calls: int) -> None:
    """iperf3 3.12 with -J ends with 0 where it was refused."""
    pair = pairs(lab(tmp_path))[0]
    log = tmp_path / "calls"
    script = IPERF3.format(calls=log, refusals=refusals, refused=REFUSED, speed=SPEED)
    for name, text in {"iperf3": script, "sleep": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["sh", "-c", str(speed.send(pair, 15201, 1))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = speed.parse(done.stdout.splitlines())
    assert (found.problem == "") is (refusals < 99)
    lines = log.read_text().splitlines()
    assert len(lines) == calls
    assert lines[-1].endswith(" -R") is (refusals < 99)


def slow(whole: Lab, *, there: float, usb4: dict[str, str] | None = None) -> list[Finding]:
    eyes = healthy(whole)
    pair = pairs(whole)[0]
    sights = dict(sight(eyes, "halo1", usb4={"thunderbolt0": usb4 or {}}).sights)
    return list(speed.judge(eyes.proofs, sights, {pair: speed.Speed(there, 9.3)}))


def test_a_link_of_real_boxes_has_a_floor(tmp_path: Path) -> None:
    whole = lab(tmp_path)
    assert slow(whole, there=8.1) == []
    (finding,) = slow(whole, there=7.9)
    assert (finding.severity, finding.seen) == ("warn", "7.9 Gbit/s to halo2, 9.3 back")
    virtual = {name: replace(plan(whole, name), virtual=True) for name in whole.nodes}
    pair = Pair("usb4 halo1-halo2", "usb4", True, Peer("halo1", "a", "b"), Peer("halo2", "a", "c"))
    assert list(speed.judge(virtual, {}, {pair: speed.Speed(0.5, 0.5)})) == []
    (problem,) = speed.judge(virtual, {}, {pair: speed.Speed(problem="refused")})
    assert "could not be measured to halo2: refused" in problem.seen


def test_a_link_that_trained_slowly(tmp_path: Path) -> None:
    """OdinLink-Five#31: 10.0 Gb/s x2 in place of 20 x2."""
    whole = lab(tmp_path)
    right = {"rx_speed": "20.0 Gb/s", "rx_lanes": "2", "tx_speed": "20.0 Gb/s", "tx_lanes": "2"}
    assert slow(whole, there=9, usb4=right) == []
    (finding,) = slow(whole, there=9, usb4=right | {"tx_speed": "10.0 Gb/s"})
    assert (finding.rule, finding.seen) == ("usb4 halo1-halo2: trained slowly", "tx_speed 10.0 Gb/s")
