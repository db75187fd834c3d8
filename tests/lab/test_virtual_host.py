"""The virtual hosts for real: an instance of its own, with ranges of its own, beside whatever else runs here."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inventory.spec.home import cache
from roles.virtual_host.names import Instance
from tests.thorough import some

WEIGHT = 2

CHECKOUT = Path(__file__).resolve().parents[2]
FORWARDING = Path("/run/halofleet/forwarding/users")
MANAGEMENT, LINKS, FABRIC = "10.143.0", "10.144.0.0/16", "10.147.0"
PAIR = {"box1": 1, "box2": 2}
FOUR = {f"box{number}": number for number in range(1, 5)}
CABLE: dict[str, Any] = {"usb4": {"box1": "thunderbolt0", "box2": "thunderbolt0"}}
SWITCHED: dict[str, Any] = {"ethernet": ["box1", "box2"], "subnet": f"{FABRIC}.0/24", "mtu": 9000}


def needs_root() -> None:
    """A lab test that cannot run here is skipped with the reason; in CI that is a failure."""
    if os.geteuid() == 0:
        return
    reason = "virtual hosts need root"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Lab:
    """The instance under test, driven as a user drives it."""

    folder: Path
    instance: Instance

    @property
    def file(self) -> Path:
        return self.folder / "pair.yml"

    def write(self, nodes: dict[str, int], links: list[dict[str, Any]]) -> None:
        first, *others = nodes
        content = {
            "management": f"{MANAGEMENT}.0/24",
            "virtual": {},
            "links_range": LINKS,
            "nodes": {
                name: {"id": number, "address": f"{MANAGEMENT}.{10 + number}", "os": "debian-13", "kernel": "none"}
                for name, number in nodes.items()
            },
            "links": links,
            "llama_cpp": {"source": {"git": "https://example.org/llama.cpp", "ref": "b1"}},
            "models": {"nonsense": {"random": "llama-spm"}},
            "serves": {"chat": {"model": "nonsense", "controller": first, "workers": others[:1]}},
        }
        self.file.write_text(json.dumps(content))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HALOFLEET_LAB": self.instance.name, "HALOFLEET_HOME": str(self.instance.home)}

    def start(self, deploy: str, *arguments: str) -> subprocess.Popen[str]:
        command = [
            str(Path(sys.executable).with_name("pyinfra")),
            *("-y", "--json", "@local", f"deploys/{deploy}.py", "--data", f"lab={self.file}", *arguments),
        ]
        return subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, deploy: str, status: int = 0) -> tuple[int, str]:
        """How many operations changed something, and what was said."""
        process = self.start(deploy)
        out, said = process.communicate(timeout=300)
        assert process.returncode == status, said + out
        return (json.loads(out)["results"]["totals"]["success"] if status == 0 else 0), said

    def up(self) -> int:
        return self.run("virtual_lab")[0]

    def down(self) -> int:
        return self.run("virtual_lab_down")[0]

    def ssh(self, number: int, *command: str) -> str:
        home = self.instance.home / "labs" / "pair"
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={home / 'known_hosts'}"]
        words = ["ssh", "-i", str(home / "id_ed25519"), *(f"-o{option}" for option in options)]
        return output(*words, f"root@{MANAGEMENT}.{10 + number}", *command)

    def inside(self, node: str, *command: str) -> str:
        return output("ip", "netns", "exec", self.instance.netns(node), *command)

    def supervisor(self, node: str) -> int:
        return int(output("pgrep", "--full", f"supervisor.py {self.instance.host_dir(node)}$"))


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def traces(lab: Lab) -> dict[str, list[str]]:
    """What a lab could leave behind: of this instance by name, and what has no name as a whole."""
    mine = (lab.instance.full, lab.instance.interfaces, str(lab.instance.state))

    def of(lines: str) -> list[str]:
        return sorted(line for line in lines.splitlines() if any(name in line for name in mine))

    groups = "\n".join(folder for folder, _, _ in os.walk("/sys/fs/cgroup"))
    environments = [path for path in Path("/proc").glob("[0-9]*/environ") if marked(path, lab.instance.full)]
    return {
        "links": of(output("ip", "-o", "link")),
        "namespaces": of(output("ip", "netns", "list")),
        "tables": of(output("nft", "list", "tables")),
        "mounts": of(Path("/proc/self/mounts").read_text()),
        "processes": of(output("ps", "-eo", "args")) + [str(path) for path in environments],
        "groups": of(groups),
        "abandoned groups": sorted(filter(abandoned, map(str, Path("/sys/fs/cgroup").glob("*/[ps]*")))),
        "forwarding": of("\n".join(map(str, FORWARDING.glob("*")))),
        "nspawn": of("\n".join(map(str, Path("/run/systemd/nspawn").rglob("*")))),
        "files": [str(path) for path in (lab.instance.home / "virtual").glob("*")],
    }


def ip_forward() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text()


def left(lab: Lab, before: dict[str, list[str]]) -> dict[str, list[str]]:
    """What there is more than before. A host of another lab's has a group with nothing in it while it starts."""
    for _ in range(10):
        found = {kind: sorted({*now} - {*before[kind]}) for kind, now in traces(lab).items()}
        if not any(found.values()):
            return {}
        time.sleep(1)
    return {kind: now for kind, now in found.items() if now}


