"""Ways to break a lab's links and ranges."""

from __future__ import annotations

from random import Random

from hypothesis import assume

from tests.unit.labs_broken import FABRICS, LINKED, Breaks, Told, end, node, whole_end
from tests.unit.spec_labs import Data, add_node, ends, kind, name_ports

LINKS = Breaks()


@LINKS.add(least=2, topologies=LINKED)
def cable_to_itself(data: Data, random: Random) -> Told:
    index, (name, _) = random.randrange(len(data["links"])), node(data, random)
    data["links"][index] = {"usb4": [name, name]}
    return f"links[{index}].usb4", name


@LINKS.add(least=2, topologies=LINKED)
def link_to_nowhere(data: Data, random: Random) -> Told:
    where, name, _ = end(data, random)
    index = int(where.split("]")[0].removeprefix("links["))
    link = data["links"][index]
    said = link[kind(link)]
    link[kind(link)] = {"ghost" if key == name else key: value for key, value in said.items()}
    return where.removesuffix(name) + "ghost", 'no node "ghost"'


@LINKS.add(least=2, topologies=FABRICS)
def fabric_of_one(data: Data, random: Random) -> Told:
    index = random.randrange(len(data["links"]))
    data["links"][index]["ethernet"] = {min(data["nodes"]): "enp99s0"}
    return f"links[{index}].ethernet", "at least two nodes; this one has 1"


@LINKS.add(least=2, topologies=("double",))
def third_cable_of_a_pair(data: Data, random: Random) -> Told:
    data["links"].append({"usb4": list(data["nodes"]), "number": random.randrange(2)})
    name_ports(random, data)
    return "links[2]", "have 2 cables already"


@LINKS.add(least=2, topologies=("pair",))
def third_cable_of_a_box(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    for other in ("other1", "other2"):
        add_node(data, other)
        data["links"].append({"usb4": [name, other]})
    name_ports(random, data)
    del said["board"]
    return f"links[2].usb4.{name}", f"cable 3 of {name}"


@LINKS.add(least=3, topologies=("ring", "two fabrics"))
def port_of_two_links(data: Data, random: Random) -> Told:
    name, _ = node(data, random)
    first, second = [index for index, link in enumerate(data["links"]) if name in ends(link)][:2]
    for index in (first, second):
        whole_end(data["links"][index], name)["port"] = "enp99s0"
    return f"links[{second}].{kind(data['links'][second])}.{name}", f"enp99s0 of {name} is in links[{first}]"


@LINKS.add(least=2, topologies=LINKED)
def port_of_the_system(data: Data, random: Random) -> Told:
    where, _, said = end(data, random)
    said["port"] = random.choice(["lo", "host0"])
    return where, said["port"]


@LINKS.add(least=2, topologies=FABRICS)
def port_left_out(data: Data, random: Random) -> Told:
    assume("virtual" not in data)
    where, name, said = end(data, random)
    said.clear()
    return where, f"{{{name}: enp97s0}}"


@LINKS.add(least=2, topologies=LINKED)
def port_of_a_real_box(data: Data, random: Random) -> Told:
    assume("virtual" in data)
    where, _, said = end(data, random)
    said["port"] = random.choice(["pci-0000:c8:00.5", "aa:bb:cc:dd:ee:ff"])
    return where, f'"{said["port"]}": a virtual node'


@LINKS.add(least=2, topologies=LINKED)
def mtu_that_differs(data: Data, random: Random) -> Told:
    where, _, said = end(data, random)
    said["mtu"] = 1400
    return f"{where}.mtu", "1400 differs from"


@LINKS.add(least=2, topologies=LINKED)
def mtu_out_of_range(data: Data, random: Random) -> Told:
    index = random.randrange(len(data["links"]))
    data["links"][index]["mtu"] = random.choice([0, 1279, 65521])
    return f"links[{index}].mtu", f"{data['links'][index]['mtu']} must be at"


@LINKS.add(least=2, topologies=FABRICS)
def overlap(data: Data, random: Random) -> Told:
    index = random.randrange(len(data["links"]))
    key = random.choice(["management", "links_range"])
    data["links"][index]["subnet"] = data[key]
    return f"links[{index}].subnet", f"{data[key]} overlaps {key}"


@LINKS.add(least=2, topologies=FABRICS)
def fabric_too_small(data: Data, random: Random) -> Told:
    index = random.randrange(len(data["links"]))
    data["links"][index]["subnet"] = "192.168.255.0/31"
    return f"links[{index}].subnet", "192.168.255.0/31 has no address for"


@LINKS.add(least=2, topologies=FABRICS)
def range_too_small(data: Data, _: Random) -> Told:
    data["links_range"] = "10.44.0.0/32"
    return "links_range", "10.44.0.0/32 has no loopback address for"
