"""What the guard says of a real llama.cpp, played back from what it saw: well, at work, frozen, dead inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from roles.guard.program import api, look, server, worker
from roles.guard.program.life import Life, live
from roles.guard.program.seen import Api, Canary, Process, Server, Sight, Slot, Socket, Unit, Worker
from roles.guard.program.watch import Watch

SEEN = Path(__file__).parent / "guard_seen"
ENDPOINTS = ("127.0.0.1:50052", "127.0.0.1:50053")
SERVER = Server("s", "chat", "127.0.0.1", 18080, ENDPOINTS, 60, 300)
WORKERS = tuple(Worker(f"w{number}", endpoint, 15, 300) for number, endpoint in enumerate(ENDPOINTS, 1))
SERVICES: tuple[Server | Worker, ...] = (SERVER, *WORKERS)
FLAGS = "".join(flag for each in SERVICES for flag in each.flags)
RUNS = Unit("active", 1, "a", FLAGS)


@cache
def looks(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SEEN / f"{name}.json").read_text())["looks"]
    return found


def sights(name: str, who: str) -> Iterator[tuple[float, Sight]]:
    """As the guard of `s`, `w1` or `w2` saw it."""
    for each in looks(name):
        process = each["processes"][who]
        inodes = {int(inode): number for inode, number in process["sockets"].items()}
        seen = Process(process["state"], process["cpu"], process["read"], inodes)
        status, slots = each["slots"]
        answer = Api("ready", api.slots(json.dumps(slots).encode())) if status == 200 else Api("silent")
        yield each["at"], Sight(RUNS, seen, look.parsed(each["ss"]), answer if who == "s" else Api())


@dataclass
class Play:
    """The last look goes on for as long as asked: nothing changes any more."""

    service: Server | Worker
    watch: Watch
    said: list[str]
    now: float = 0
    last: Sight | None = None

    def feed(self, now: float, sight: Sight) -> str:
        """The kind of the complaint that asks for a deed now."""
        self.now, self.last = now, sight
        due = self.watch.judge(now, sight)
        return due.kind if due else ""

    def on(self, seconds: float, **changed: Any) -> list[tuple[float, str]]:
        """Deeds: after how many seconds, and why."""
        assert self.last
        sight, start, deeds = replace(self.last, **changed), self.now, []
        while self.now < start + seconds:
            if kind := self.feed(self.now + 2, sight):
                deeds.append((self.now - start, kind))
        return deeds

    @property
    def kinds(self) -> set[str]:
        return {each.kind for each in self.watch.complaints}


def play(name: str, service: Server | Worker) -> Play:
    said: list[str] = []
    found = Play(service, Watch(service, said.append), said)
    for now, sight in sights(name, service.unit):
        assert found.feed(now, sight) == ""
    return found


EVERYBODY = pytest.mark.parametrize("service", [SERVER, *WORKERS], ids=lambda service: service.unit)


@EVERYBODY
def test_who_rests_for_an_hour_is_well(service: Server | Worker) -> None:
    found = play("idle", service)
    assert found.kinds == set()
    assert found.on(3600) == []
    assert found.said == []


@EVERYBODY
@pytest.mark.parametrize("name", ["prefill", "full"])
def test_a_long_prompt_and_full_slots_are_life(service: Server | Worker, name: str) -> None:
    """No complaint lives long enough to be due, and that is not because the recording is short."""
    played = Play(service, Watch(service, lambda _: None), [])
    longest: dict[str, float] = {}
    for now, sight in sights(name, service.unit):
        assert played.feed(now, sight) == ""
        for kind, since in played.watch.memory.since.items():
            longest[kind] = max(longest.get(kind, 0), now - since)
    assert all(seconds < 7 for seconds in longest.values()), longest


def test_during_a_prompt_the_counters_of_the_slot_rest_and_the_connections_move() -> None:
    """Why the guard does not go by llama-server's counters alone: 3 s without one of them moving."""
    pairs = [(sight.api.slots, {each.taken for each in sight.owned("ESTAB")}) for _, sight in sights("prefill", "s")]
    still = [(slots == later, bytes_ == later_bytes) for (slots, bytes_), (later, later_bytes) in pairwise(pairs)]
    assert (True, False) in still