def abandoned(group: str) -> bool:
    """A group as nspawn makes them for a host that has none of its own, and nothing in it: another's is in use."""
    members = (path.read_text() for path in Path(group).rglob("cgroup.procs"))
    return Path(group).name in ("payload", "supervisor") and not any(members)


def marked(path: Path, name: str) -> bool:
    try:
        return f"HALOFLEET_WORK={name}".encode() in path.read_bytes()
    except OSError:
        return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    needs_root()
    folder = tmp_path_factory.mktemp("lab")
    home = (folder / "home").resolve()
    (home / "cache").mkdir(parents=True)
    cache("images").mkdir(parents=True, exist_ok=True)
    (home / "cache" / "images").symlink_to(cache("images"))  # building it again would prove nothing new
    lab = Lab(folder, Instance(f"test-{os.getpid()}", home, CHECKOUT))
    lab.write(PAIR, [CABLE])
    before, alone, forwards = traces(lab), not any(FORWARDING.glob("*")), ip_forward()
    yield lab
    lab.down()
    assert left(lab, before) == {}
    if alone and not any(FORWARDING.glob("*")):  # another lab beside may need it by now
        assert ip_forward() == forwards
    assert lab.down() == 0
    shutil.rmtree(folder)


@pytest.fixture
def running(lab: Lab) -> Lab:
    """Booted, with the two boxes of the first lab.yml."""
    lab.write(PAIR, [CABLE])
    lab.up()
    return lab


def boot_id(lab: Lab, number: int) -> str:
    """/proc/sys/kernel/random/boot_id is the machine's; the start of the host's own PID 1 is not."""
    return lab.ssh(number, "cut -d' ' -f22 /proc/1/stat")


def until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while callable(condition):
        try:
            if condition():
                return
        except subprocess.CalledProcessError:
            pass
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.3)


