"""llama-server waits for its workers; both run as closed as their units say. On the hosts and processes of the lab."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
import requests

from tests.lab.harness import Lab

WEIGHT = 2

SERVER, WORKER = "halofleet-server-chat", "halofleet-rpc-server"
GONE_SECONDS, BACK_SECONDS = 60, 60


@pytest.fixture(autouse=True)
def _converged(lab: Lab) -> None:
    lab.cluster().ok()


def show(lab: Lab, host: str, unit: str, name: str) -> str:
    return lab.ssh(host, f"systemctl show -p {name} --value {unit}").strip()


def restarted(lab: Lab) -> None:
    """The server is on its way, and has another invocation."""
    before = show(lab, "halo1", SERVER, "InvocationID")
    lab.ssh("halo1", f"systemctl restart --no-block {SERVER}")
    end = time.monotonic() + GONE_SECONDS
    while show(lab, "halo1", SERVER, "InvocationID") in ("", before):
        assert time.monotonic() < end, "it does not stop"
        time.sleep(0.1)


def said(lab: Lab, words: str, seconds: float) -> str:
    """The line of the server's journal that has the words, once it is there."""
    end = time.monotonic() + seconds
    command = f"journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value {SERVER})"
    while time.monotonic() < end:
        journal = lab.ssh("halo1", command)
        if found := re.search(rf"^.*{words}.*$", journal, re.M):
            return found[0]
        time.sleep(0.3)
    raise AssertionError(f"nobody said {words!r}:\n{journal}")


def answers(lab: Lab, seconds: float) -> float:
    """Seconds until a completion has come."""
    start = time.monotonic()
    base = f"http://{lab.addresses['halo1']}:8080"
    headers = {"Authorization": f"Bearer {(lab.home() / 'labs/test/chat.key').read_text().strip()}"}
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    while time.monotonic() - start < seconds:
        try:
            if requests.get(f"{base}/health", timeout=2).status_code == 200:
                done = requests.post(f"{base}/v1/chat/completions", json=body, headers=headers, timeout=30)
                assert done.json()["usage"]["completion_tokens"] >= 1
                return time.monotonic() - start
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise AssertionError(f"no completion within {seconds} s")


def test_a_worker_that_is_not_there_is_named_and_waited_for(lab: Lab) -> None:
    lab.ssh("halo3", f"systemctl stop {WORKER}")
    restarted(lab)
    refused = r"halo3 \([0-9.]+:50052\): connection refused: its RPC server does not run"
    said(lab, f"waiting for {refused}", GONE_SECONDS)
    assert show(lab, "halo1", SERVER, "SubState") == "start-pre"
    said(lab, r"halo2 \(.*GiB free", GONE_SECONDS)
    restarts = show(lab, "halo1", SERVER, "NRestarts")
    lab.ssh("halo3", f"systemctl start {WORKER}")
    print(f"a completion {answers(lab, BACK_SECONDS):.1f} s after the worker is there")
    assert show(lab, "halo1", SERVER, "NRestarts") == restarts, "it waited, and did not abort"


def test_a_frozen_worker_is_waited_for_and_survives_that(lab: Lab) -> None:
    """The question stands in its queue until it goes on; then it is answered, and kills nobody. Without the guard, who
    would end a worker like that."""
    pid = show(lab, "halo2", WORKER, "MainPID")
    lab.ssh("halo2", f"systemctl stop halofleet-guard; kill -STOP {pid}")
    try:
        restarted(lab)
        said(lab, "waiting for halo2 .*no answer: it has another client, or is frozen", GONE_SECONDS)
    finally:
        lab.ssh("halo2", f"kill -CONT {pid}; systemctl start halofleet-guard")
    print(f"a completion {answers(lab, BACK_SECONDS):.1f} s after the worker goes on")
    assert show(lab, "halo2", WORKER, "MainPID") == pid


def test_what_cannot_run_is_refused_with_figures_and_nothing_stops(lab: Lab, tmp_path: Path) -> None:
    """More context than the model was trained on; a model (with a hole in it) that no memory here holds; a key that
    others can read."""
    real = next((lab.home() / "cache/models").glob("nonsense-*.gguf"))
    large, key = tmp_path / "large.gguf", tmp_path / "key"
    shutil.copy(real, large)
    os.truncate(large, 2**40)
    key.write_text("a-key-of-more-than-sixteen-letters\n")
    key.chmod(0o644)
    cases = {
        ("context: 2048", "context: 999424"): r"serves\.chat\.context: 999424.*32768",
        ("{random: llama-spm}", f"{{file: {large}}}"): r"1024\.0 GiB.*at most",
        ("context: 2048", f"context: 2048\n    api_key_file: {key}"): r"api_key_file: .* mode 644: .*chmod 600",
    }
    ids = "systemctl show -p Id -p InvocationID 'halofleet-*.service'"
    before, text = {host: lab.ssh(host, ids) for host in lab.addresses}, lab.yml.read_text()
    try:
        for (old, new), words in cases.items():
            assert old in text
            lab.yml.write_text(text.replace(old, new))
            run = lab.cluster()
            assert run.status == 2, run.err[-2000:]
            assert re.search(words, run.err + run.out), run.err[-2000:]
    finally:
        lab.yml.write_text(text)
    assert {host: lab.ssh(host, ids) for host in lab.addresses} == before


def test_what_runs_is_closed(lab: Lab) -> None:
    for host, unit in (("halo1", SERVER), ("halo2", WORKER)):
        lab.ssh(host, f"systemd-analyze security --no-pager --threshold=30 {unit}.service")
        pid = show(lab, host, unit, "MainPID")
        status = dict(line.split(":\t", 1) for line in lab.ssh(host, f"cat /proc/{pid}/status").splitlines())
        assert (status["Seccomp"], status["NoNewPrivs"], status["CapBnd"]) == ("2", "1", "0" * 16)
        assert lab.ssh(host, f"cat /proc/{pid}/oom_score_adj").strip() == "900"
        # Systemd gives what a virtual host may give, which has no CAP_SYS_RESOURCE.
        assert show(lab, host, unit, "LimitMEMLOCK") == "infinity"
        assert show(lab, host, unit, "MemorySwapMax") == "0"
