"""What facts make of what real hosts print: transcripts of Debian 13 (systemd 257, iproute2 6.15, dpkg 1.22)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.spec import load
from roles.base.facts import BaseState, BaseStates
from roles.lib import units
from roles.lib.connections import clients, ends, haunted, lost
from roles.lib.packages import Installed, InstalledPackages
from roles.lib.paths import Absent, Directory, File, PathStates, Seen, differs
from roles.lib.units import Connection, Service, UnitState, UnitStates, changes
from roles.llama_cpp.facts import Installed as InstalledFiles
from roles.llama_cpp.facts import InstalledReleases
from roles.llama_cpp.plan import plan as llama_cpp_plan
from roles.llama_server.facts import Key, KeyState
from roles.network.facts import Device, Links, LinkStates
from roles.preflight.facts import Snapshots
from roles.preflight.plan import Snapshot, judge
from roles.preflight.plan import plan as preflight_plan
from roles.verify.facts import Sights, UnitTrouble, WorkerBuffers

ROOT = Path(__file__).parents[2]

ADDRESSES = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue","operstate":'
    '"UNKNOWN","group":"default","txqlen":1000,"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,'
    '"scope":"host","label":"lo","valid_life_time":4294967295,"preferred_life_time":4294967295}]},'
    '{"ifindex":3,"link_index":3,"ifname":"thunderbolt0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,'
    '"qdisc":"noqueue","operstate":"UP","group":"default","txqlen":1000,"link_netnsid":1,"addr_info":[{"family":"inet",'
    '"local":"10.44.0.0","prefixlen":31,"scope":"global","label":"thunderbolt0","valid_life_time":4294967295,'
    '"preferred_life_time":4294967295}]}]'
)


ROUTES = (
    # iproute2 6.1 and 6.15: a /31 link, a route with a source, one without, others' routes of several kinds.
    '[{"dst":"default","gateway":"10.43.0.1","dev":"host0","protocol":"static","flags":[]},'
    '{"dst":"10.44.0.0/31","dev":"thunderbolt0","protocol":"kernel","scope":"link","prefsrc":"10.44.0.0","flags":[]},'
    '{"dst":"10.44.250.0/24","gateway":"10.44.0.1","dev":"thunderbolt0","flags":[]},'
    '{"dst":"10.44.255.251","gateway":"10.44.0.1","dev":"thunderbolt0","protocol":"static","flags":[]},'
    '{"dst":"10.44.255.252","gateway":"10.44.0.1","dev":"thunderbolt0","protocol":"static","prefsrc":"10.44.255.254",'
    '"flags":[]},'
    '{"dst":"10.97.0.0/16","flags":[],"nexthops":[{"gateway":"10.44.0.9","dev":"tb1","weight":1,"flags":[]},'
    '{"gateway":"10.44.0.1","dev":"thunderbolt0","weight":1,"flags":[]}]},'
    '{"type":"blackhole","dst":"10.98.0.0/16","flags":[]}]'
)
LO = Device(("127.0.0.1/8",), 65536)
CABLE = Device(("10.44.0.0/31",), 1500)


def test_addresses() -> None:
    devices = {"lo": LO, "thunderbolt0": CABLE}
    seen = ["active networkd", "manager networkd", "starts"]
    networkd = Links("networkd", frozenset({"networkd"}), starts=True, devices=devices)
    assert LinkStates().process([*seen, ADDRESSES, "[]"]) == networkd
    assert LinkStates().process([ADDRESSES, "[]"]) == Links(devices=devices)
    unread = ["unread /etc/a.network", "unread /etc/b.network"]
    assert LinkStates().process([*seen, *unread, ADDRESSES, "[]"]) == replace(
        networkd, unread=frozenset({"/etc/a.network", "/etc/b.network"})
    )


def test_profiles_of_networkmanager() -> None:
    """nmcli 1.52, `-t -f NAME,DEVICE connection show`, through the fact's sed: one in use, one without a device."""
    seen = ["active NetworkManager", "manager NetworkManager", "profile usb4-1 usb4-1", "profile usb4-9 "]
    found = LinkStates().process([*seen, ADDRESSES, "[]"])
    assert (found.manager, found.starts) == ("NetworkManager", False)
    assert found.profiles == {"usb4-1": "usb4-1", "usb4-9": ""}


