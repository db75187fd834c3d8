"""The topology: cables never share an address, their ends agree, and nothing is renumbered when a lab grows."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec.models import Usb4
from inventory.spec.topology import Cable, RangeTooSmall, cables, subnet, subnet_index

RANGE = IPv4Network("10.44.0.0/15")
Wiring = tuple[dict[str, int], list[Usb4]]


@st.composite
def wirings(draw: st.DrawFn) -> Wiring:
    """Nodes with any ids, and any cables between them (more than any box has ports)."""
    ids = draw(st.lists(st.integers(1, 254), min_size=2, max_size=32, unique=True))
    names = {f"n{index}": number for index, number in enumerate(ids)}
    pairs = st.sampled_from(sorted(combinations(names, 2)))
    cabled = draw(st.lists(st.tuples(pairs, st.integers(0, 1)), unique=True, max_size=40))
    links = [
        Usb4(usb4={one: f"t{index}", other: f"t{index}"}, number=number)
        for index, ((one, other), number) in enumerate(cabled)
    ]
    return names, links


def by_key(made: tuple[Cable, ...]) -> dict[tuple[str, str, int], Cable]:
    return {(cable.ends[0].node, cable.ends[1].node, cable.number): cable for cable in made}


@given(wirings())
def test_no_two_cables_overlap(wiring: Wiring) -> None:
    ids, links = wiring
    subnets = [cable.subnet for cable in cables(RANGE, ids, links)]
    assert len(subnets) == len(links) == len(set(subnets))
    assert all(net.prefixlen == 31 and net.subnet_of(RANGE) for net in subnets)


@given(wirings())
def test_both_ends_agree(wiring: Wiring) -> None:
    ids, links = wiring
    for cable in cables(RANGE, ids, links):
        low, high = cable.ends
        assert ids[low.node] < ids[high.node]
        assert (low.peer, high.peer) == (high.node, low.node)
        assert (low.peer_address, high.peer_address) == (high.address.ip, low.address.ip)
        assert low.address.network == high.address.network == cable.subnet
        assert int(high.address.ip) == int(low.address.ip) + 1


@given(wirings(), st.randoms())
def test_the_order_in_the_file_means_nothing(wiring: Wiring, random: st.DataObject) -> None:
    ids, links = wiring
    turned = [Usb4(usb4=dict(reversed(link.usb4.items())), number=link.number) for link in links]
    random.shuffle(turned)  # type: ignore[attr-defined]
    assert cables(RANGE, dict(reversed(ids.items())), turned) == cables(RANGE, ids, links)


@given(wirings(), st.data())
def test_additions_renumber_nothing(wiring: Wiring, data: st.DataObject) -> None:
    ids, links = wiring
    kept = data.draw(st.lists(st.sampled_from(links), unique_by=id)) if links else []
    before, after = by_key(cables(RANGE, ids, kept)), by_key(cables(RANGE, ids, links))
    assert before.items() <= after.items()


@given(st.integers(1, 254), st.integers(1, 254), st.integers(0, 1), st.integers(8, 32))
def test_a_range_holds_the_cable_or_says_what_would(one: int, other: int, number: int, prefix: int) -> None:
    if one == other:
        return
    net = IPv4Network((int(IPv4Network("10.0.0.0/8").network_address), prefix))
    enough = 32 - (2 * subnet_index(one, other, number) + 1).bit_length()
    if prefix <= enough:
        assert subnet(net, one, other, number).subnet_of(net)
        return
    with pytest.raises(RangeTooSmall) as caught:
        subnet(net, one, other, number)
    assert caught.value.prefix == enough


def test_every_pair_of_ids_has_its_own_two_indices() -> None:
    indices = [subnet_index(*pair, number) for pair in combinations(range(1, 255), 2) for number in (0, 1)]
    assert sorted(indices) == list(range(254 * 253))


def test_the_default_range_holds_180_nodes() -> None:
    """65,536 addresses are 32,768 cables: 2 for each of the 16,110 pairs of 180."""
    assert subnet(IPv4Network("10.44.0.0/16"), 179, 180, 1).subnet_of(IPv4Network("10.44.0.0/16"))
