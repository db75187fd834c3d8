"""Nothing is renumbered when a lab grows or its file is put in another order. HALOFLEET_FUZZ: as for the properties."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from inventory.spec.topology.links import Link
from tests.unit.spec_labs import Data, ends, kind, labs
from tests.unit.test_spec_properties import drawn, lab_of

randoms = st.randoms(use_true_random=True)


@drawn
@given(labs(least=2), randoms)
def test_additions_change_nothing(data: Data, random: Random) -> None:
    """Seen from the other side: what remains of a lab when things are taken out is as it was."""
    less = smaller(data, random)
    before, after = lab_of(less), lab_of(data)
    known = {key(link): link for link in after.links}
    for link in before.links:
        now = known[key(link)]
        assert (now.subnet, now.mtu, now.name) == (link.subnet, link.mtu, link.name)
        assert set(link.ends) <= set(now.ends)
    assert before.loopbacks.items() <= after.loopbacks.items()


def smaller(data: Data, random: Random) -> Data:
    """Without some nodes, links, and ends of fabrics."""
    nodes = {name: node for name, node in data["nodes"].items() if random.random() < 0.7} or data["nodes"]
    kept = []
    for link in data["links"]:
        stay = {name for name in ends(link) if name in nodes}
        if random.random() < 0.8 and (stay == {*ends(link)} or (kind(link) == "ethernet" and len(stay) > 1)):
            said = link[kind(link)]
            less = [n for n in said if n in stay] if isinstance(said, list) else {n: said[n] for n in said if n in stay}
            kept.append(link | {kind(link): less})
    serves = {"chat": {"model": "mine", "controller": min(nodes)}}
    return data | {"nodes": nodes, "links": kept, "serves": serves}


def key(link: Link) -> tuple[str, ...]:
    if link.kind == "ethernet":
        return (link.name,)
    return (*sorted(end.node for end in link.ends), str(link.number))


@drawn
@given(labs(), randoms)
def test_the_order_in_the_file_means_nothing(data: Data, random: Random) -> None:
    one, other = lab_of(data), lab_of(shuffled(data, random))
    assert one.links == other.links
    assert dict(one.nodes) == dict(other.nodes)
    assert all(one.ways(serve) == other.ways(serve) for serve in one.spec.serves)
    for name in one.nodes:
        assert one.network(name) == other.network(name)
        assert one.names(name) == other.names(name)


def shuffled(data: Data, random: Random) -> Data:
    """Everything in another order but a serve's workers, whose order means something."""

    def turned(value: object, name: str = "") -> object:
        if isinstance(value, dict):
            return {key: turned(value[key], key) for key in random.sample(list(value), len(value))}
        if isinstance(value, list) and name != "workers":
            return [turned(item) for item in random.sample(value, len(value))]
        return value

    found = turned(data)
    assert isinstance(found, dict)
    return found
