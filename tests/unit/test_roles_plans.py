"""Pure planning of the roles: releases, firewall, flags and units, without any host."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import Lab
from roles import base, firewall, llama_server, network, rpc_server
from roles.doctor import judge as doctor
from roles.lib.jobs import RUNNER
from roles.lib.paths import File
from roles.lib.units import Service, UnitState, changes, runs
from roles.llama_cpp import plan as llama_cpp
from roles.llama_cpp.artifact import offered
from roles.llama_server.plan import arguments, lines, quoted
from roles.network.facts import Device, Links
from roles.network.managers import MANAGERS, NETWORK_MANAGER, NETWORKD, files
from tests.sim.flavours import DEBIAN, FEDORA, UBUNTU, Flavour
from tests.sim.labs import Home
from tests.sim.nftables import Nftables
from tests.sim.shell import Call

HELP = Path(__file__).parent / "llama_cpp_help"
NEW = offered((HELP / "0c1e57098-llama-server.txt").read_text())
OLD = offered((HELP / "4227c9be4-llama-server.txt").read_text())


def lab(tmp_path: Path, flavour: Flavour = DEBIAN, **changed: Any) -> Lab:
    return Home(tmp_path).lab(flavour, changes={key.replace("__", "."): value for key, value in changed.items()})


# --- releases


def one(whole: Lab, name: str) -> llama_cpp.Release:
    (found,) = llama_cpp.plan(whole, name)
    return found


def test_a_release_has_one_name_on_every_node_of_a_platform_and_the_lowest_id_builds_it(tmp_path: Path) -> None:
    whole = lab(tmp_path, nodes__halo1__id=9)
    releases = {one(whole, name) for name in whole.nodes}
    assert len(releases) == 1
    assert releases.pop().builder == "halo2"


def test_every_platform_has_its_own_builder(tmp_path: Path) -> None:
    whole = lab(tmp_path, nodes__halo1__os="fedora-43")
    first, second, third = (one(whole, name) for name in ("halo1", "halo2", "halo3"))
    assert (first.builder, second.builder) == ("halo1", "halo2")
    assert second == third
    assert first.id != second.id


@pytest.mark.parametrize(
    "changed",
    [
        {"llama_cpp__cmake": {"cpu": ["-DGGML_LTO=ON"]}},
        {"llama_cpp__source__commit": "0c1e57099"},
        {"llama_cpp__source__sha256": "0" * 64},
        {"llama_cpp__source__subdir": "."},
        {"llama_cpp__source": {"git": "https://example.org/llama.cpp", "ref": "b12059"}},
        {"nodes__halo1__os": "ubuntu-26.04"},
    ],
)
def test_whatever_goes_into_a_build_is_in_its_name(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert one(lab(tmp_path, **changed), "halo1").id != one(lab(tmp_path), "halo1").id


@pytest.mark.parametrize(
    "changed",
    [
        {"nodes__halo3": None, "links": [], "serves__chat__workers": []},
        {"serves__chat__port": 9999},
        {"nodes__halo1__address": "10.43.0.99"},
        {"links_range": "10.99.0.0/16"},
    ],
)
def test_and_nothing_else_is(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert one(lab(tmp_path, **changed), "halo1").id == one(lab(tmp_path), "halo1").id


def test_another_recipe_is_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = one(lab(tmp_path), "halo1").id
    monkeypatch.setattr(llama_cpp, "RECIPE", llama_cpp.RECIPE + 1)
    assert one(lab(tmp_path), "halo1").id != before


def test_a_release_is_named_by_what_a_person_knows(tmp_path: Path) -> None:
    source = {"git": "https://example.org/llama.cpp", "ref": "feature/x_y"}
    identity = one(lab(tmp_path, llama_cpp__source=source), "halo1").id
    assert re.fullmatch(r"feature-x_y-cpu-debian-13-x86_64-[0-9a-f]{10}", identity)


def test_cmake_arguments_count_for_their_backend_only(tmp_path: Path) -> None:
    plain = lab(tmp_path, nodes__halo2__backend="vulkan", nodes__halo3__backend="rocm")
    more = lab(
        tmp_path,
        nodes__halo2__backend="vulkan",
        nodes__halo3__backend="rocm",
        llama_cpp__cmake={"vulkan": ["-DGGML_LTO=ON"]},
    )
    assert [one(plain, name) == one(more, name) for name in plain.nodes] == [True, False, True]
    assert one(more, "halo2").cmake[-2:] == ("-DGGML_VULKAN=ON", "-DGGML_LTO=ON")
    assert one(more, "halo3").cmake[-2:] == ("-DGGML_HIP=ON", "-DGPU_TARGETS=gfx1151")
    assert len({one(plain, name).id for name in plain.nodes}) == 3
    assert {one(plain, name).builder for name in plain.nodes} == set(plain.nodes)


def test_another_series_of_rocm_is_another_release(tmp_path: Path) -> None:
    """Of the nodes that compute by it, and of no others."""
    plain = lab(tmp_path, nodes__halo2__backend="rocm")
    newer = lab(tmp_path, nodes__halo2__backend="rocm", rocm={"version": "10.1"})
    mirror = lab(tmp_path, nodes__halo2__backend="rocm", rocm={"repository": "http://mirror.lan/rocm"})
    assert [one(plain, name) == one(newer, name) for name in plain.nodes] == [True, False, True]
    assert one(plain, "halo2") == one(mirror, "halo2")
    assert one(plain, "halo2").id != one(newer, "halo2").id
    assert "ROCM_PATH=/opt/rocm/core-10.1" in one(newer, "halo2").environment
    assert llama_cpp.build_packages("rocm", one(newer, "halo2").rocm)["apt"][-1] == "amdrocm-core-dev10.1-gfx1151"
    assert doctor.expected(newer, "halo2").rocm == "10.1"
    assert doctor.expected(newer, "halo1").rocm == ""


def test_a_node_of_two_serves_by_two_backends_has_both_and_each_serve_its_own(tmp_path: Path) -> None:
    by_rocm = {"model": "tiny", "controller": "halo1", "port": 8081, "rpc_port": 50053, "backend": "rocm"}
    both = lab(tmp_path, serves__second=by_rocm)
    assert both.backends("halo1") == ("cpu", "rocm")
    assert both.backends("halo2") == ("cpu",)
    cpu, rocm = llama_cpp.plan(both, "halo1")
    assert (cpu.backend, rocm.backend) == ("cpu", "rocm")
    assert (cpu.link, rocm.link) == ("/opt/halofleet/llama.cpp/current-cpu", "/opt/halofleet/llama.cpp/current-rocm")
    assert cpu == one(both, "halo2")
    servers = {server.serve: server.release for server in llama_server.plan.plan(both, "halo1")}
    assert servers == {"chat": cpu, "second": rocm}


def test_what_no_serve_uses_is_not_built(tmp_path: Path) -> None:
    changed = lab(tmp_path, nodes__halo2__backend="vulkan", serves__chat__backend="cpu")
    assert changed.backends("halo2") == ("cpu",)


# --- firewall


@pytest.mark.parametrize("flavour", [DEBIAN, FEDORA, UBUNTU])
def test_the_firewall_closes_rpc_ports_and_never_ssh(tmp_path: Path, flavour: Flavour) -> None:
    whole = lab(tmp_path, flavour)
    for name in whole.nodes:
        rules, unit = firewall.plan.files(firewall.plan.plan(whole, name))
        assert "policy accept;" in rules.content
        ports = re.findall(r"dport (.*) (accept|drop)", rules.content)
        assert ports[0] == ("22", "accept")
        assert [port for port, verdict in ports if verdict == "drop"] == (
            ["{ 15201, 50052 }", "{ 8080 }"] if name == "halo1" else ["{ 15201, 50052 }"]
        )
        assert not re.search(r"flush|policy drop", rules.content)
        assert "ExecStop" not in unit.content
        starts, reloads = (re.findall(rf"^{key}=(.*)$", unit.content, re.M) for key in ("ExecStart", "ExecReload"))
        assert len(starts) == 2
        assert reloads == starts


def test_a_door_is_the_controllers_link_address_on_the_link(tmp_path: Path) -> None:
    whole = lab(tmp_path)
    assert firewall.plan.plan(whole, "halo1").doors == ()
    (door,) = (door for door in firewall.plan.plan(whole, "halo3").doors if door.port == 50052)
    assert (door.interface, str(door.source), str(door.destination), door.port) == (
        "thunderbolt1",
        "10.44.0.4",
        "10.44.0.5",
        50052,
    )


def test_a_door_in_a_chain_is_the_loopback_address_of_the_controller(tmp_path: Path) -> None:
    chain = lab(tmp_path, links__2=None)
    (door,) = (door for door in firewall.plan.plan(chain, "halo3").doors if door.port == 50052)
    assert (door.interface, str(door.source), str(door.destination), door.port) == (
        "thunderbolt0",
        "10.44.255.254",
        "10.44.255.252",
        50052,
    )
    assert [len(firewall.plan.plan(chain, name).passages) for name in chain.nodes] == [0, 2, 0]


def test_who_measures_a_link_gets_in_by_it_alone(tmp_path: Path) -> None:
    """At a port that no serve has, and in one direction: the other end sends back over the same connection."""
    whole = lab(tmp_path, serves__chat__rpc_port=15201)
    found = {
        name: [
            (door.interface, str(door.source), str(door.destination))
            for door in firewall.plan.plan(whole, name).doors
            if door.port == 15202
        ]
        for name in whole.nodes
    }
    assert found == {
        "halo1": [],
        "halo2": [("thunderbolt0", "10.44.0.0", "10.44.0.1")],
        "halo3": [("thunderbolt1", "10.44.0.4", "10.44.0.5"), ("thunderbolt0", "10.44.0.8", "10.44.0.9")],
    }
    assert firewall.plan.plan(whole, "halo1").ports == (15201, 15202)


FABRIC = {"ethernet": {"halo1": "enp97s0", "halo3": "enp97s0"}, "subnet": "10.45.0.0/24", "mtu": 9000}


@pytest.mark.skipif(not shutil.which("nft") or not shutil.which("unshare"), reason="nft or unshare is not installed")
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"links__2": None},
        {"links__2": FABRIC},
        {"firewall": {"api": []}},
        {"firewall": {"api": ["0.0.0.0/0", "10.8.0.7/32"]}},
    ],
)
def test_nft_takes_the_rules_and_lists_them_as_the_simulated_one(tmp_path: Path, changed: dict[str, Any]) -> None:
    whole, path = lab(tmp_path, **changed), tmp_path / "rules.nft"
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    for name in whole.nodes:
        (rules, _) = firewall.plan.files(firewall.plan.plan(whole, name))
        path.write_text(rules.content)
        script = f"nft -f {shlex.quote(str(path))} && nft -s list table inet halofleet"
        result = subprocess.run([*command, "sh", "-c", script], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        simulated = Nftables(tmp_path)
        simulated.nft(Call("nft", "root", "/", ("-f", path.name)))
        assert result.stdout == simulated.tables["halofleet"]


# --- llama-server's flags


def test_the_flags_of_a_new_llama_server(tmp_path: Path) -> None:
    (server,) = llama_server.plan.plan(lab(tmp_path), "halo1")
    assert lines(arguments(server, NEW)) == [
        "--host 10.43.0.11",
        "--port 8080",
        "--model /var/lib/halofleet/models/tiny.gguf",
        "--alias tiny",
        "--ctx-size 2048",
        "--load-mode none",
        "--n-gpu-layers 999",
        "--metrics",
        "--rpc 10.44.0.1:50052,10.44.0.5:50052",
        "--cache-ram 0",
        "--device RPC0,RPC1",
        "--fit off",
        "--log-verbosity 4",
    ]


def test_an_old_llama_server_is_asked_in_its_own_words(tmp_path: Path) -> None:
    """One of August 2025, before --load-mode, --cache-ram and --fit."""
    (server,) = llama_server.plan.plan(lab(tmp_path), "halo1")
    words = arguments(server, OLD)
    assert "--no-mmap" in words
    assert {word for word in words if word.startswith("--")} <= OLD
    assert {word for word in arguments(server, NEW) if word.startswith("--")} <= NEW


@pytest.mark.parametrize(
    ("backend", "flags", "words"),
    [
        ("cpu", NEW, ["--load-mode", "none"]),
        ("vulkan", NEW, ["--load-mode", "dio"]),
        ("rocm", NEW, ["--load-mode", "dio"]),
        ("cpu", OLD, ["--no-mmap"]),
        ("rocm", OLD, ["--no-mmap"]),
        ("rocm", OLD | {"--direct-io"}, ["--direct-io"]),  # from December 2025 on
    ],
)
def test_a_model_is_never_mapped(backend: str, flags: frozenset[str], words: list[str]) -> None:
    assert llama_server.plan.load_mode(backend, flags) == words


@pytest.mark.parametrize(
    ("sizes", "backend", "device", "split"),
    [
        ({"halo1": "128GiB", "halo2": "64GiB", "halo3": "96GiB"}, "vulkan", "RPC0,RPC1,Vulkan0", "56,88,120"),
        ({"halo1": "128GiB", "halo2": "64GiB", "halo3": "96GiB"}, "cpu", "RPC0,RPC1", "56,88"),  # halo1 only controls
        ({"halo2": "64GiB", "halo3": "96GiB"}, "cpu", "RPC0,RPC1", "56,88"),
        ({"halo2": "64GiB", "halo3": "96GiB"}, "vulkan", "RPC0,RPC1,Vulkan0", ""),
        ({}, "cpu", "RPC0,RPC1", ""),
    ],
)
def test_layers_go_by_what_the_file_says_of_memory(
    tmp_path: Path, sizes: dict[str, str], backend: str, device: str, split: str
) -> None:
    changes: dict[str, Any] = {f"nodes__{name}__memory": {"installed": size} for name, size in sizes.items()}
    whole = lab(tmp_path, serves__chat__backend=backend, **changes)
    (server,) = llama_server.plan.plan(whole, "halo1")
    found = lines(arguments(server, NEW))
    assert f"--device {device}" in found
    assert [line for line in found if line.startswith("--tensor-split")] == (
        [f"--tensor-split {split}"] if split else []
    )


def test_a_device_alone_is_not_split(tmp_path: Path) -> None:
    whole = lab(tmp_path, serves__chat__workers=["halo2"], nodes__halo2__memory={"installed": "64GiB"})
    (server,) = llama_server.plan.plan(whole, "halo1")
    assert "--tensor-split" not in arguments(server, NEW)


def test_without_workers_there_is_no_rpc(tmp_path: Path) -> None:
    (server,) = llama_server.plan.plan(lab(tmp_path, serves__chat__workers=[]), "halo1")
    assert not {"--rpc", "--cache-ram"} & set(arguments(server, NEW))


@pytest.mark.parametrize(
    ("bind", "host", "url"),
    [
        ("10.43.0.11", "10.43.0.11", "http://10.43.0.11:8080/v1"),
        ("0.0.0.0", "0.0.0.0", "http://10.43.0.11:8080/v1"),  # noqa: S104  # a user's own choice
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8080/v1"),
    ],
)
def test_where_the_api_listens_and_how_it_is_reached(tmp_path: Path, bind: str, host: str, url: str) -> None:
    (server,) = llama_server.plan.plan(lab(tmp_path, serves__chat__bind=bind), "halo1")
    assert arguments(server, NEW)[:2] == ("--host", host)
    assert server.url == url


def test_in_a_chain_a_worker_is_known_by_its_loopback_address(tmp_path: Path) -> None:
    chain = lab(tmp_path, links__2=None)
    (server,) = llama_server.plan.plan(chain, "halo1")
    assert server.workers == ("10.44.0.1:50052", "10.44.255.252:50052")
    workers = [rpc_server.plan.plan(chain, name) for name in ("halo2", "halo3")]
    assert tuple(worker.endpoint for worker in workers if worker) == server.workers


def test_the_users_own_flags_come_last(tmp_path: Path) -> None:
    (server,) = llama_server.plan.plan(lab(tmp_path, serves__chat__extra=["--load-mode", "dio"]), "halo1")
    assert arguments(server, NEW)[-2:] == ("--load-mode", "dio")


def unquoted(line: str) -> str:
    """systemd.service(5): C-style escapes in double quotes; %% and $$ are one."""
    if line.startswith('"'):
        line = re.sub(r"\\(.)", r"\1", line[1:-1])
    return line.replace("%%", "%").replace("$$", "$")


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f"), min_size=1))
def test_quoting_comes_back(word: str) -> None:
    assert unquoted(quoted(word)) == word
    assert "\n" not in quoted(word)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("/models/a.gguf", "/models/a.gguf"),
        ("50%", "50%%"),
        ("${HOME}", '"$${HOME}"'),
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
        (";", '";"'),
    ],
)
def test_quoting(word: str, line: str) -> None:
    assert quoted(word) == line


# --- services

GOOD = UnitState("loaded", "active", "running", "enabled", False, 7, "id", "r1", "/x")


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (GOOD, []),
        (UnitState(), ["daemon-reload", "enable", "restart"]),
        (UnitState("loaded", "active", "running", "disabled", revision="r1"), ["enable"]),
        (UnitState("loaded", "active", "running", "enabled", revision="r0"), ["restart"]),
        (UnitState("loaded", "active", "running", "enabled", True, revision="r1"), ["daemon-reload"]),
        (UnitState("loaded", "active", "running", "enabled", True, revision="r0"), ["daemon-reload", "restart"]),
        (UnitState("loaded", "failed", "failed", "enabled"), ["restart"]),
        (UnitState("loaded", "active", "running", "enabled", revision="r1", exe="/x (deleted)"), ["restart"]),
        (UnitState("loaded", "activating", "auto-restart", "enabled"), ["restart"]),
        (UnitState("not-found", "active", "running", "enabled", revision="r1"), ["daemon-reload"]),
    ],
)
def test_the_commands_that_lead_to_a_service(state: UnitState, commands: list[str]) -> None:
    found = [str(command) for command in changes((Service("x.service", "r1"),), {"x.service": state})]
    assert [re.findall(r"systemctl (daemon-reload|enable|restart)", text)[-1] for text in found] == commands


def test_a_unit_that_is_not_ours_needs_only_to_run() -> None:
    assert not runs(Service("x.service"), UnitState(active="active", exe="/x (deleted)"))
    assert runs(Service("x.service"), UnitState(active="active"))
    assert not runs(Service("x.service"), UnitState(active="inactive"))


def test_the_key_the_release_and_every_flag_are_in_the_revision(tmp_path: Path) -> None:
    (server,) = llama_server.plan.plan(lab(tmp_path), "halo1")
    (other,) = llama_server.plan.plan(lab(tmp_path, llama_cpp__cmake={"cpu": ["-DX=1"]}), "halo1")
    (longer,) = llama_server.plan.plan(lab(tmp_path, serves__chat__context=8192), "halo1")
    units = [llama_server.plan.unit(each, NEW, key, "m") for each, key in ((server, "k"), (server, "l"), (other, "k"))]
    units += [llama_server.plan.unit(longer, NEW, "k", "m"), llama_server.plan.unit(server, frozenset(), "k", "m")]
    units += [llama_server.plan.unit(server, NEW, "k", "another model")]
    revisions = {service.revision for _, service in units}
    assert len(revisions) == len(units)
    for file, service in units:
        assert f"HALOFLEET_REVISION={service.revision}\n" in file.content


# --- files


def every_unit(whole: Lab) -> list[File]:
    files = [file for name in whole.nodes for file in firewall.plan.files(firewall.plan.plan(whole, name))]
    files += [llama_server.plan.unit(server, NEW, "k", "m")[0] for server in llama_server.plan.plan(whole, "halo1")]
    worker = rpc_server.plan.plan(whole, "halo2")
    assert worker is not None
    return [file for file in (*files, rpc_server.plan.unit(worker)[0]) if file.path.endswith(".service")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    paths = []
    for file in {file.path: file for file in every_unit(lab(tmp_path))}.values():
        path = tmp_path / Path(file.path).name
        # verify wants the programs to exist
        text = re.sub(r"^(Exec\w+=)(/opt/\S+|/usr/bin/python3|nft)", r"\1/bin/true", file.content, flags=re.M)
        path.write_text(text.replace("User=halofleet", "User=root"))
        paths.append(str(path))
    result = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    new = "Unknown key 'LogFilterPatterns'"  # to systemd before 253, as on Debian 12; the nodes' are 255 and newer
    ours = [line for line in result.stderr.splitlines() if "halofleet" in line and new not in line]
    assert ours == []


def link_files(plan: network.plan.Network, manager: str = NETWORKD) -> tuple[File, ...]:
    """On a host that has no other manager."""
    return files(plan, manager, {manager})


def test_the_link_files(tmp_path: Path) -> None:
    first, second = link_files(network.plan.plan(lab(tmp_path), "halo3"))
    assert first.path == "/etc/systemd/network/05-halofleet-thunderbolt1.network"
    assert (
        first.content
        == """\