def test_hosts_boot_with_cgroup_v2_and_a_way_out(running: Lab) -> None:
    for number in (1, 2):
        assert running.ssh(number, "hostname") == f"box{number}"
        assert running.ssh(number, "systemctl is-system-running") == "running"
        assert running.ssh(number, "stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
        assert f"{MANAGEMENT}.1" in running.ssh(number, "ip route show default")
    assert running.ssh(1, "cat /etc/machine-id") != running.ssh(2, "cat /etc/machine-id")


def test_second_run_changes_nothing(running: Lab) -> None:
    before = [boot_id(running, number) for number in (1, 2)]
    assert running.up() == 0
    assert [boot_id(running, number) for number in (1, 2)] == before


def test_cable_carries_packets_and_survives_a_reboot(running: Lab) -> None:
    for number, node in ((1, "box1"), (2, "box2")):
        running.inside(node, "ip", "address", "add", f"10.144.0.{number + 1}/31", "dev", "thunderbolt0")
    running.ssh(1, "ping -c 2 -W 2 10.144.0.3")
    index, space, boot = (
        running.inside("box1", "cat", "/sys/class/net/thunderbolt0/ifindex"),
        output("stat", "--format=%i", f"/run/netns/{running.instance.netns('box1')}"),
        boot_id(running, 1),
    )
    running.ssh(1, "systemctl --no-block reboot")
    until(lambda: boot_id(running, 1) != boot)
    assert running.inside("box1", "cat", "/sys/class/net/thunderbolt0/ifindex") == index
    assert output("stat", "--format=%i", f"/run/netns/{running.instance.netns('box1')}") == space
    assert "10.144.0.2" not in running.inside("box1", "ip", "address"), "a rebooted machine has forgotten it"
    running.inside("box1", "ip", "address", "add", "10.144.0.2/31", "dev", "thunderbolt0")
    running.ssh(1, "ping -c 2 -W 2 10.144.0.3")
    until(lambda: running.ssh(1, "systemctl is-system-running") == "running")
    assert running.up() == 0


def test_power_off_ends_the_host_and_the_next_run_starts_it(running: Lab) -> None:
    running.ssh(1, "echo kept >/root/kept")
    supervisor, other = running.supervisor("box1"), boot_id(running, 2)
    running.ssh(1, "systemctl --no-block poweroff")
    until(lambda: not Path(f"/proc/{supervisor}").exists())
    assert running.up() == 2  # started, and waited for
    assert running.ssh(1, "cat /root/kept") == "kept"
    assert boot_id(running, 2) == other
    assert running.up() == 0


@pytest.mark.parametrize("victim", ["supervisor", "nspawn"])
def test_killed_process_is_healed(running: Lab, victim: str) -> None:
    pid = running.supervisor("box2")
    if victim == "nspawn":
        pid = int(output("pgrep", "--parent", str(pid)))
    os.kill(pid, signal.SIGKILL)
    until(lambda: running.instance.netns("box2") not in output("ps", "-eo", "args"))
    assert running.up() > 0
    assert running.ssh(2, "hostname") == "box2"
    assert running.up() == 0


def test_changed_lab_touches_nothing_else(running: Lab) -> None:
    before = [boot_id(running, number) for number in (1, 2)]
    running.write({**PAIR, "box3": 3}, [CABLE, {"usb4": {"box2": "thunderbolt1", "box3": "thunderbolt0"}}])
    assert running.up() > 0
    assert running.ssh(3, "hostname") == "box3"
    assert running.up() == 0

    # The same names, cabled otherwise: a cable is known by both of its ends.
    crossed = ({"box1": "thunderbolt0", "box2": "thunderbolt1"}, {"box2": "thunderbolt0", "box3": "thunderbolt0"})
    running.write({**PAIR, "box3": 3}, [{"usb4": ends} for ends in crossed])
    assert running.up() == 1
    assert "box1:thunderbolt0 box2:thunderbolt1" in running.inside("box2", "ip", "link", "show", "thunderbolt1")
    assert running.up() == 0

    running.write(PAIR, [CABLE])
    assert running.up() > 0
    assert running.instance.netns("box3") not in output("ip", "netns", "list")
    assert not running.instance.host_dir("box3").exists()
    assert "thunderbolt1" not in running.inside("box2", "ip", "link")
    assert [boot_id(running, number) for number in (1, 2)] == before
    assert running.up() == 0


def test_fabric_and_cable_pass_their_mtu_and_the_machine_has_no_part_in_it(lab: Lab) -> None:
    fabric = {"ethernet": {"box1": "enp1s0", "box2": None, "box4": "enp1s0"}, "subnet": f"{FABRIC}.0/24", "mtu": 9000}
    lab.write(FOUR, [fabric, {"usb4": ["box2", "box3"], "mtu": 65520}, {"usb4": ["box3", "box1"]}])
    lab.up()
    assert lab.up() == 0
    for node, interface in (("box1", "enp1s0"), ("box2", "ethernet"), ("box4", "enp1s0")):
        lab.inside(node, "ip", "address", "add", f"{FABRIC}.{FOUR[node]}/24", "dev", interface)
    lab.inside("box2", "ip", "address", "add", "10.144.0.8/31", "dev", "usb4-3")
    lab.inside("box3", "ip", "address", "add", "10.144.0.9/31", "dev", "usb4-2")
    with everything_dropped(lab, f"{FABRIC}.0/24"):
        assert full_size(lab, "box1", f"{FABRIC}.2", 9000)
        assert full_size(lab, "box2", f"{FABRIC}.4", 9000)
        assert full_size(lab, "box4", f"{FABRIC}.1", 9000)
    assert not full_size(lab, "box1", f"{FABRIC}.2", 9001)
    assert full_size(lab, "box3", "10.144.0.8", 65520)
    assert not full_size(lab, "box1", f"{FABRIC}.3", 1500), "box3 is not plugged into the fabric"
    ours = [line.split()[1] for line in output("ip", "-o", "link").splitlines() if lab.instance.interfaces in line]
    assert len(ours) == 1 + len(FOUR), "on the machine are the bridge and a way to each host, and nothing else"


def test_fabrics_and_cables_change_under_running_hosts(lab: Lab) -> None:
    fabric: dict[str, Any] = {"ethernet": ["box1", "box2", "box3", "box4"], "subnet": f"{FABRIC}.0/24"}
    lab.write(FOUR, [fabric])
    lab.up()
    before = {number: boot_id(lab, number) for number in FOUR.values()}
    pairs: list[dict[str, Any]] = [
        {"usb4": ["box1", "box2"], "mtu": 9000},
        {"usb4": {"box3": "ethernet", "box4": "ethernet"}},
    ]
    renamed = {**fabric, "ethernet": {"box1": "enp1s0", "box2": "usb4-1", "box3": "enp1s0"}, "mtu": 9000}
    other = {"ethernet": ["box3", "box4"], "subnet": "10.148.0.0/24", "name": "storage"}
    narrow = {**fabric, "ethernet": {"box1": "enp1s0", "box3": "enp2s0"}}
    changes: list[list[dict[str, Any]]] = [[*pairs, narrow], [renamed, other], [fabric]]
    for change in changes:
        lab.write(FOUR, change)
        assert lab.up() > 0
        assert lab.up() == 0

    lab.write(FOUR, [{**fabric, "mtu": 9000}])
    assert lab.up() == 1
    for node in FOUR:
        links = lab.inside(node, "ip", "-br", "link").splitlines()
        assert sorted(link.split("@")[0] for link in links if "@" in link) == ["ethernet", "host0"]
        assert lab.inside(node, "cat", "/sys/class/net/ethernet/mtu") == "9000"
    assert lab.inside("fabric.ethernet", "cat", "/sys/class/net/switch/mtu") == "9000"
    assert {number: boot_id(lab, number) for number in FOUR.values()} == before


def full_size(lab: Lab, node: str, address: str, size: int) -> bool:
    """Does an unfragmented packet of so many bytes come back? 28 of them are headers."""
    return "1 received" in lab.ssh(FOUR[node], f"ping -c 1 -W 2 -M do -s {size - 28} {address} || true")


@contextmanager
def everything_dropped(lab: Lab, network: str) -> Iterator[None]:
    """The machine drops whatever it forwards of this network, routed or bridged, as docker may."""
    table = f"{lab.instance.full}.drop"
    chain = f"chain passing {{\ntype filter hook forward priority 0\nip daddr {network} drop\n}}"
    output("nft", "".join(f"table {family} {table} {{\n{chain}\n}}\n" for family in ("ip", "bridge")))
    try:
        yield
    finally:
        output("nft", f"delete table ip {table}; delete table bridge {table}")


def test_host_key_is_pinned_and_foreign_entries_stay(running: Lab) -> None:
    known = running.instance.home / "labs" / "pair" / "known_hosts"
    known.write_text(f"192.0.2.99 ssh-ed25519 AAAA\n{MANAGEMENT}.11 ssh-ed25519 AAAAstale\n")
    assert running.up() == 1
    lines = known.read_text().splitlines()
    assert lines[0] == "192.0.2.99 ssh-ed25519 AAAA"
    assert len(lines) == 3
    assert running.ssh(1, "hostname") == "box1"


STEPS = ("base tree", "keys", "bridge and the way out", "network namespaces", "links", "hosts", "hosts answer")


@pytest.mark.parametrize("step", some(STEPS, every=3))
def test_killed_anywhere_and_run_again_it_finishes(lab: Lab, step: str) -> None:
    lab.write(PAIR, [CABLE, SWITCHED])
    lab.down()
    kill_in(lab.start("virtual_lab"), step)
    lab.up()
    assert [lab.ssh(number, "hostname") for number in (1, 2)] == ["box1", "box2"]
    assert lab.up() == 0


@pytest.mark.parametrize("step", some(STEPS, first=1, every=3))
def test_down_leaves_nothing_after_a_crash_anywhere(lab: Lab, step: str) -> None:
    lab.down()
    nothing = traces(lab)
    lab.write(PAIR, [CABLE, SWITCHED])
    kill_in(lab.start("virtual_lab"), step)
    lab.file.write_text("not: [a lab")
    kill_in(lab.start("virtual_lab_down"), ("processes", "bridge and the way out", "hosts' files")[len(step) % 3])
    lab.down()
    assert left(lab, nothing) == {}
    assert lab.down() == 0


def kill_in(process: subprocess.Popen[str], step: str) -> None:
    """Kill pyinfra, and only it, soon after the step began: what it has started goes on, as it would for a user."""
    assert process.stderr is not None
    for line in process.stderr:
        if "Starting operation" in line and line.strip().endswith(step):
            time.sleep(random.Random(step).uniform(0, 0.25))  # noqa: S311
            break
    process.kill()
    process.communicate()


def test_taken_range_is_refused_with_its_owner(running: Lab) -> None:
    other = Lab(running.folder, Instance("test-other", running.instance.home, CHECKOUT))
    _, said = other.run("virtual_lab", status=2)
    assert said.strip().splitlines()[-1].endswith(f"(the lab {running.instance.name} of {CHECKOUT})")
    assert f"management: {MANAGEMENT}.0/24 is taken: {running.instance.bridge} has {MANAGEMENT}.1/24" in said
    assert not other.instance.state.exists()


def test_two_runs_at_once_the_second_is_refused(lab: Lab) -> None:
    lab.down()
    lab.write(PAIR, [CABLE])
    first = lab.start("virtual_lab")
    until(lab.instance.lock.exists)
    _, said = lab.run("virtual_lab", status=2)
    assert f"is being worked on by process {first.pid}" in said
    first.communicate(timeout=120)
    assert first.returncode == 0


def test_no_room_is_refused_in_one_line(lab: Lab) -> None:
    small = lab.folder / "small"
    small.mkdir()
    output("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(small))
    try:
        other = Lab(lab.folder, Instance("test-small", small, CHECKOUT))
        other.write(PAIR, [CABLE])
        other.file.write_text(other.file.read_text().replace(MANAGEMENT, "10.145.0").replace("10.144.", "10.146."))
        _, said = other.run("virtual_lab", status=2)
        assert f"{small}: 64 MiB free" in said
        assert list(small.iterdir()) == []
    finally:
        output("umount", str(small))


def test_machine_side_of_a_full_disk_is_one_line(lab: Lab) -> None:
    """The room goes away between the look and the work."""
    small = lab.folder / "full"
    small.mkdir()
    output("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small))
    try:
        image = next(cache("images").glob("*.tar"))
        script = CHECKOUT / "roles" / "virtual_host" / "machine" / "unpack_base.sh"
        done = subprocess.run(
            ["sh", str(script), str(image), str(small / "state"), "0" * 12, "pair"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(f"no room in {small / 'state'} for the base tree")
        assert not (small / "state" / "base").exists()
    finally:
        output("umount", str(small))
