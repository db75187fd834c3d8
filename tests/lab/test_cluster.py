"""The main job on three booted hosts with a real llama.cpp. The tests run in this order, on one lab."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
import requests

from roles.preflight.facts import SILENCE_MS
from tests.lab.harness import Lab, under_way
from tests.thorough import THOROUGH

BUDGET = 20
"""Remote commands per host of a whole cluster.py that has nothing to do."""

WEIGHT = 3
KILLS = 20 if THOROUGH else 6
RPC_PORT = 50052


def test_a_dry_run_says_what_it_would_do_and_does_nothing(lab: Lab) -> None:
    """On hosts that nobody has touched: of the files that share them this one comes first, by its name."""
    before = lab.fingerprint()
    run = lab.pyinfra("--dry", "--diff", str(lab.inventory), "deploys/cluster.py").ok()
    assert lab.fingerprint() == before
    for words in ("links up", "rules loaded", "releases installed", "serving chat"):
        assert words in run.out + run.err
    assert "+Address=" in run.err + run.out  # --diff shows a file that is not there yet


def test_the_first_run_ends_ready(lab: Lab) -> None:
    run = lab.cluster().ok()
    assert run.out.splitlines()[-1] == f"ready: http://{lab.addresses['halo1']}:8080/v1"


def test_the_second_run_changes_nothing_within_its_budget(lab: Lab, tmp_path: Path) -> None:
    before = lab.fingerprint()
    run = lab.cluster("--json", trace=tmp_path / "trace").ok()
    assert (run.totals["success"], run.totals["error"]) == (0, 0)
    assert lab.fingerprint() == before
    print("remote commands:", dict(run.commands))
    assert set(run.commands) == set(lab.addresses)
    assert max(run.commands.values()) <= BUDGET, (tmp_path / "trace").read_text()


def test_rpc_is_open_to_the_controller_alone(lab: Lab) -> None:
    for host in lab.addresses:
        listeners = lab.ssh(host, "ss -ltnH | awk '{print $4}'").split()
        rpc = [address for address in listeners if address.endswith(f":{RPC_PORT}")]
        assert len(rpc) == (0 if host == "halo1" else 1)
        assert not any(address.startswith(("0.0.0.0", "*", "[::]")) for address in rpc)  # noqa: S104
    for host in ("halo2", "halo3"):
        with (
            pytest.raises(OSError, match=r"refused|timed out"),
            socket.create_connection((lab.addresses[host], RPC_PORT), 3),
        ):
            pass
    # The two workers are cabled to each other too, and may not reach one another's port.
    worker = lab.ssh("halo3", f"ss -ltnH | awk '{{print $4}}' | grep :{RPC_PORT}").strip()
    blocked = f"timeout 3 bash -c '</dev/tcp/{worker.replace(':', '/')}' 2>/dev/null && echo open || echo closed"
    assert lab.ssh("halo2", blocked).strip() == "closed"


def test_the_api_wants_its_key(lab: Lab) -> None:
    url = f"http://{lab.addresses['halo1']}:8080/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    key_file = lab.home() / "labs/test/chat.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
    answer = requests.post(url, json=body, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] >= 1
    assert requests.post(url, json=body, timeout=60).status_code == 401


def test_a_second_control_machine_gets_the_same_key(lab: Lab, tmp_path: Path) -> None:
    first = lab.home() / "labs/test"
    (tmp_path / "labs/test").mkdir(parents=True)
    shutil.copy(first / "id_ed25519", tmp_path / "labs/test/id_ed25519")
    (tmp_path / "cache").symlink_to(lab.home() / "cache")
    run = lab.cluster("--json", HALOFLEET_HOME=str(tmp_path)).ok()
    assert run.totals["success"] == 0
    assert (tmp_path / "labs/test/chat.key").read_text() == (first / "chat.key").read_text()


def test_the_key_is_never_shown(lab: Lab) -> None:
    lab.ssh("halo1", "rm /etc/halofleet/chat.key")
    key = (lab.home() / "labs/test/chat.key").read_text().strip()
    run = lab.cluster("-vvv", "--diff", "--debug").ok()
    assert key not in run.out + run.err
    assert lab.ssh("halo1", "cat /etc/halofleet/chat.key").strip() == key
    said = lab.ssh("halo1", "journalctl -q -o cat -u halofleet-server-chat")
    assert "model buffer size" in said  # at this level llama-server also tells how a lone key ends
    assert f"*{key[-4:]}" not in said


def test_a_changed_host_key_is_refused(lab: Lab) -> None:
    known_hosts = lab.home() / "labs/test/known_hosts"
    before = known_hosts.read_text()
    address = lab.addresses["halo2"]
    key = next(line for line in before.splitlines() if not line.startswith(address))
    foreign = f"{address} {key.split(' ', 1)[1]}"
    lines = [foreign if line.startswith(address) else line for line in before.splitlines()]
    known_hosts.write_text("\n".join(lines) + "\n")
    try:
        run = lab.cluster()
    finally:
        known_hosts.write_text(before)
    assert run.status == 2
    assert "halo2" in run.err
    assert "ssh-keygen -f" in run.err


def test_a_lost_worker_is_noticed_and_healed(lab: Lab) -> None:
    lab.ssh("halo2", "systemctl kill -s KILL halofleet-rpc-server")
    lab.cluster().ok()
    assert lab.cluster("--json").ok().totals["success"] == 0


def test_two_runs_at_once(lab: Lab) -> None:
    first = lab.start("-y", str(lab.inventory), "deploys/cluster.py")
    try:
        deadline = time.monotonic() + 60
        while f"pid {first.pid} " not in lab.ssh("halo3", "cat /run/halofleet.lock 2>/dev/null || true"):
            assert time.monotonic() < deadline
        # The holder's session must be alive when the second one looks.
        first.send_signal(signal.SIGSTOP)
        second = lab.cluster()
    finally:
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=300)
    assert second.status == 2
    assert f"pid {first.pid}" in second.err


def open_from(lab: Lab, host: str, endpoint: str) -> bool:
    address, port = endpoint.split(":")
    script = f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
    return lab.ssh(host, script).strip() == "open"


def endpoint(lab: Lab, worker: str) -> str:
    return lab.ssh(worker, "ss -ltnHp | grep ggml-rpc | awk '{print $4}'").strip()


def test_a_changed_rpc_port_leaves_no_port_open(lab: Lab) -> None:
    """Also where the run breaks off between the firewall and the new RPC server: the build cannot succeed."""
    before = lab.yml.read_text()
    old = endpoint(lab, "halo2")
    changed = before.replace("    context: 2048", "    context: 2048\n    rpc_port: 50077")
    wrong = "    commit: 0c1e57098\n  cmake: {cpu: [-DGGML_RPC=WRONG, -G, Nothing]}"
    lab.yml.write_text(changed.replace("    commit: 0c1e57098", wrong))
    try:
        assert lab.cluster().status == 1
        assert not open_from(lab, "halo3", old)
        lab.yml.write_text(changed)
        lab.cluster().ok()
        assert endpoint(lab, "halo2") == old.replace(":50052", ":50077")
        assert not open_from(lab, "halo3", old)
        assert not open_from(lab, "halo3", endpoint(lab, "halo2"))
    finally:
        lab.yml.write_text(before)
        lab.cluster().ok()
    assert lab.cluster("--json").ok().totals["success"] == 0


def test_the_api_is_open_to_whom_the_inventory_says(lab: Lab) -> None:
    """Not even to this machine, which verifies it all the same."""
    before = lab.yml.read_text()
    api = f"{lab.addresses['halo1']}:8080"
    try:
        lab.yml.write_text(f"{before}\nfirewall: {{api: [{lab.addresses['halo2']}/32]}}\n")
        assert f"ready: http://{api}/v1" in lab.cluster().ok().out
        assert [open_from(lab, host, api) for host in ("halo1", "halo2", "halo3")] == [True, True, False]
        with pytest.raises(OSError, match="timed out"):
            socket.create_connection((lab.addresses["halo1"], 8080), 2)
        lab.yml.write_text(before.replace("    port: 8080", "    port: 8080\n    bind: 127.0.0.1"))
        assert "ready: http://127.0.0.1:8080/v1" in lab.cluster().ok().out
        assert [open_from(lab, host, api) for host in ("halo1", "halo2")] == [False, False]
    finally:
        lab.yml.write_text(before)
        lab.cluster().ok()
    assert open_from(lab, "halo2", api)


def test_a_key_of_the_users_own(lab: Lab, tmp_path: Path) -> None:
    before = lab.yml.read_text()
    kept = lab.home() / "labs/test/chat.key"
    old = kept.read_text()
    own = tmp_path / "own.key"
    lab.yml.write_text(before.replace("    port: 8080", f"    port: 8080\n    api_key_file: {own}"))
    try:
        run = lab.cluster()
        assert run.status == 2
        assert f"{own} on this machine: No such file or directory" in run.err
        own.touch(0o640)
        own.write_text("a-key-that-somebody-has-chosen\n")
        run = lab.cluster()
        assert run.status == 2
        assert f"{own} on this machine has mode 640" in run.err
        own.chmod(0o600)
        lab.cluster().ok()
        assert lab.ssh("halo1", "cat /etc/halofleet/chat.key") == own.read_text() == kept.read_text()
        assert lab.cluster("--json").ok().totals["success"] == 0
        own.write_text(old)  # the test after this one finds the lab as it was
        lab.cluster().ok()
    finally:
        lab.yml.write_text(before)
    assert lab.cluster("--json").ok().totals["success"] == 0


def test_a_flushed_rule_set_comes_back(lab: Lab) -> None:
    lab.ssh("halo2", "systemctl restart nftables")  # Debian's own rule set begins with a flush
    assert "drop" in lab.ssh("halo2", "nft list table inet halofleet")
    lab.ssh("halo2", "nft flush ruleset")
    lab.cluster().ok()
    assert "drop" in lab.ssh("halo2", "nft list table inet halofleet")
    lab.cluster().ok()
    assert lab.cluster("--json").ok().totals["success"] == 0


def test_an_empty_key_is_no_key(lab: Lab) -> None:
    key = (lab.home() / "labs/test/chat.key").read_text()
    lab.ssh("halo1", "chmod 600 /etc/halofleet/chat.key; echo >/etc/halofleet/chat.key")
    lab.cluster().ok()
    assert lab.ssh("halo1", "cat /etc/halofleet/chat.key") == key == (lab.home() / "labs/test/chat.key").read_text()


def test_a_damaged_release_is_repaired_and_its_process_replaced(lab: Lab) -> None:
    program = "/opt/halofleet/llama.cpp/current-cpu/bin/ggml-rpc-server"
    lab.ssh("halo2", f"cp {program} /root/copy; echo junk >>/root/copy; mv /root/copy {program}")
    lab.ssh("halo2", "systemctl restart halofleet-rpc-server")
    lab.cluster().ok()
    running = "/proc/$(systemctl show -p MainPID --value halofleet-rpc-server)/exe"
    assert "deleted" not in lab.ssh("halo2", f"readlink {running}")
    assert lab.ssh("halo2", f"tail -c 5 {running} | grep -c junk || true").strip() == "0"
    assert lab.cluster("--json").ok().totals["success"] == 0


def test_a_node_that_fails_means_no_ready(lab: Lab) -> None:
    rules = "/etc/halofleet/firewall.nft"
    lab.ssh("halo3", f"rm -r {rules}; mkdir {rules}")
    try:
        run = lab.cluster()
        assert run.status == 1
        assert "ready:" not in run.out
        assert "/etc/halofleet/firewall.nft is a directory" in run.err
        assert "Traceback" not in run.err
    finally:
        lab.ssh("halo3", "rmdir /etc/halofleet/firewall.nft")
        lab.cluster().ok()


WIPES = (
    "systemctl stop 'halofleet-*'; rm -rf /etc/systemd/system/halofleet-* /etc/halofleet; systemctl daemon-reload",
    "systemctl stop 'halofleet-*'; rm -rf /opt/halofleet /var/lib/halofleet/models",
    "rm -f /etc/systemd/network/05-halofleet-*; networkctl reload; "
    "for i in 1 2 3; do ip address flush dev usb4-$i 2>/dev/null; done",
    "systemctl stop 'halofleet-*'; userdel halofleet; rm -rf /var/lib/halofleet",
    "DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq nftables >/dev/null 2>&1",
)


def test_killed_anywhere_it_heals(lab: Lab, tmp_path: Path) -> None:
    """SIGKILL at seeded moments of a run that has work; then a run that converges and one that changes nothing."""
    dice = random.Random(20261120)  # noqa: S311
    trace = tmp_path / "trace"
    inside = 0
    for number in range(KILLS):
        for host in lab.addresses:
            for wipe in dice.sample(WIPES, 2):
                lab.ssh(host, f"{wipe}; true")
        trace.unlink(missing_ok=True)
        victim = lab.start("-y", str(lab.inventory), "deploys/cluster.py", HALOFLEET_TRACE=str(trace))
        time.sleep(dice.uniform(1.5, 12))
        victim.kill()
        victim.communicate(timeout=60)
        inside += under_way(trace)
        run = lab.cluster()
        if (
            "one run at a time" in run.err
        ):  # seldom a node does not see that the other end is gone, and the minute counts
            print(f"kill {number}: {run.err.splitlines()[-1]}")
            time.sleep(SILENCE_MS / 1000)
            run = lab.cluster()
        run.ok()
        again = lab.cluster("--json").ok()
        assert again.totals["success"] == 0, f"kill {number}: {again.out}"
    assert inside >= KILLS / 5


def test_down_and_up_again_from_the_caches(lab: Lab) -> None:
    lab.down().ok()
    lab.up().ok()
    start = time.monotonic()
    run = lab.cluster().ok()
    assert "ready: " in run.out
    assert "compiling" not in run.err, "a build, although the artifact was in the cache"
    print(f"from the caches: {time.monotonic() - start:.0f} s")


def test_a_host_that_is_not_up_is_named_and_nothing_is_changed(lab: Lab) -> None:
    lab.ssh("halo1", "systemctl stop halofleet-guard")  # it would have the server wait for halo3
    lab.ssh("halo3", "systemctl poweroff --no-block")
    lab.wait_until_gone("halo3")
    before = {host: lab.ssh(host, "systemctl show -p InvocationID 'halofleet-*'") for host in ("halo1", "halo2")}
    lab.ssh("halo2", "rm /etc/halofleet/firewall.nft")
    run = lab.cluster()
    assert run.status == 2
    assert "refused: halo3: cannot be reached" in run.err
    assert "make lab" in run.err
    assert lab.ssh("halo2", "ls /etc/halofleet/firewall.nft || echo gone").strip() == "gone"
    after = {host: lab.ssh(host, "systemctl show -p InvocationID 'halofleet-*'") for host in ("halo1", "halo2")}
    assert after == before
    lab.up().ok()
    lab.cluster().ok()


def test_the_units_please_systemd(lab: Lab) -> None:
    for host in lab.addresses:
        assert lab.ssh(host, "systemd-analyze verify /etc/systemd/system/halofleet-*.service 2>&1") == ""
