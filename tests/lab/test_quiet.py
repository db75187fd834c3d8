"""Nothing outside halofleet restarts its services or sleeps a node, on booted hosts; and all of it is given back."""

from __future__ import annotations

import json

import pytest

from tests.lab.harness import Lab

UNITS = ("halofleet-rpc-server.service", "halofleet-server-chat.service")
CONTROL = "halofleet.control.service"
"""Not ours by its name: what needrestart does with a service that it was told nothing of."""
LIBRARY = "/usr/lib/x86_64-linux-gnu/libgomp.so.1"
OTHERS = (
    "find /etc/needrestart /etc/apt/apt.conf.d /etc/systemd/sleep.conf.d /etc/systemd/system -maxdepth 1 "
    "-printf '%p %l\\n' 2>/dev/null | grep -vE 'halofleet-|multi-user|/system /$|/system $' | sort; "
    "systemctl is-enabled sleep.target suspend.target hibernate.target hybrid-sleep.target "
    "suspend-then-hibernate.target || true"
)
"""Everything that the role touches."""
WEIGHT = 3


def invocation(lab: Lab, host: str, unit: str) -> str:
    return lab.ssh(host, f"systemctl show -p InvocationID --value {unit}").strip()


def running(lab: Lab) -> dict[str, str]:
    hosts = {"halo1": UNITS[1], "halo2": UNITS[0], "halo3": UNITS[0]}
    return {host: invocation(lab, host, unit) for host, unit in hosts.items()}


def drift(lab: Lab) -> list[str]:
    said = lab.pyinfra("--json", str(lab.inventory), "deploys/status.py")
    findings = json.loads(said.out)["findings"]
    return [f"{each['node']} {each['rule']}" for each in findings if each["rule"].startswith("libraries of")]


@pytest.fixture(scope="module", autouse=True)
def _ready(lab: Lab) -> None:
    lab.cluster().ok()


def test_a_suspend_is_refused(lab: Lab) -> None:
    for how in ("systemctl suspend", "systemctl start suspend.target", "systemctl hibernate"):
        said = lab.ssh("halo2", f"{how} 2>&1 && echo it sleeps || echo refused")
        assert said.strip().endswith("refused"), said
    assert "masked" in lab.ssh("halo2", "systemctl start suspend.target 2>&1 || true")


def test_needrestart_leaves_our_services_alone_and_the_drift_is_told(lab: Lab) -> None:
    """The library is replaced as dpkg does it; a service beside ours shows that needrestart restarts what it may."""
    before = running(lab)
    server = "/opt/halofleet/llama.cpp/current-cpu/bin/ggml-rpc-server"
    lab.ssh("halo2", f"systemd-run --quiet --unit={CONTROL} {server} --host 127.0.0.1 --port 50999")
    quiet = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install -y -qq --no-install-recommends"
    try:
        lab.ssh("halo2", f"{quiet} needrestart >/dev/null 2>&1")
        control = invocation(lab, "halo2", CONTROL)
        lab.ssh("halo2", f"f=$(readlink -f {LIBRARY}); cp -p $f $f.new && mv $f.new $f")
        said = lab.ssh("halo2", "DEBIAN_FRONTEND=noninteractive needrestart -r a -l 2>&1")
        assert invocation(lab, "halo2", CONTROL) != control, said
        assert running(lab) == before, said
        assert f"systemctl restart {UNITS[0]}" in said, "it is named among those that wait"
        assert drift(lab) == [f"halo2 libraries of {UNITS[0]}"]
        assert lab.cluster("--json").ok().totals["success"] == 0, "nor does a run that nobody asked"
        lab.cluster("--data", "renew=yes").ok()
        after = running(lab)
        assert after["halo2"] != before["halo2"]
        assert after["halo3"] == before["halo3"]
        assert drift(lab) == []
    finally:
        lab.ssh(
            "halo2", f"systemctl stop {CONTROL} || true; apt-get purge -y -qq --autoremove needrestart >/dev/null 2>&1"
        )


def test_all_of_it_is_given_back(lab: Lab) -> None:
    lab.pyinfra("-y", str(lab.inventory), "deploys/reset.py").ok()
    clean = {host: lab.ssh(host, OTHERS) for host in lab.addresses}
    assert not any("halofleet" in text or "/dev/null" in text or "masked" in text for text in clean.values()), clean
    again = lab.pyinfra("-y", "--json", str(lab.inventory), "deploys/reset.py").ok()
    assert again.totals["success"] == 0
    lab.cluster().ok()
    assert "masked" in lab.ssh("halo3", OTHERS)
    lab.pyinfra("-y", str(lab.inventory), "deploys/reset.py").ok()
    assert {host: lab.ssh(host, OTHERS) for host in lab.addresses} == clean
    lab.cluster().ok()