def test_a_worker_that_was_stopped_is_killed_after_ten_seconds() -> None:
    found = Play(WORKERS[1], Watch(WORKERS[1], lambda _: None), [])
    due = {round(now - 92.579, 1): found.feed(now, sight) for now, sight in sights("frozen", "w2")}
    assert list(due.values()) == ["", "", "", "frozen", "", ""]
    assert list(due)[2:4] == [8.1, 13.7]
    assert found.kinds == {"frozen", "stuck", "mute"}


def test_a_worker_that_reads_nothing_and_is_not_stopped_is_dead_too() -> None:
    """As behind a driver that hangs: state S or D, bytes to read, no processor used."""
    assert [kind for _, kind in asleep("frozen", WORKERS[1]).on(20)] == ["stuck"]
    patient = asleep("frozen", replace(WORKERS[1], quiet=60))
    assert patient.on(40) == []
    assert [kind for _, kind in patient.on(30)] == ["stuck"]


def asleep(name: str, service: Worker) -> Play:
    found = Play(service, Watch(service, lambda _: None), [])
    for now, sight in sights(name, service.unit):
        assert sight.process
        found.feed(now, replace(sight, process=replace(sight.process, state="D")))
    return found


@pytest.mark.parametrize("mute", [300, 1200])
def test_a_worker_that_computes_may_let_its_controller_wait_for_minutes(mute: int) -> None:
    """A graph takes as long as it takes, and the next question is there already."""
    found = asleep("frozen", replace(WORKERS[1], mute=mute))
    assert found.last
    assert found.last.process
    for _ in range(mute // 2 - 10):
        process = found.last.process
        busy = replace(process, state="R", cpu=process.cpu + 1.0)
        assert found.feed(found.now + 2, replace(found.last, process=busy)) == ""
        assert found.last.process
    assert "mute" in found.kinds
    assert "stuck" not in found.kinds


def test_the_other_worker_of_a_frozen_one_is_well() -> None:
    found = play("frozen", WORKERS[0])
    assert found.on(3600) == []


def test_a_server_whose_worker_is_frozen_waits_for_a_minute_and_no_longer() -> None:
    """The worker's own node is quicker. /slots says 200 all the while."""
    found = play("frozen", SERVER)
    assert found.kinds == {"stuck", "mute"}
    assert found.on(40) == []  # after 17 s of it in the recording
    ((_, kind),) = found.on(6)
    assert kind == "stuck"
    assert found.watch.complaints[0].text == "alive, but nothing moves: 1 of 4 slots are at work"


def test_a_server_that_was_stopped_is_killed_after_ten_seconds() -> None:
    found = Play(SERVER, Watch(SERVER, lambda _: None), [])
    due = [found.feed(now, sight) for now, sight in sights("server-frozen", "s")]
    assert [kind for _, kind in found.on(10)] + [kind for kind in due if kind] == ["frozen"]


def test_a_server_that_lost_a_worker_is_killed_although_it_says_that_it_is_ready() -> None:
    found = play("idle", SERVER)
    assert found.last
    left = tuple(each for each in found.last.sockets if ENDPOINTS[1] not in (each.local, each.peer))
    ((seconds, kind),) = found.on(8, sockets=left)
    assert (kind, seconds) == ("lost", 6)
    assert found.said == []


def test_a_server_that_loads_may_have_no_worker_yet() -> None:
    found = Play(SERVER, Watch(SERVER, lambda _: None), [])
    for now in range(0, 250, 2):
        process = Process("S", now / 10, 0)
        assert found.feed(now, Sight(RUNS, process, (), Api("loading"))) == ""
    assert found.kinds == set()
    assert found.on(290) == []
    assert [kind for _, kind in found.on(20)] == ["stuck"], "nothing at all for five minutes"


def test_a_server_that_is_lost_after_every_load_is_killed_later_and_later() -> None:
    """It loads for longer than the time that forgives, as a large model does: that is no minute of being well."""
    found, born, deeds = Play(SERVER, Watch(SERVER, lambda _: None), []), 0, []
    for now in range(0, 1800, 2):
        process, state = Process("R", now * 2.0, 0), "loading" if now - born < 70 else "ready"
        if found.feed(now, Sight(replace(RUNS, invocation=f"{born}"), process, (), Api(state))):
            deeds.append(now)
            born = now
    pauses = [later - earlier for earlier, later in pairwise(deeds)]
    assert pauses == [74, 74, 74, 74, 80, 160, 300, 300, 300]


def test_an_api_that_answers_nothing_is_no_death_while_the_connections_move() -> None:
    """Every thread of its HTTP server waits for somebody's tokens."""
    found = Play(SERVER, Watch(SERVER, lambda _: None), [])
    for _ in range(5):
        for now, sight in sights("prefill", "s"):
            assert found.feed(found.now + 2 if found.last else now, replace(sight, api=Api("silent"))) == ""
    assert found.on(50) == []
    assert [kind for _, kind in found.on(12)] == ["stuck"]


def test_what_systemd_does_is_left_to_systemd() -> None:
    """Stopped by somebody, or on its way: not the guard's. Given up: the guard's."""
    for service in (SERVER, WORKERS[0]):
        found = Play(service, Watch(service, lambda _: None), [])
        for active in ("inactive", "activating", "deactivating"):
            found.feed(0, Sight(Unit(active)))
            assert found.on(600) == []
        found.feed(found.now, Sight(Unit("failed", result="resources")))
        assert found.on(10)[0][1] == "failed"


@pytest.mark.parametrize("result", ["timeout", "signal", "core-dump", "exit-code"])
def test_who_was_stopped_by_somebody_stays_stopped_however_it_took_that(result: str) -> None:
    """A llama-server whose worker is frozen ignores SIGTERM, and systemd then calls it failed."""
    for service in (SERVER, WORKERS[0]):
        found = Play(service, Watch(service, lambda _: None), [])
        found.feed(0, Sight(Unit("failed", result=result)))
        assert found.on(600) == []


def test_another_server_than_it_was_told_of_is_not_judged() -> None:
    """cluster.py starts it with other workers or another port, and comes to the guard later, or never."""
    for service in (replace(SERVER, workers=(*ENDPOINTS, "127.0.0.1:50054")), replace(SERVER, port=18081)):
        found = play("idle", SERVER)
        told = Play(service, Watch(service, found.said.append), found.said)
        told.feed(found.now, replace(found.last or Sight(RUNS), api=Api("ready")))
        assert told.on(600) == []
        assert told.on(600, api=Api("refused")) == []
        assert found.said.pop().startswith("s: runs with other addresses")
    other = replace(WORKERS[0], endpoint="127.0.0.1:50099")
    told = Play(other, Watch(other, found.said.append), found.said)
    told.feed(0, Sight(RUNS, Process("S", 0, 0)))
    assert told.on(600) == []
    assert found.said.pop().startswith("w1: runs with other addresses")


def test_a_worker_that_does_not_listen() -> None:
    found = play("idle", WORKERS[0])
    assert found.last
    deaf = tuple(each for each in found.last.sockets if each.state != "LISTEN")
    assert found.on(58, sockets=deaf) == []
    assert [kind for _, kind in found.on(10, sockets=deaf)] == ["deaf"]


GHOST = Socket("ESTAB", ENDPOINTS[0], "127.0.0.1:43524", inode=7, taken=5000, silent=30)
AT_THE_DOOR = Socket("ESTAB", ENDPOINTS[0], "127.0.0.1:36916", unread=33)
LISTENS = Socket("LISTEN", ENDPOINTS[0], "0.0.0.0:*", unread=1, inode=6)


@pytest.mark.parametrize(
    ("sockets", "deeds"),
    [
        ((LISTENS, GHOST, AT_THE_DOOR), ["ghost"]),
        ((LISTENS, GHOST), []),
        ((LISTENS, AT_THE_DOOR), []),
        ((LISTENS, replace(GHOST, keepalive=True), AT_THE_DOOR), []),
        ((LISTENS, replace(GHOST, silent=3), AT_THE_DOOR), []),
        ((LISTENS, replace(GHOST, keepalive=True, taken=33), AT_THE_DOOR), ["ghost"]),
        ((LISTENS, replace(GHOST, keepalive=True, taken=33), replace(AT_THE_DOOR, state="CLOSE-WAIT")), []),
        ((LISTENS, replace(GHOST, keepalive=True, taken=33, silent=5), AT_THE_DOOR), []),
    ],
)
def test_a_controller_that_is_gone_and_one_at_the_door(sockets: tuple[Socket, ...], deeds: list[str]) -> None:
    """Recorded: a controller without power, its successor's connection waits in the kernel. With keepalive on the dead
    one TCP ends it by itself; one that spoke lately is not dead. One that has said hello at most loses nothing."""
    found = Play(WORKERS[0], Watch(WORKERS[0], lambda _: None), [])
    found.feed(0, Sight(RUNS, Process("S", 1, 1, {6: 3, 7: 4}), sockets))
    assert [kind for _, kind in found.on(14)] == deeds


def test_a_port_that_another_one_holds_is_said_once() -> None:
    said: list[str] = []
    watch = Watch(WORKERS[0], said.append)
    for now in range(20):
        watch.judge(now, Sight(Unit("activating"), holder="nc (process 12)"))
    assert said == [
        "w1: cannot listen at 127.0.0.1:50052, which nc (process 12) holds; end that, or choose another rpc_port"
    ]


def test_a_lost_device() -> None:
    found = play("idle", SERVER)
    line = "ggml_vulkan: device lost on Vulkan0"
    assert found.on(60, device_lost=line) == [], "anybody who may ask can have such a line written"
    ((_, kind),) = found.on(6, device_lost=line, canary=Canary(0, 0, False, 0, 1))
    assert kind == "device"
    assert found.watch.complaints[0].text == f"it has lost its device: {line}"


def test_errors_of_its_own_count_where_it_could_do_better_before() -> None:
    found = play("idle", SERVER)
    assert found.on(10, canary=Canary(0, 0, False, 0, 5)) == []
    assert found.on(10, canary=Canary(0, 0, False, 9, 2)) == []
    assert [kind for _, kind in found.on(2, canary=Canary(0, 0, False, 9, 3))] == ["sick"]


# --- the canary

FRESH = tuple(Slot(number, False, context=4096) for number in range(4))


def wants(slots: tuple[Slot, ...], life: Life | None = None, canary: Canary | None = None, **other: Any) -> int | None:
    peers = tuple(Socket("ESTAB", "127.0.0.1:1", each, inode=9) for each in ENDPOINTS)
    values: dict[str, Any] = {"sockets": peers, "api": Api("ready", slots), "canary": canary or Canary()} | other
    sight = Sight(RUNS, Process("S", 0, 0, {9: 9}), **values)
    return server.canary(SERVER, sight, life or Life(worked=0, users=90), 100.0)


def used(*numbers: int, tokens: int = 900) -> tuple[Slot, ...]:
    return tuple(replace(slot, task=7, tokens=tokens) if slot.number in numbers else slot for slot in FRESH)


def test_a_canary_goes_where_nobody_loses_anything() -> None:
    assert wants(FRESH) == 0
    assert wants(used(0)) == 1
    assert wants(used(2, tokens=2)) == 2, "its own slot, again"
    assert wants(used(0, 1, 3)) is None, "the last free one is for the next user"
    assert wants(used(0, 1, 2, 3)) is None
    assert wants(used(0, 1, tokens=2045)) is None, "the cache is full: somebody's would be emptied for it"


def test_a_slot_that_nobody_came_back_to_is_taken() -> None:
    forgotten = Life(worked=0, users=100 - server.FORGOTTEN)
    assert wants(used(0, 1, 2, 3), forgotten) == 0
    assert wants(used(0, 1, 3), forgotten) == 2
    assert wants((replace(FRESH[0], task=7, tokens=900),), replace(forgotten, users=50)) is None


def test_a_canary_is_sent_into_silence_only() -> None:
    assert wants(FRESH, Life(worked=71)) is None, "29 s ago somebody was served"
    assert wants(FRESH, Life(worked=70)) == 0
    assert wants(FRESH, canary=Canary(0, 71)) is None
    assert wants(FRESH, canary=Canary(0, 95, sick=1)) == 0, "after an error sooner"
    assert wants(FRESH, canary=Canary(0, 0, running=True)) is None
    assert wants((replace(FRESH[0], busy=True), *FRESH[1:])) is None
    assert wants(FRESH, sockets=()) is None, "it has lost its workers"
    assert wants(FRESH, api=Api("loading")) is None
    assert wants((), api=Api("closed")) is None


def test_a_line_about_a_lost_device_is_looked_into_whoever_asks_for_what() -> None:
    """Where it is true, every request fails at once, and the next one comes."""
    busy = Life(worked=100, users=100)
    assert wants(used(0, 1, 2, 3), busy) is None
    assert wants(used(0, 1, 2, 3), busy, device_lost="x") == 0
    assert wants(used(0, 1, 2, 3), busy, Canary(0, 96), device_lost="x") is None, "one each 5 s"


def test_whose_work_it_was() -> None:
    """A canary's own slot is no user's, until a user takes it."""
    mine = Canary(0, 0, False, 1)

    def after(life: Life, now: float, slots: tuple[Slot, ...]) -> Life:
        return live(life, now, Sight(RUNS, Process("S", 0, 0), (), Api("ready", slots), mine))

    life = after(Life(), 0, FRESH)
    life = after(life, 10, used(0, tokens=2))
    assert life.users == float("-inf")
    life = after(life, 20, (replace(FRESH[0], busy=True, tokens=2), *FRESH[1:]))
    assert life.users == float("-inf")
    life = after(life, 30, used(0, 1))
    assert life.users == 30
    life = after(life, 40, used(0, 1))
    assert life.users == 30
    assert after(Life(), 50, used(3)).users == 50, "the guard has just been started"


def test_a_processor_alone_may_take_minutes_for_a_batch_of_a_prompt() -> None:
    """2048 tokens at 5 tokens a second: its slots say nothing of it until it is done."""
    alone = Server("s", "chat", "127.0.0.1", 18080, (), 15, 1200)
    prompt = (replace(FRESH[0], busy=True, task=3), *FRESH[1:])

    def busy(seconds: int, **sight: Any) -> list[float]:
        found = Play(alone, Watch(alone, lambda _: None), [])
        return [
            now
            for now in range(0, seconds, 2)
            if found.feed(now, Sight(RUNS, Process("R", now * 8.0, 0), (), **sight)) == "mute"
        ]

    assert busy(1190, api=Api("ready", prompt)) == []
    assert busy(1190, api=Api("silent")) == []
    assert len(busy(1210, api=Api("ready", prompt))) == 1
    assert len(busy(310, api=Api("ready", prompt), canary=Canary(0, 0, True))) == 1, "one token of ours is no batch"


def test_an_answer_to_a_canary_is_work() -> None:
    found = play("idle", SERVER)
    assert found.watch.life.worked < found.now
    found.feed(found.now + 2, replace(found.last or Sight(RUNS), canary=Canary(0, 0, False, 1)))
    assert found.watch.life.worked == found.now


def test_an_unanswered_canary_is_something_to_do() -> None:
    found = play("idle", SERVER)
    waiting = Canary(0, 0, True)
    assert found.on(58, canary=waiting) == []
    ((_, kind),) = found.on(6, canary=waiting)
    assert kind == "stuck"


def test_names_of_complaints_are_few_and_have_patience() -> None:
    everything = Sight(RUNS, Process("T", 0, 0), (), Api("refused"))
    found = list(server.complaints(SERVER, everything, Life(ready=True), 5))
    assert [each.kind for each in found] == ["frozen", "lost", "deaf"]
    assert list(worker.complaints(WORKERS[0], Sight(Unit()), Life(), 5)) == []