# halofleet: the cable to halo1
[Match]
Name=thunderbolt1

[Link]
# An unplugged cable must not hold up the boot.
RequiredForOnline=no
MTUBytes=1500

[Network]
Address=10.44.0.5/31
IPv6AcceptRA=no
ConfigureWithoutCarrier=yes
IgnoreCarrierLoss=yes
IPv4Forwarding=no
"""
    )
    assert "\nAddress=10.44.0.9/31\n" in second.content
    assert not re.search("DHCP|Gateway|DNS", first.content + second.content)


def test_the_files_of_a_chain(tmp_path: Path) -> None:
    chain = lab(tmp_path, links__2=None)
    lo, end = link_files(network.plan.plan(chain, "halo1"))
    assert lo.path == "/etc/systemd/network/05-halofleet-lo.network"
    assert lo.content.startswith(
        "# halofleet: this node's address for nodes that have no link to it\n[Match]\nName=lo\n"
    )
    assert lo.content.endswith("\n[Network]\nAddress=10.44.255.254/32\n")
    assert "MTU" not in lo.content
    route = "\n[Route]\nDestination=10.44.255.252/32\nGateway=10.44.0.1\nPreferredSource=10.44.255.254\n"
    assert end.content.endswith(f"\nIPv4Forwarding=no\n{route}")
    first, second = link_files(network.plan.plan(chain, "halo2"))
    assert first.content.endswith("\nIPv4Forwarding=yes\n\n[Route]\nDestination=10.44.255.254/32\nGateway=10.44.0.0\n")
    assert second.content.endswith("\nIPv4Forwarding=yes\n\n[Route]\nDestination=10.44.255.252/32\nGateway=10.44.0.9\n")


KEYFILE = """\
# halofleet: the cable to halo2
[connection]
id=halofleet-thunderbolt0
uuid=UUID
type=ethernet
interface-name=thunderbolt0
# Before the profile that NetworkManager makes by itself, and however often the cable was out.
autoconnect-priority=999
autoconnect-retries=0