def test_routes_with_a_gateway_and_forwarding() -> None:
    """`all` and `default` are in /proc too, and are no interfaces; of a route over several gateways nothing is said."""
    seen = LinkStates().process(["forwards all", "forwards thunderbolt0", ADDRESSES, ROUTES]).devices
    routes = {
        ("10.44.250.0/24", "10.44.0.1", ""),
        ("10.44.255.251", "10.44.0.1", ""),
        ("10.44.255.252", "10.44.0.1", "10.44.255.254"),
    }
    assert seen == {"lo": LO, "thunderbolt0": replace(CABLE, routes=frozenset(routes), forwards=True)}


def test_interfaces_without_an_address_are_empty_objects() -> None:
    """iproute2 6.1: `ip -j -4 address show` where an interface has none."""
    assert LinkStates().process([ADDRESSES.replace("[{", "[{},{}, {", 1), "[]"]).devices.keys() == {
        "lo",
        "thunderbolt0",
    }
    assert LinkStates().process(["[]", "[]"]) == Links()


def test_packages_of_apt() -> None:
    found = InstalledPackages().process(["tool apt", "installed ca-certificates", "config-files chrony"])
    assert found == Installed("apt", frozenset({"ca-certificates"}))


def test_packages_of_nobody_we_know() -> None:
    assert InstalledPackages().process(["tool none"]) == Installed("", frozenset())


def test_units() -> None:
    """Properties come in systemd's order, whatever was asked first."""
    states = UnitStates().process(
        """\
Unit=halofleet-server-chat.service
MainPID=1096
Id=halofleet-server-chat.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=no
InvocationID=63c59e658b8f48869fe4328fe572636e
HALOFLEET_REVISION=86f8f8fd020033b9
Exe=/opt/halofleet/llama.cpp/releases/x/bin/llama-server
Connection=10.44.0.0:55258 10.44.0.1:50052
Connection=10.44.0.4:60094 10.44.0.5:50052
Unit=nope.service
MainPID=0
Id=nope.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no
InvocationID=""".splitlines()
    )
    server, nope = states["halofleet-server-chat.service"], states["nope.service"]
    assert (server.pid, server.active, server.file, server.revision) == (1096, "active", "enabled", "86f8f8fd020033b9")
    assert server.exe == "/opt/halofleet/llama.cpp/releases/x/bin/llama-server"
    assert server.connections[1] == Connection("10.44.0.4:60094", "10.44.0.5:50052")
    assert (nope.load, nope.pid, nope.file, nope.revision, nope.connections) == ("not-found", 0, "", "", ())


