"""A role run on a simulated host by the real pyinfra."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paramiko import SSHException
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops

from inventory.spec import Lab, hosts
from roles.lib.board import board
from tests.sim.connector import Sent, SimConnector
from tests.sim.host import SimHost

Role = Callable[..., Any]
GUARD = re.compile(r"(arm|confirm) \w+$")


@dataclass(frozen=True)
class Run:
    """announced: the operations that pyinfra would count as changes (a dry run), by name."""

    sent: tuple[Sent, ...]
    announced: tuple[str, ...]
    ended: bool

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """(operation's name, its commands) for each operation that sent any; reading facts is none, and what surrounds
        a change (`guards`) is left out."""
        found: list[tuple[str, list[str]]] = []
        for sent in self.sent:
            if not sent.fact and not GUARD.match(sent.command):
                if not found or found[-1][0] != sent.operation:
                    found.append((sent.operation, []))
                found[-1][1].append(sent.command)
        return found

    @property
    def flat(self) -> list[str]:
        return [sent.command for sent in self.sent if not sent.fact and not GUARD.match(sent.command)]

    @property
    def guards(self) -> list[str]:
        """What roles/lib/tentative.py has sent around the changes."""
        return [sent.command for sent in self.sent if GUARD.match(sent.command)]

    @property
    def changes(self) -> int:
        """How many remote commands changed anything."""
        return sum(sent.changed for sent in self.sent)

    @property
    def operations(self) -> set[str]:
        """Names of the operations that sent any command."""
        return {name for name, _ in self.commands}


@dataclass(frozen=True)
class Bench:
    """A lab, one of its nodes, and the simulated host that the node is."""

    lab: Lab
    node: str
    sim: SimHost

    def run(
        self,
        role: Role,
        plan: Any,
        *,
        dry: bool = False,
        dies_after: int | None = None,
        diff: bool = False,
        loud: bool = False,
        told: dict[str, dict[str, Any]] | None = None,
        others: tuple[str, ...] = (),
    ) -> Run:
        """dry: as `--dry`, prepared with change detection and not executed; else as `-y`. loud: as `-vvv`.
        told: what other nodes of the run have put on the board, by topic. others: nodes of the run, of which no more is
        known.

        Raises what the role raises, but for a run whose connection is to die.
        """
        name, data = self._host()
        inventory = Inventory(([(name, data), *((f"@halo/{other}", {}) for other in others)], {}))
        state = State(inventory, Config(DIFF=diff), check_for_changes=dry)
        for topic, values in (told or {}).items():
            board(state, topic).update(values)
        state.print_output = state.print_input = state.print_fact_output = state.print_fact_input = loud
        host = inventory.get_host(self.node)
        state.limit_hosts = [host]
        state.activated_hosts |= {other for other in inventory if other != host}
        connector = SimConnector(state, host, self.sim, dies_after)
        host.connector = connector
        read = host.get_fact

        def get_fact(*arguments: Any, **keywords: Any) -> Any:
            connector.in_fact = True
            try:
                return read(*arguments, **keywords)
            finally:
                connector.in_fact = False

        host.get_fact = get_fact  # type: ignore[method-assign]
        ended = False
        try:
            with contextlib.suppress(*((PyinfraError, SSHException) if dies_after is not None else ())):
                connect_all(state)
                add_deploy(state, role, plan=plan)
                if not dry:
                    run_ops(state)
                ended = True
        finally:
            self.sim.disconnect()
        operations = state.ops[host]
        announced = [op_hash for op_hash, data in operations.items() if dry and data.operation_meta.will_change]
        names = [" ".join(state.get_op_meta(op_hash).names).rpartition(" | ")[2] for op_hash in announced]
        return Run(tuple(connector.sent), tuple(names), ended)

    def _host(self) -> tuple[str, dict[str, Any]]:
        """The host as inventory/lab.py gives it to pyinfra."""
        return f"@halo/{self.node}", hosts._data(self.lab, self.node)
