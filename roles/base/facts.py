"""What base finds on a host."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase, QuoteString, StringCommand

from roles.base.plan import TIME_UNITS
from roles.lib.layout import USER


@dataclass(frozen=True)
class BaseState:
    user: bool
    """The service user exists."""
    clock: str
    """The enabled unit that keeps the time; empty where none is."""


class BaseStates(FactBase[BaseState]):
    def command(self) -> StringCommand:
        units = StringCommand(*(QuoteString(unit) for unit in TIME_UNITS))
        return StringCommand(
            "if getent passwd", QuoteString(USER), ">/dev/null; then echo user; fi;",
            "for u in", units, '; do if systemctl is-enabled --quiet "$u" 2>/dev/null; then echo "clock $u"; fi; done',
        )  # fmt: skip

    def process(self, output: list[str]) -> BaseState:
        clocks = [line.split(" ", 1)[1] for line in output if line.startswith("clock ")]
        return BaseState("user" in output, clocks[0] if clocks else "")

    @staticmethod
    def default() -> BaseState:
        return BaseState(False, "")
