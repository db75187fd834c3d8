"""Ways to break a lab's serves."""

from __future__ import annotations

from random import Random

from tests.unit.labs_broken import LINKED, Breaks, Told, serve
from tests.unit.spec_labs import Data, add_node, islands

SERVES = Breaks()


@SERVES.add(least=2, topologies=LINKED)
def unknown_worker(data: Data, random: Random) -> Told:
    name, said = serve(data, random, workers=1)
    index = random.randrange(len(said["workers"]))
    said["workers"][index] = "ghost"
    return f"serves.{name}.workers[{index}]", 'no node "ghost"'


@SERVES.add()
def unknown_controller(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    said["controller"] = "ghost"
    return f"serves.{name}.controller", 'no node "ghost"'


@SERVES.add()
def unknown_model(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    said["model"] = "ghost"
    return f"serves.{name}.model", 'no model "ghost"'


@SERVES.add()
def worker_without_a_way(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    add_node(data, "lonely")
    said["workers"].append("lonely")
    return f"serves.{name}.workers[{len(said['workers']) - 1}]", f"from the controller {said['controller']} to lonely"


@SERVES.add()
def controller_that_works(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    said["workers"].append(said["controller"])
    return f"serves.{name}.workers[{len(said['workers']) - 1}]", f"{said['controller']} is the controller"


@SERVES.add(least=2, topologies=LINKED)
def worker_twice(data: Data, random: Random) -> Told:
    name, said = serve(data, random, workers=1)
    said["workers"].append(said["workers"][0])
    return f"serves.{name}.workers[{len(said['workers']) - 1}]", f"{said['workers'][0]} is listed twice"


@SERVES.add(least=3)
def worker_of_two(data: Data, random: Random) -> Told:
    name, said = serve(data, random, workers=1)
    worker, island = random.choice(said["workers"]), islands(data)
    others = sorted(other for other in data["nodes"] if other != worker and island[other] == island[worker])
    data["serves"]["other"] = {"model": "mine", "controller": random.choice(others), "workers": [worker], "port": 9000}
    data["serves"]["other"]["rpc_port"] = 9001
    return "serves.other.workers[0]", f"{worker} is a worker of serve {name} already"


@SERVES.add(least=18, topologies=("fabric",))
def seventeen_workers(data: Data, random: Random) -> Told:
    controller, *workers = random.sample(sorted(data["nodes"]), 18)
    data["serves"] = {"big": {"model": "mine", "controller": controller, "workers": workers}}
    return "serves.big.workers", "has 17 workers; llama.cpp takes at most 16"


@SERVES.add()
def port_of_two_serves(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    data["serves"]["other"] = {"model": "mine", "controller": said["controller"], "port": said["port"]}
    return "serves.other.port", f"{said['port']} is taken on {said['controller']} by port of serve {name}"


@SERVES.add()
def port_of_ssh(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    data["defaults"]["ssh"] = {"port": 2222}
    said["port"] = 2222
    return f"serves.{name}.port", f"2222 is taken on {said['controller']} by SSH"


@SERVES.add()
def port_out_of_range(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    key = random.choice(["port", "rpc_port"])
    said[key] = random.choice([0, 1023, 65536, -1])
    return f"serves.{name}.{key}", f"{said[key]} must be at"


@SERVES.add()
def bound_elsewhere(data: Data, random: Random) -> Told:
    name, said = serve(data, random)
    said["bind"] = "192.0.2.1"
    return f"serves.{name}.bind", f"192.0.2.1 is not where {said['controller']} can listen"