[ethernet]
mtu=1500

[ipv4]
method=manual
address1=10.44.0.0/31
never-default=true
route1=10.44.255.252/32,10.44.0.1
route1_options=src=10.44.255.254

[ipv6]
method=link-local
"""


def test_the_keyfiles_of_a_chain(tmp_path: Path) -> None:
    chain = lab(tmp_path, links__2=None)
    lo, end, conf, sysctl = link_files(network.plan.plan(chain, "halo1"), NETWORK_MANAGER)
    assert [file.path for file in (lo, end)] == [
        "/etc/NetworkManager/system-connections/halofleet-lo.nmconnection",
        "/etc/NetworkManager/system-connections/halofleet-thunderbolt0.nmconnection",
    ]
    assert [file.mode for file in (lo, end, conf, sysctl)] == ["600", "600", "644", "644"]
    assert re.sub(r"(?<=uuid=)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", end.content) == KEYFILE
    assert "\ntype=loopback\ninterface-name=lo\n" in lo.content
    assert lo.content.endswith("\n[ipv4]\nmethod=manual\naddress1=10.44.255.254/32\n")
    assert not re.search("mtu|ipv6|never", lo.content)
    assert conf.content.endswith(
        "\n[device-halofleet]\nmatch-device=interface-name:=thunderbolt0\nignore-carrier=true\n"
    )
    assert sysctl.content.endswith("\n-net/ipv4/conf/thunderbolt0/forwarding = 0\n")
    middle = link_files(network.plan.plan(chain, "halo2"), NETWORK_MANAGER)[-1].content
    assert middle.endswith("\n-net/ipv4/conf/thunderbolt0/forwarding = 1\n-net/ipv4/conf/thunderbolt1/forwarding = 1\n")


def test_profiles_have_names_of_their_own_and_keep_them(tmp_path: Path) -> None:
    def ids() -> list[str]:
        found = link_files(network.plan.plan(lab(tmp_path), "halo2"), NETWORK_MANAGER)
        return re.findall(r"^uuid=(.*)$", "".join(file.content for file in found), re.M)

    assert len(set(ids())) == 2
    assert ids() == ids()


def test_networkmanager_leaves_the_links_of_networkd_alone(tmp_path: Path) -> None:
    """Both run: without this it would ask for DHCP on a link that is plugged in anew (seen with 1.52)."""
    *_, conf = files(network.plan.plan(lab(tmp_path), "halo2"), NETWORKD, {NETWORKD, NETWORK_MANAGER})
    assert conf.path == "/etc/NetworkManager/conf.d/90-halofleet.conf"
    devices = "interface-name:=thunderbolt0,interface-name:=thunderbolt1"
    assert conf.content.endswith(f"\n[keyfile]\nunmanaged-devices+={devices}\n")


def test_a_fabrics_file(tmp_path: Path) -> None:
    content = link_files(network.plan.plan(lab(tmp_path, links__2=FABRIC), "halo3"))[1].content
    assert content.startswith("# halofleet: the fabric ethernet\n[Match]\nName=enp97s0\n")
    assert "\nMTUBytes=9000\n" in content
    assert "\nAddress=10.45.0.3/24\n" in content


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_link_is_looked_at_again_when_its_file_or_anything_of_it_differs(tmp_path: Path, manager: str) -> None:
    plan = network.plan.plan(lab(tmp_path, links__2=None), "halo1")
    lo, cable = plan.interfaces
    route = ("10.44.255.252", "10.44.0.1", "10.44.255.254")
    profiles = {"lo": "lo", "thunderbolt0": "thunderbolt0"}
    right = {
        "lo": Device(("127.0.0.1/8", "10.44.255.254/32"), 65536),
        "thunderbolt0": Device(("10.44.0.0/31",), 1500, frozenset({route})),
    }

    def differs(seen: Device | None = None, *, unread: str = "", interface: network.plan.Interface = cable) -> bool:
        devices = right if seen is None else right | {interface.name: seen}
        file = MANAGERS[manager].prefix + unread + MANAGERS[manager].suffix
        now = Links(manager, unread=frozenset({file}), profiles=profiles, devices=devices)
        return network.operations.differs(interface, now, plan.links_range)

    assert not differs()
    assert not differs(unread="thunderbolt1")
    assert differs(unread="thunderbolt0")
    assert differs(Device())
    now = right["thunderbolt0"]
    for addresses in ((), ("10.44.0.0/24",), ("10.44.0.0/31", "10.44.0.3/31")):
        assert differs(replace(now, addresses=addresses))
    assert differs(replace(now, mtu=9000))
    assert not differs(replace(now, forwards=True)), "the firewall lets nothing through"
    assert differs(now, interface=replace(cable, forwards=True))
    assert differs(replace(now, routes=frozenset()))
    for other in (
        {(*route[:2], "")},
        {(route[0], "10.44.0.9", route[2])},
        {route, ("10.44.255.251", "10.44.0.1", "")},
    ):
        assert differs(replace(now, routes=frozenset(other)))
    foreign = {("default", "10.44.0.1", ""), ("10.44.250.0/24", "10.44.0.1", ""), ("10.99.0.7", "10.44.0.1", "")}
    assert not differs(replace(now, routes=now.routes | foreign))
    assert not differs(interface=lo)
    assert not differs(replace(right["lo"], forwards=True), interface=lo)
    assert differs(Device(("127.0.0.1/8",), 65536), interface=lo)
    profiles["thunderbolt0"] = ""  # it looks right, and another program has made it so
    assert differs() is (manager == NETWORK_MANAGER)


def test_only_what_is_in_the_labs_ranges_and_on_no_link_of_ours_is_stray(tmp_path: Path) -> None:
    plan = network.plan.plan(lab(tmp_path, links__2=FABRIC, links__1=None), "halo2")
    seen = {
        "lo": Device(("127.0.0.1/8", "10.44.255.253/32")),
        "host0": Device(("10.43.0.12/24",), routes=frozenset({("default", "10.43.0.1", "")})),
        "thunderbolt0": Device(("10.44.0.9/31",)),  # wrong, and networkd's business
        "thunderbolt1": Device(
            ("10.44.0.8/31", "192.168.7.1/24"),
            routes=frozenset({("10.44.255.252", "10.44.0.9", ""), ("10.99.0.0/16", "10.44.0.9", "")}),
        ),
        "wg0": Device(("10.44.255.255/32", "10.44.0.5/24", "10.45.0.9/32")),  # somebody else's shapes
        "enp1s0": Device(("10.44.0.1/31",)),  # of another interface of ours
    }
    assert [
        command.partition(" 2>")[0] for command in network.operations.stray(plan, Links(NETWORKD, devices=seen))
    ] == [
        "ip address delete 10.44.255.253/32 dev lo",
        "ip route delete 10.44.255.252 via 10.44.0.9 dev thunderbolt1",
        "ip address delete 10.44.0.8/31 dev thunderbolt1",
        "ip address delete 10.44.0.1/31 dev enp1s0",
    ]


def test_no_server_waits_for_the_network_to_be_online(tmp_path: Path) -> None:
    """A cable that is not plugged in would hold up the others (systemd#30345)."""
    servers = [file.content for file in every_unit(lab(tmp_path)) if "Type=exec\n" in file.content]
    assert len(servers) == 2
    for content in servers:
        assert re.search(r"^After=(\S+ )*network\.target$", content, re.M)
        assert "network-online" not in content


def test_directories_come_before_what_is_in_them(tmp_path: Path) -> None:
    paths = [directory.path for directory in base.plan.directories(base.plan.plan(lab(tmp_path), "halo1"))]
    for index, path in enumerate(paths):
        assert not [later for later in paths[index:] if path.startswith(f"{later}/")]


def test_the_job_runner_passes_shellcheck(tmp_path: Path) -> None:
    checker = shutil.which("shellcheck") or str(Path(__import__("sys").executable).with_name("shellcheck"))
    script = tmp_path / "job.sh"
    script.write_text(RUNNER)
    result = subprocess.run([checker, str(script)], capture_output=True, text=True, check=False)
    assert result.stdout == ""


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1))
def test_a_line_of_the_unit_for_every_flag(words: list[str]) -> None:
    found = lines(tuple(words))
    assert " ".join(found) == " ".join(map(quoted, words))
    assert all(not shlex.quote(line).startswith("--") or line.startswith("--") for line in found)
