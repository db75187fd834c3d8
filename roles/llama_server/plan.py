"""llama-server on a controller: one unit per serve."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from inventory.spec import Lab, units
from roles.lib import layout
from roles.lib.paths import File
from roles.lib.render import render
from roles.lib.units import Service, revision
from roles.llama_cpp.plan import Release, of_serve
from roles.models.plan import model

PATTERN = units.LLAMA_SERVERS


def _program(name: str) -> File:
    return File(f"{layout.PROGRAMS}/{name}", Path(__file__).with_name(name).read_text(), "755")


CHECKS, WAITS = _program("check_model.py"), _program("await_workers.py")
"""What runs before a server."""

WAIT_SECONDS = 60
"""For workers that do not answer, before systemd tries again."""


@cache
def data() -> dict[str, Any]:
    """data/load_mode.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/load_mode.yml").read_text())
    return found


@dataclass(frozen=True)
class LlamaServer:
    """address: the node's; bind: where the API listens. key_file: on the control machine, with the key that the user
    has chosen. model_path: of a model in parts the folder, until the node was looked at. workers: `ADDRESS:PORT` of
    each, in the order of the inventory, which is the order of RPC0, RPC1, ... lenders: the names of the workers' nodes.
    split: GiB that each device may fill, in the order of --device; empty where lab.yml does not say that of all.
    """

    lab: str
    serve: str
    address: IPv4Address
    bind: IPv4Address
    port: int
    key_file: Path | None
    model: str
    model_path: str
    workers: tuple[str, ...]
    lenders: tuple[str, ...]
    split: tuple[int, ...]
    context: int
    slots: int | None
    extra: tuple[str, ...]
    release: Release

    @property
    def unit(self) -> str:
        return units.llama_server(self.serve)

    @property
    def key_path(self) -> str:
        """The true API key. root's alone: the service gets it as a systemd credential."""
        return f"{layout.ETC}/{self.serve}.key"

    @property
    def url(self) -> str:
        """As it is reached from the management network; from the controller alone where it listens on 127.0.0.1."""
        return f"http://{self.bind if self.local else self.address}:{self.port}/v1"

    @property
    def local(self) -> bool:
        """Only the controller itself reaches the API."""
        return self.bind.is_loopback


def plan(lab: Lab, name: str) -> tuple[LlamaServer, ...]:
    """The serves that this node controls."""
    return tuple(
        LlamaServer(
            lab=lab.name,
            serve=serve_name,
            address=lab.node(name).address,
            bind=serve.bind or lab.node(name).address,
            port=serve.port,
            key_file=serve.api_key_file,
            model=serve.model,
            model_path=model(lab, serve.model).path,
            workers=tuple(f"{way.destination}:{serve.rpc_port}" for way in lab.ways(serve_name)),
            lenders=tuple(way.into.node for way in lab.ways(serve_name)),
            split=_split(lab, serve_name, name),
            context=serve.context,
            slots=serve.slots,
            extra=serve.extra,
            release=of_serve(lab, serve_name, name),
        )
        for serve_name, serve in sorted(lab.spec.serves.items())
        if serve.controller == name
    )


def _split(lab: Lab, serve: str, controller: str) -> tuple[int, ...]:
    """Where a size is not known, llama.cpp goes by the memory that each device has free when it starts."""
    computing = [way.into.node for way in lab.ways(serve)]
    if of_serve(lab, serve, controller).device:
        computing.append(controller)
    sizes = [lab.node(node).memory.for_models for node in computing]
    known = tuple(size for size in sizes if size)
    return known if len(known) == len(sizes) > 1 else ()


def arguments(server: LlamaServer, flags: frozenset[str]) -> tuple[str, ...]:
    """The command line, in the spelling that this llama-server's own --help knows."""
    found = ["--host", str(server.bind), "--port", str(server.port)]
    found += ["--model", server.model_path, "--alias", server.model, "--ctx-size", str(server.context)]
    found += load_mode(server.release.backend, flags)
    if server.slots is not None:
        found += ["--parallel", str(server.slots)]
    found += ["--n-gpu-layers", "999", "--metrics"]
    devices = [f"RPC{index}" for index, _ in enumerate(server.workers)]
    if server.workers:
        found += ["--rpc", ",".join(server.workers)]
        if "--cache-ram" in flags:
            found += ["--cache-ram", "0"]  # saving the prompt cache aborts over RPC (llama.cpp#26529)
    if server.release.device:
        devices.append(server.release.device)
    if devices:  # behind --rpc, which makes the first of them known
        found += ["--device", ",".join(devices)]
    if server.split:
        found += ["--tensor-split", ",".join(map(str, server.split))]
    if "--fit" in flags:
        found += ["--fit", "off"]  # it would shrink nothing that is said here, and reads the model once more
    if "--log-verbosity" in flags:
        found += ["--log-verbosity", "4"]  # the buffers on each worker are only logged from here on
    return (*found, *server.extra)


def load_mode(backend: str, flags: frozenset[str]) -> list[str]:
    """Never mmap, which hangs with large models; builds before August 2026 spell it otherwise (data/load_mode.yml)."""
    known = data()["backends"][backend]
    if "--load-mode" in flags:
        return ["--load-mode", known["mode"]]
    return [known["before"]] if known["before"] in flags else ["--no-mmap"]


def lines(words: tuple[str, ...]) -> list[str]:
    """A line per flag with its values, quoted as systemd.service(5) wants it."""
    found: list[str] = []
    for word in words:
        if found and not word.startswith("--"):
            found[-1] += f" {quoted(word)}"
        else:
            found.append(quoted(word))
    return found


def quoted(word: str) -> str:
    """% and $ are doubled; what is not plain goes into double quotes."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w%$./:,=+-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unit(server: LlamaServer, flags: frozenset[str], key_sha256: str, model: str) -> tuple[File, Service]:
    """The unit's file, and the service that should run from it. Another key or model file is another revision."""
    values = {
        "server": server,
        "binary": f"{server.release.link}/bin/llama-server",
        "worker_binary": f"{server.release.link}/bin/ggml-rpc-server",
        "workers": tuple(zip(server.lenders, server.workers, strict=True)),
        "checks": CHECKS.path,
        "model_file": quoted(server.model_path),
        "waits": WAITS.path,
        "wait_seconds": WAIT_SECONDS,
        "lines": lines(arguments(server, flags)),
        "user": layout.USER,
    }
    text = render("llama_server/llama-server.service.j2", revision="", **values)
    digest = revision(server.release.id, text, key_sha256, model)
    return (
        File(
            f"/etc/systemd/system/{server.unit}",
            render("llama_server/llama-server.service.j2", revision=digest, **values),
        ),
        Service(server.unit, digest),
    )
