"""The cache of a real ggml-rpc-server: its names are our hash, and nothing that is damaged is ever given out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.lab.harness import Lab

WORKER = "halo3"
"""The last one has the output layer, the only piece of the shipped model above 10 MiB that is sent."""
FOLDER = "/var/cache/halofleet/rpc"
RPC, KEEPER, CHAT = "halofleet-rpc-server", "halofleet-rpc-cache", "halofleet-server-chat"
DAMAGE = {
    "truncated": "truncate -s -1 {}",
    "bit-flipped": "printf '\\001' | dd of={} bs=1 seek=1000000 conv=notrunc status=none",
    "empty": ": >{}",
}


@pytest.fixture(scope="module")
def caching(lab: Lab) -> Iterator[Lab]:
    before = lab.yml.read_text()
    lab.yml.write_text(before.replace("    context: 2048", "    context: 2048\n    cache: 1GiB"))
    lab.cluster().ok()
    yield lab
    lab.yml.write_text(before)
    lab.cluster().ok()


def pieces(lab: Lab) -> list[str]:
    return lab.ssh(WORKER, f"ls {FOLDER}").split()


def spoken(lab: Lab) -> str:
    """The same tokens for the same weights."""
    key = (lab.home() / "labs/test/chat.key").read_text().strip()
    answer = requests.post(
        f"http://{lab.addresses['halo1']}:8080/v1/completions",
        json={"prompt": "Hello", "max_tokens": 12, "temperature": 0, "seed": 1},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def until(lab: Lab, script: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while lab.ssh(WORKER, f"{script} && echo yes || true").strip() != "yes":
        assert time.monotonic() < deadline, script
        time.sleep(0.5)


def test_a_pieces_name_is_our_hash_of_it(caching: Lab) -> None:
    found = pieces(caching)
    assert found
    said = caching.ssh(WORKER, f"cd {FOLDER} && /opt/halofleet/llama.cpp/current-cpu/bin/fnv1a64 *")
    assert said.splitlines() == [f"{name} {name}" for name in found]
    assert caching.ssh(WORKER, f"stat -c '%a %U' {FOLDER}/..").strip() == "700 halofleet"


def test_it_is_used_and_a_second_run_changes_nothing(caching: Lab) -> None:
    assert caching.cluster("--json").ok().totals["success"] == 0
    before = pieces(caching)
    caching.ssh(WORKER, f"touch -d '1 hour ago' {FOLDER}/*")
    caching.ssh("halo1", f"systemctl restart {CHAT}")
    caching.cluster().ok()
    assert pieces(caching) == before
    assert caching.ssh(WORKER, f"find {FOLDER} -type f -mmin -30").strip() == "", "written anew"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_piece_goes_before_the_server_starts(caching: Lab, damage: str) -> None:
    words = spoken(caching)
    (name,) = pieces(caching)
    # Both are stopped, so that the check before the start is what is seen, and not the keeper beside it.
    caching.ssh("halo1", f"systemctl stop {CHAT}")
    invocation = f"systemctl show -p InvocationID --value {RPC}"
    before = caching.ssh(WORKER, invocation).strip()
    caching.ssh(WORKER, f"systemctl stop {KEEPER} && systemctl kill -s KILL {RPC}")
    until(caching, f"[ $({invocation}) != {before} ] && systemctl is-active --quiet {RPC}")
    assert pieces(caching) == [name], "a kill alone costs nothing"
    caching.ssh(WORKER, DAMAGE[damage].format(f"{FOLDER}/{name}"))
    caching.ssh(WORKER, f"systemctl restart {RPC}")
    assert pieces(caching) == []
    assert f"{FOLDER}/{name} is not what its name says: removed" in caching.ssh(WORKER, f"journalctl -u {RPC} -n 50")
    caching.cluster().ok()
    assert spoken(caching) == words
    assert pieces(caching) == [name]


def test_what_is_left_half_written_beside_a_running_server_goes(caching: Lab) -> None:
    (name,) = pieces(caching)
    half = "0123456789abcdef"
    caching.ssh(WORKER, f"touch {FOLDER}/other; head -c 1000 {FOLDER}/{name} >{FOLDER}/{half}")
    until(caching, f"[ ! -e {FOLDER}/{half} ]")
    assert sorted(pieces(caching)) == [name, "other"]
    caching.ssh(WORKER, f"rm {FOLDER}/other")


def test_the_bound_holds_beside_a_running_server(caching: Lab) -> None:
    """A hole has a size and takes no room; the piece that was used last stays."""
    (name,) = pieces(caching)
    old = "cbf29ce484222325"
    caching.ssh(WORKER, f"truncate -s 1100M {FOLDER}/{old} && touch -d '1 day ago' {FOLDER}/{old}")
    until(caching, f"journalctl -u {KEEPER} -n 50 | grep -q '{old} is beyond the bound: removed'")
    assert pieces(caching) == [name]


def test_without_the_field_it_is_gone(caching: Lab) -> None:
    before = caching.yml.read_text()
    caching.yml.write_text(before.replace("\n    cache: 1GiB", ""))
    try:
        caching.cluster().ok()
        assert caching.ssh(WORKER, f"ls -d /var/cache/halofleet {KEEPER} 2>/dev/null || true").strip() == ""
        assert " --cache" not in caching.ssh(WORKER, f"systemctl cat {RPC} | grep ExecStart")
        assert caching.cluster("--json").ok().totals["success"] == 0
    finally:
        caching.yml.write_text(before)
