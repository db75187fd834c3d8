"""Ways to break what a lab says of its nodes, and its groups."""

from __future__ import annotations

from random import Random

from hypothesis import assume

from tests.unit.labs_broken import SECRET, Breaks, Told, node, serve
from tests.unit.spec_labs import Data

NODES = Breaks()


@NODES.add(least=2)
def duplicate_id(data: Data, random: Random) -> Told:
    one, other = sorted(random.sample(list(data["nodes"]), 2), key=list(data["nodes"]).index)
    data["nodes"][other]["id"] = data["nodes"][one]["id"]
    return f"nodes.{other}.id", f"{data['nodes'][one]['id']} is the id of {one}"


@NODES.add(least=2)
def duplicate_address(data: Data, random: Random) -> Told:
    one, other = sorted(random.sample(list(data["nodes"]), 2), key=list(data["nodes"]).index)
    data["nodes"][other]["address"] = data["nodes"][one]["address"]
    return f"nodes.{other}.address", f"{data['nodes'][one]['address']} is the address of {one}"


@NODES.add()
def id_out_of_range(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["id"] = random.choice([0, 255, -1, 10**12])
    return f"nodes.{name}.id", f"{said['id']} must be at"


@NODES.add()
def id_of_another_kind(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["id"] = random.choice(["1", 1.5, True, [1], {"id": 1}, None])
    return f"nodes.{name}.id", "must be a whole number"


@NODES.add()
def nothing_there(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    key = random.choice(["id", "address"])
    del said[key]
    return f"nodes.{name}.{key}", f'"{key}" is missing'


@NODES.add()
def address_elsewhere(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["address"] = random.choice(["10.42.255.255", "10.43.1.0", "127.0.0.1"])
    return f"nodes.{name}.address", f"{said['address']} is outside management 10.43.0.0/24"


@NODES.add()
def address_of_nobody(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["address"] = random.choice(["10.43.0.0", "10.43.0.255"])
    return f"nodes.{name}.address", f"{said['address']} is the"


@NODES.add()
def unknown_group(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["group"] = "nobody"
    return f"nodes.{name}.group", '"nobody"'


@NODES.add()
def unknown_board(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["board"] = "toaster"
    return f"nodes.{name}.board", '"toaster"'


@NODES.add()
def group_named_as_a_node(data: Data, random: Random) -> Told:
    name, _ = node(data, random)
    data["groups"][name] = {}
    return f"groups.{name}", f'"{name}" is a node\'s name'


@NODES.add()
def no_system(data: Data, random: Random) -> Told:
    name, _ = node(data, random)
    for other, said in data["nodes"].items():
        said["os"] = "debian-13"
        if other == name:
            del said["os"]
    del data["defaults"]["os"]
    return f"nodes.{name}", '"os" is missing'


@NODES.add()
def kernel_of_a_virtual_node(data: Data, random: Random) -> Told:
    assume("virtual" in data)
    name, said = node(data, random)
    said["kernel"] = "own"
    return f"nodes.{name}.kernel", '"own"'


@NODES.add()
def memory_in_two_ways(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["memory"] = {"gpu": "96GiB", "reserve": "8GiB"}
    return f"nodes.{name}.memory", "gpu and reserve"


@NODES.add()
def memory_that_is_not_there(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    said["memory"] = {"installed": "64GiB", "gpu": "64GiB"}
    return f"nodes.{name}.memory.gpu", "64GiB leaves nothing"


@NODES.add()
def size_of_another_kind(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    size = random.choice(["96GB", "96", "GiB", "-1GiB", "0GiB", "193GiB"])
    said["memory"] = {"reserve": size}
    return f"nodes.{name}.memory.reserve", f'"{size}" must be'


@NODES.add()
def broken_defaults(data: Data, random: Random) -> Told:
    key, value = random.choice(
        [("os", "windows-11"), ("backend", "cuda"), ("iommu", "of"), ("reboot", "soon"), ("tuning", "fast")]
    )
    data["defaults"][key] = value
    return f"defaults.{key}", f'"{value}" must be'


@NODES.add()
def unknown_key(data: Data, random: Random) -> Told:
    places = {"": data, "defaults.": data["defaults"], "groups.big.": data["groups"]["big"]}
    places |= {f"nodes.{name}.": said for name, said in data["nodes"].items()}
    places |= {f"serves.{name}.": said for name, said in data["serves"].items()}
    places |= {f"links[{index}].": said for index, said in enumerate(data["links"])}
    place = random.choice(sorted(places))
    places[place]["wokers"] = 1
    return f"{place}wokers", 'unknown key "wokers"'


@NODES.add()
def secret(data: Data, random: Random) -> Told:
    name, said = node(data, random)
    chat, served = serve(data, random)
    which = random.randrange(4)
    if which == 0:
        said["ssh"] = {"password": "hunter2" + SECRET}
        return f"nodes.{name}.ssh.password", "no place for secrets"
    if which == 1:
        served["extra"] = ["--verbose", f"--hf-token={SECRET}"]
        return f"serves.{chat}.extra[1]", "no place for secrets"
    if which == 2:
        served["api_key"] = SECRET
        return f"serves.{chat}.api_key", "no place for secrets"
    data["llama_cpp"] = {"source": {"git": f"https://me:{SECRET}@example.org/llama.cpp", "ref": "b12059"}}
    return "llama_cpp.source.git", "no place for secrets"
