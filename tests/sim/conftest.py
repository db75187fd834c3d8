"""Simulated nodes, ready for the role under test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inventory.spec import Lab
from roles import (
    base,
    endpoints,
    firewall,
    gpu,
    guard,
    kernel,
    link_proof,
    llama_cpp,
    llama_server,
    models,
    network,
    preflight,
    quiet,
    rpc_server,
    tuning,
    verify,
)
from roles.lib.board import LINKS_PROVEN
from roles.lib.layout import LINKS_PROVEN as LINKS_PROVEN_FILE
from roles.llama_cpp import artifact
from roles.llama_cpp.plan import plan as release_plan
from tests.sim.files import remove_tree
from tests.sim.flavours import FLAVOURS, OTHER_RELEASES, Flavour
from tests.sim.host import SimHost
from tests.sim.labs import Home, make_artifact
from tests.sim.run import Bench, Role, Run

ROLES: dict[str, tuple[Role, Callable[[Lab, str], Any]]] = {
    "preflight": (preflight.preflight, preflight.plan.plan),
    "gpu asked": (gpu.asked, gpu.plan.plan),
    "kernel": (kernel.kernel, kernel.plan.plan),
    "tuning": (tuning.tuning, tuning.plan.plan),
    "quiet": (quiet.quiet, quiet.plan.plan),
    "base": (base.base, base.plan.plan),
    "gpu": (gpu.gpu, gpu.plan.plan),
    "endpoints": (endpoints.endpoints, endpoints.plan.plan),
    "firewall": (firewall.firewall, firewall.plan.plan),
    "names": (network.naming, network.names.plan),
    "addresses": (link_proof.addresses, link_proof.plan.plan),
    "network": (network.network, network.plan.plan),
    "links": (link_proof.links, link_proof.plan.links),
    "llama_cpp": (llama_cpp.llama_cpp, llama_cpp.plan.plan),
    "models": (models.models, models.plan.plan),
    "connections": (llama_server.connections, llama_server.plan.plan),
    "rpc_server": (rpc_server.rpc_server, rpc_server.plan.plan),
    "llama_server": (llama_server.llama_server, llama_server.plan.plan),
    "guard": (guard.guard, guard.plan.plan),
    "gpu tidy": (gpu.tidy, gpu.plan.plan),
    "verify": (verify.verify, verify.plan.plan),
}
"""In the order of deploys/cluster.py."""


@dataclass
class Stage:
    """Where a role is tested: a lab, one of its nodes, and the node as the roles before have left it.

    changed: parts of lab.yml that are otherwise (see Home.lab).
    """

    home: Home
    flavour: Flavour
    node: str
    user: str
    folders: Callable[[], Path]
    ready: dict[tuple[str, ...], SimHost] = field(repr=False)
    changed: dict[str, Any] = field(default_factory=dict)

    def lab(self) -> Lab:
        return self.home.lab(self.flavour, user=self.user, changes=self.changed)

    def artifact(self) -> None:
        """The node's release is in the control machine's cache."""
        for release in release_plan(self.lab(), self.node):
            make_artifact(release)

    def forget(self) -> None:
        """The control machine has no releases and no keys."""
        for folder in (self.home.folder / "cache/releases", self.home.folder / "labs"):
            shutil.rmtree(folder, ignore_errors=True)
        artifact._texts.cache_clear()  # a run of pyinfra is a process of its own

    def before(self, role: str) -> SimHost:
        """A node on which every role before this one has run."""
        key = (self.flavour.os, self.node, self.user, role)
        if self.changed:
            return self._make(role)
        if key not in self.ready:
            self.ready[key] = self._make(role)
        return self.ready[key].clone(self.folders())

    def _make(self, role: str) -> SimHost:
        names = list(ROLES)
        index = names.index(role)
        if index == 0:
            return SimHost(
                self.folders(),
                self.flavour,
                interfaces=("thunderbolt0", "thunderbolt1", "enp97s0"),
                address=f"10.43.0.1{self.node[-1]}",
                login=self.user,
            )
        sim = self.before(names[index - 1])
        if index > names.index("llama_cpp"):  # the node that is cloned here may be from a stage that has been forgotten
            self.artifact()
        self.run(names[index - 1], sim)
        return sim

    def run(self, role: str, sim: SimHost, **options: Any) -> Run:
        """As in a run of cluster.py: preflight has told what is proven of the links."""
        lab = self.lab()
        deploy, plan = ROLES[role]
        if (proven := sim.files.real(LINKS_PROVEN_FILE)).exists():
            options.setdefault("told", {LINKS_PROVEN: {self.node: tuple(proven.read_text().splitlines())}})
        return Bench(lab, self.node, sim).run(deploy, plan(lab, self.node), **options)

    def change(self, **changes: Any) -> None:
        """From now on lab.yml is otherwise; `a__b` stands for a.b."""
        self.changed |= {key.replace("__", "."): value for key, value in changes.items()}


@pytest.fixture(scope="session")
def _ready() -> dict[tuple[str, ...], SimHost]:
    return {}


@pytest.fixture(scope="session")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where there is room: hosts are many small files, and a run makes hundreds of hosts."""
    memory = Path("/dev/shm")  # noqa: S108
    fits = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    if fits and not os.statvfs(memory).f_flag & os.ST_NOEXEC:
        folder = Path(tempfile.mkdtemp(prefix="halofleet-sim-", dir=memory))
    else:
        folder = tmp_path_factory.mktemp("sim")
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="session")
def _folders(_folder: Path) -> Callable[[], Path]:
    numbers = itertools.count()

    def make() -> Path:
        folder = _folder / f"host{next(numbers)}"
        folder.mkdir()
        return folder

    return make


@pytest.fixture
def stages(
    _folder: Path,
    _folders: Callable[[], Path],
    _ready: dict[tuple[str, ...], SimHost],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Stage]:
    """Makes stages: stages("fedora", "halo2"). The control machine remembers nothing of earlier tests."""
    home = _folder / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HALOFLEET_HOME", str(home))

    def make(flavour: str, node: str, user: str = "root") -> Stage:
        stage = Stage(Home(home), (FLAVOURS | OTHER_RELEASES)[flavour], node, user, _folders, _ready)
        stage.forget()
        return stage

    return make
