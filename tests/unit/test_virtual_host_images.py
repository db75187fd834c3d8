"""Which base tree a node is made of, and what the file may not ask for."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
from os import environ
from pathlib import Path

import pytest

import roles
from inventory.spec import LabError, load
from inventory.spec.language.nodes import Mirror, Virtual
from inventory.spec.language.sources import Rocm
from roles.gpu.plan import Gpu, rocm
from roles.gpu.plan import packages as gpu_packages
from roles.llama_cpp.plan import build_packages
from roles.tuning.plan import PACKAGES as TUNING
from roles.virtual_host import images, seed
from roles.virtual_host.images import image
from roles.virtual_host.wanted import WantedHost
from tests.unit.test_virtual_host_plan import KEY, WANTED

MIRROR = Mirror(mirror="http://mirror.example/x", key=Path("/keys/x"))
OTHERS = Virtual(fedora=MIRROR, ubuntu=MIRROR)
LAVAPIPE = Gpu("halo1", "fedora-43", False, ("vulkan",), rocm(Rocm()))

LAB = """
management: 10.43.0.0/24
virtual: {virtual}
nodes: {{halo1: {{id: 1, address: 10.43.0.11, os: {os}, kernel: none}}}}
llama_cpp: {{source: {{git: https://example.org/llama.cpp, ref: b1}}}}
models: {{mine: {{random: llama-spm}}}}
serves: {{chat: {{model: mine, controller: halo1}}}}
"""


def test_debian_keeps_its_name_in_the_cache() -> None:
    """It is made as before there were others, so it need not be made again."""
    assert image("debian-13", Virtual()).method == "tree_debian.sh"
    assert image("debian-13", Virtual()).name.startswith("trixie-")
    assert image("debian-13", Virtual()) == image("debian-13", OTHERS)


@pytest.mark.parametrize(
    ("os", "virtual", "name", "shape", "method"),
    [
        ("fedora-43", Virtual(), "fedora-43-like-", "fedora", "tree_debian.sh"),
        ("fedora-44", Virtual(), "fedora-44-like-", "fedora", "tree_debian.sh"),
        ("fedora-43", OTHERS, "fedora-43-", "fedora", "tree_fedora.sh"),
        ("ubuntu-26.04", Virtual(), "ubuntu-26.04-like-", "ubuntu", "tree_debian.sh"),
        ("ubuntu-24.04", OTHERS, "ubuntu-24.04-", "ubuntu", "tree_debian.sh"),
    ],
)
def test_where_a_node_comes_from(os: str, virtual: Virtual, name: str, shape: str, method: str) -> None:
    made = image(os, virtual)
    assert made.name.removeprefix(name).isalnum()
    assert (made.shape, made.method) == (shape, method)
    assert (made.says.startswith("stand-in")) == ("-like-" in name), "a stand-in is called one"


def test_real_ones_come_from_the_mirror_with_its_key() -> None:
    assert image("fedora-43", OTHERS).arguments[2:4] == ("http://mirror.example/x", "/keys/x")
    assert image("ubuntu-24.04", OTHERS).arguments[0] == "noble"
    assert image("ubuntu-24.04", OTHERS).arguments[2:] == ("http://mirror.example/x", "", "/keys/x")
    assert (
        image("fedora-43", OTHERS).name
        != image("fedora-43", Virtual(fedora=Mirror(**{**MIRROR.model_dump(), "key": Path("/keys/y")}))).name
    )


def test_the_stand_in_has_every_package_that_roles_install_with_dnf() -> None:
    asked: set[str] = set()
    for found in pkgutil.walk_packages(roles.__path__, "roles."):
        if found.name.endswith(".plan") or found.name.endswith(".operations"):
            for value in vars(importlib.import_module(found.name)).values():
                if isinstance(value, dict) and value.keys() == {"apt", "dnf"} and isinstance(value["dnf"], tuple):
                    asked |= set(value["dnf"])
    asked |= set(build_packages("vulkan")["dnf"])
    by_file = {"/usr/bin/vulkaninfo": "vulkan-tools"}  # that it is in there, the lab tier shows
    asked |= {by_file.get(name, name) for name in gpu_packages(LAVAPIPE)["dnf"]}
    assert {"cmake", "libgomp", "curl", "chrony", "vulkan-tools", "glslc"} <= asked, (
        "the tables are looked for where they are"
    )
    asked -= set(TUNING["dnf"])  # not of nodes without a kernel of their own
    assert asked - images.FEDORA_RPMS.keys() == set()
    assert set(images.FEDORA_FIRST) <= images.FEDORA_RPMS.keys()


def test_the_management_interface_is_set_up_as_the_distribution_does_it() -> None:
    for os, path, mode, words in (
        ("debian-13", "/etc/systemd/network/10-halofleet-management.network", 0o644, "Address=10.9.0.11/24"),
        ("ubuntu-26.04", "/etc/netplan/10-halofleet-management.yaml", 0o600, "addresses: [10.9.0.11/24]"),
        (
            "fedora-43",
            "/etc/NetworkManager/system-connections/virtual-management.nmconnection",
            0o600,
            "address1=10.9.0.11/24,10.9.0.1",
        ),
    ):
        host = WantedHost("halo1", 1, "10.9.0.11", 22, image(os, Virtual()))
        files = seed.files(WANTED, host, login="ssh-ed25519 L", key=KEY, resolver="")
        assert set(files) & set(seed.MANAGEMENT.values()) == {path}
        assert files[path].mode == mode
        assert words in files[path].content.splitlines()[-1] or words in files[path].content


@pytest.mark.parametrize(
    ("os", "virtual", "said"),
    [
        ("ubuntu-24.04", "{}", '"ubuntu-24.04", for which there is no stand-in: write ubuntu-26.04, or say'),
        ("ubuntu-25.10", "{}", '"ubuntu-25.10", but a virtual Ubuntu can be ubuntu-24.04 or ubuntu-26.04'),
        ("fedora-43", "{fedora: {mirror: http://mirror.example/fedora}}", '"key" is missing'),
        ("fedora-43", "{fedora: {mirror: /srv/fedora, key: /keys/x}}", '"/srv/fedora" must be a URL'),
        ("fedora-43", "{fedora: {mirror: http://mirror.example/fedora, key: keys/x}}", "must be the path of a file"),
    ],
)
def test_refused_in_the_file(tmp_path: Path, os: str, virtual: str, said: str) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(LAB.format(os=os, virtual=virtual))
    with pytest.raises(LabError) as refused:
        load(path)
    assert said in str(refused.value)


@pytest.mark.parametrize("os", ["debian-13", "fedora-43", "fedora-44", "ubuntu-26.04"])
def test_accepted_in_the_file(tmp_path: Path, os: str) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(LAB.format(os=os, virtual="{}"))
    assert load(path).node("halo1").os == os


def mmdebstrap(tmp_path: Path, *arguments: str) -> list[str]:
    """What tree_debian.sh asks mmdebstrap for."""
    fake = tmp_path / "mmdebstrap"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    command = ["sh", str(images.MACHINE / "tree_debian.sh"), "/cache/root.tar", *arguments]
    path = f"{tmp_path}:{environ['PATH']}"
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    ("os_release", "virtual", "last", "with_key"),
    [
        ("debian-13", Virtual(), ["trixie", "/cache/root.tar"], False),
        ("debian-13", Virtual(mirror="http://mirror.example/debian"),
         ["trixie", "/cache/root.tar", "http://mirror.example/debian"], False),
        ("fedora-43", Virtual(), ["forky", "/cache/root.tar"], False),
        ("ubuntu-26.04", Virtual(), ["forky", "/cache/root.tar"], False),
        ("ubuntu-24.04", OTHERS, ["noble", "/cache/root.tar", MIRROR.mirror], True),
    ],
)  # fmt: skip
def test_what_mmdebstrap_is_asked_for(
    tmp_path: Path, os_release: str, virtual: Virtual, last: list[str], with_key: bool
) -> None:
    words = mmdebstrap(tmp_path, *image(os_release, virtual).arguments)
    assert words[-len(last) :] == last
    assert [word for word in words if word.startswith("--keyring")] == (["--keyring=/keys/x"] if with_key else [])