def test_libraries_that_were_replaced_under_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fact's own command, run here against a process that has mapped files which are gone."""
    library, own = tmp_path / "packages/a library.so.1", tmp_path / "own"
    library.parent.mkdir()
    monkeypatch.setattr(units, "PACKAGED", str(library.parent).removeprefix("/"))
    maps = "import mmap, sys; files = [open(name, 'rb') for name in sys.argv[1:]]; "
    maps += "maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]"
    for path in (library, own):
        path.write_bytes(bytes(4096))
    words = [sys.executable, "-c", f"{maps}; print('up', flush=True); input()", str(library), str(own)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        command = UnitStates().command(("a.service",)).get_raw_value()
        fake = f"systemctl() {{ case $* in *--value*) echo {process.pid} ;; *) echo ActiveState=active ;; esac; }}; "

        def outdated() -> tuple[str, ...]:
            said = subprocess.run(["/bin/sh", "-c", fake + command], capture_output=True, text=True, check=True)
            return UnitStates().process(said.stdout.splitlines())["a.service"].outdated

        assert outdated() == ()
        own.unlink()
        assert outdated() == (), "a file of nobody's package"
        library.unlink()
        assert outdated() == (str(library),)
        process.communicate(b"\n")


def test_what_was_upgraded_counts_where_it_is_asked_for() -> None:
    service = Service("a.service", "1")
    old = UnitState("loaded", "active", "running", "enabled", revision="1", outdated=("/usr/lib/libc.so.6",))
    assert list(changes((service,), {"a.service": old})) == []
    (command,) = changes((service,), {"a.service": old}, renew=True)
    assert "systemctl restart a.service" in command.get_raw_value()
    assert list(changes((service,), {"a.service": replace(old, outdated=())}, renew=True)) == []


def test_paths_by_the_real_command(tmp_path: Path) -> None:
    """The fact's own command, run here: spaces, quotes and links are no trouble."""
    (tmp_path / "a file's").write_text("x")
    (tmp_path / "folder").mkdir(mode=0o750)
    (tmp_path / "dangling").symlink_to("no where")
    names = ("a file's", "folder", "dangling", "gone")
    command = PathStates().command(tuple(str(tmp_path / name) for name in names), (f"{tmp_path}/f*",))
    result = subprocess.run(["/bin/sh", "-c", command.get_raw_value()], capture_output=True, text=True, check=True)
    seen = PathStates().process(result.stdout.splitlines())
    file, folder, dangling, gone = (seen[str(tmp_path / name)] for name in names)
    assert (file.kind, file.content) == ("file", File("", "x").sha256)
    assert (folder.kind, folder.mode) == ("directory", "750")
    assert (dangling.kind, dangling.content, gone.kind) == ("link", "no where", "absent")
    assert len(seen) == 4


def test_a_pattern_that_matches_nothing_is_absent(tmp_path: Path) -> None:
    command = PathStates().command((), (f"{tmp_path}/*.network",)).get_raw_value()
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert [seen.kind for seen in PathStates().process(result.stdout.splitlines()).values()] == ["absent"]


@pytest.mark.parametrize(
    ("wanted", "seen", "touched"),
    [
        (File("/x", "a"), Seen("file", "644", "root", "root", File("/x", "a").sha256), False),
        (File("/x", "a"), Seen("file", "600", "root", "root", File("/x", "a").sha256), True),
        (File("/x", "a"), Seen("file", "644", "box", "root", File("/x", "a").sha256), True),
        (File("/x", "a"), Seen("link", "-", "-", "-", "y"), True),
        (Directory("/x"), Seen("directory", "755", "root", "root", "-"), False),
        (Directory("/x"), Seen("directory", "700", "root", "root", "-"), True),
        (Absent("/x"), Seen("absent", "-", "-", "-", "-"), False),
        (Absent("/x"), Seen("link", "-", "-", "-", "y"), True),
    ],
)
def test_what_differs(wanted: File | Directory | Absent, seen: Seen, touched: bool) -> None:
    assert differs(wanted, seen) is touched


def test_the_first_clock_counts() -> None:
    assert BaseStates().process(["user", "clock chronyd.service"]) == BaseState(True, "chronyd.service")
    assert BaseStates().process(["clock ntpd.service"]) == BaseState(False, "ntpd.service")


def test_a_release() -> None:
    sums = "f6e4fc96  help/ggml-rpc-server.txt"
    seen = InstalledReleases().process(["release x releases/x", sums, sums, "release y "])
    assert seen == {"x": InstalledFiles(f"{sums}\n{sums}\n", "releases/x"), "y": InstalledFiles("", "")}


SNAPSHOT = [
    "os debian-13", "arch x86_64", "free 78567", "systemd 257", "root yes", "interface lo", "interface host0",
    "interface thunderbolt0",
    "ssh_interface host0",
    "active networkd", "manager networkd",
]  # fmt: skip


def test_a_snapshot() -> None:
    assert Snapshots().process(SNAPSHOT) == Snapshot(
        "debian-13", "x86_64", 78567, 257, True, frozenset({"lo", "host0", "thunderbolt0"}), "host0", "",
        manager="networkd",
    )  # fmt: skip
    assert Snapshots().process([*SNAPSHOT, "lock me@here pid 7 since 2026"]).lock == "me@here pid 7 since 2026"


@pytest.mark.parametrize(
    ("gone", "rules"),
    [
        (None, []),
        ("os debian-13", ["os"]),
        ("arch x86_64", ["architecture"]),
        ("free 78567", ["free space in /var/lib"]),
        ("systemd 257", ["PID 1"]),
        ("root yes", ["commands run as root"]),
        ("interface thunderbolt0", ["interface thunderbolt0"]),
        ("manager networkd", ["network manager"]),
    ],
)
def test_preflight_judges(gone: str | None, rules: list[str]) -> None:
    lab = load(ROOT / "inventory/lab.yml")
    expected = replace(preflight_plan(lab, "halo1"), arch="x86_64", interfaces=("thunderbolt0",))
    findings = judge(expected, Snapshots().process([line for line in SNAPSHOT if line != gone]), builds=False)
    assert [finding.rule for finding in findings] == rules
    assert all(finding.severity == "stop" and finding.node == "halo1" and finding.fix for finding in findings)


def test_a_link_must_not_be_the_interface_that_ssh_comes_in_over() -> None:
    lab = load(ROOT / "inventory/lab.yml")
    expected = replace(preflight_plan(lab, "halo1"), arch="x86_64", interfaces=("host0",))
    (finding,) = judge(expected, Snapshots().process(SNAPSHOT), builds=False)
    assert finding.seen == "SSH comes in over it"


def test_a_firewall_that_is_meant_to_run_and_does_not_is_named() -> None:
    expected = replace(preflight_plan(load(ROOT / "inventory/lab.yml"), "halo1"), arch="x86_64", interfaces=())
    seen = Snapshots().process([*SNAPSHOT, "broken firewalld: failed, enabled", "broken ufw: enabled, not loaded"])
    findings = judge(expected, seen, builds=False)
    assert [(finding.rule, finding.seen) for finding in findings] == [
        ("firewall", "firewalld: failed, enabled"),
        ("firewall", "ufw: enabled, not loaded"),
    ]


@pytest.mark.parametrize(("manager", "stops"), [("networkd", True), ("NetworkManager", False)])
def test_only_an_old_networkd_cannot_forward_by_link(manager: str, stops: bool) -> None:
    expected = replace(preflight_plan(load(ROOT / "inventory/lab.yml"), "halo1"), arch="x86_64", interfaces=())
    seen = replace(Snapshots().process(SNAPSHOT), systemd=255, manager=manager)
    found = [finding.rule for finding in judge(replace(expected, forwards=True), seen, builds=False)]
    assert found == (["systemd of a node in the middle"] if stops else [])


def test_a_builder_needs_more_room() -> None:
    expected = replace(preflight_plan(load(ROOT / "inventory/lab.yml"), "halo1"), arch="x86_64", interfaces=())
    seen = Snapshots().process([*SNAPSHOT, "free 2000"])
    assert judge(expected, seen, builds=False) == []
    assert [finding.rule for finding in judge(expected, seen, builds=True)] == ["free space in /var/lib"]


def test_sights() -> None:
    sight = Sights().process(
        [
            "unit halofleet-rpc-server.service ",
            "listens 10.44.0.1:50052",
            "listens [::]:22",
            "commit a-vulkan 0c1e57098",
            "device a-vulkan Vulkan0 llvmpipe (LLVM 19.1.7, 256 bits) (24105 MiB, 24105 MiB free)",
            "said halofleet-rpc-server.service error: unknown device: Vulkan0",
            "said halofleet-rpc-server.service ",
            "said halofleet-rpc-server.service available devices:",
        ]
    )
    assert sight.exes == {"halofleet-rpc-server.service": ""}
    assert sight.listens == ("10.44.0.1:50052", "[::]:22")
    assert sight.commits == {"a-vulkan": "0c1e57098"}
    assert sight.devices["a-vulkan"]["Vulkan0"].startswith("llvmpipe")
    words = ("error: unknown device: Vulkan0", "available devices:")
    assert sight.last_words == {"halofleet-rpc-server.service": words}


def test_a_program_whose_file_was_replaced_is_told_from_the_new_one() -> None:
    sight = Sights().process(["unit x.service /opt/a/bin/llama-server (deleted)"])
    assert sight.exes["x.service"] == "/opt/a/bin/llama-server (deleted)"


@pytest.mark.parametrize(
    ("seen", "private"),
    [("400 root:root", True), ("440 root:root", False), ("400 root:box", False), ("400 box:root", False)],
)
def test_a_key(seen: str, private: bool) -> None:
    assert KeyState().process(["f6e4fc96", seen]) == Key("f6e4fc96", private)


def test_a_key_by_the_real_command(tmp_path: Path) -> None:
    """Byte for byte; an empty file, or a line that is no key, makes none."""
    path = tmp_path / "a serve's.key"
    command = ["/bin/sh", "-c", KeyState().command(str(path)).get_raw_value()]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    path.touch()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    path.write_bytes(b"\n")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    for bad in (b"0123456789abcdef\r\n", b"# my key\n0123456789abcdef\n", b"short\n0123456789abcdef\n"):
        path.write_bytes(bad)
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    path.write_bytes(b"0123456789abcdef\n\nfedcba9876543210\n")
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert KeyState().process(lines).digest == hashlib.sha256(b"0123456789abcdef\n\nfedcba9876543210\n").hexdigest()


@pytest.mark.parametrize(
    ("said", "commit"),
    [
        ("version: 0.5.0-dev (build 0, commit 0c1e57098)\nbuilt with GNU 14.2.0 for Linux x86_64\n", "0c1e57098"),
        ("version: 0 (4227c9be4)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n", "4227c9be4"),
    ],
)
def test_a_programs_own_words_are_what_the_command_looks_for(said: str, commit: str) -> None:
    """`llama-server --version` of two releases, through the command's own sed."""
    (release,) = llama_cpp_plan(load(ROOT / "inventory/lab.yml"), "halo1")
    script = Sights().command((), (release,)).get_raw_value().rpartition("| ")[2]
    result = subprocess.run(["/bin/sh", "-c", script], input=said, capture_output=True, text=True, check=True)
    assert result.stdout == f"commit {release.id} {commit}\n"


def test_buffers_of_workers_in_a_journal() -> None:
    """Lines of llama-server on the lab; a KV buffer alone does not count, nor a model buffer of nothing."""
    journal = """\
0.00.112.796 I load_tensors:          CPU model buffer size =    15.62 MiB
0.00.112.867 I load_tensors: RPC0[10.44.0.1:50052] model buffer size =    10.01 MiB
0.00.112.902 I load_tensors: RPC0[10.44.0.5:50052] model buffer size =     0.00 MiB
0.00.202.129 I llama_kv_cache: RPC0[10.44.0.5:50052] KV buffer size =     6.00 MiB
"""
    script = WorkerBuffers().command("x").get_raw_value()
    sed = "sed" + script.partition("| sed")[2].partition(" >")[0]
    result = subprocess.run(["/bin/sh", "-c", sed], input=journal, capture_output=True, text=True, check=True)
    assert WorkerBuffers().process(result.stdout.splitlines()) == {"10.44.0.1:50052"}


def test_trouble() -> None:
    assert UnitTrouble().process(["3", "one", "two"]) == (3, "one\ntwo")


# --- connections

MINE = (Connection("10.44.0.0:55258", "10.44.0.1:50052"), Connection("10.43.0.11:8080", "10.43.0.1:4711"))
WORKER = "10.44.0.1:50052"


def test_both_ends_of_a_connection() -> None:
    assert ends(MINE, WORKER) == {"10.44.0.0:55258"}
    assert clients((Connection(WORKER, "10.44.0.0:55258"),), WORKER) == {"10.44.0.0:55258"}


@pytest.mark.parametrize(
    ("told", "gone"),
    [
        ({}, []),
        ({WORKER: frozenset({"10.44.0.0:55258"})}, []),
        ({WORKER: frozenset()}, [WORKER]),
        ({WORKER: frozenset({"10.44.0.0:1"})}, [WORKER]),
    ],
)
def test_a_controller_has_lost_a_worker(told: dict[str, frozenset[str]], gone: list[str]) -> None:
    assert lost((WORKER,), MINE, told) == gone
    assert lost(("10.44.0.9:50052",), MINE, told) == ["10.44.0.9:50052"]


@pytest.mark.parametrize(
    ("told", "yes"),
    [({}, False), ({WORKER: frozenset({"a:1"})}, False), ({WORKER: frozenset()}, True)],
)
def test_a_worker_is_haunted(told: dict[str, frozenset[str]], yes: bool) -> None:
    assert haunted(WORKER, frozenset({"a:1"}), told) is yes
    assert not haunted(WORKER, frozenset(), told)
