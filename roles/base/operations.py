"""The service user and the clock."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.operations import server

from roles.base.facts import BaseStates
from roles.base.plan import TIME_PACKAGES, TIME_UNIT, Base
from roles.lib.layout import STATE, USER
from roles.lib.packages import InstalledPackages, packages
from roles.lib.remote import Commands, current, look


@operation()
def user_and_clock(base: Base) -> Commands:
    """A system user that nobody logs in as; a time service, unless the host has one or has no clock of its own."""
    host = current()
    state = look(host, BaseStates)
    if not state.user:
        nobody = "/usr/sbin/nologin"
        yield from server.user._inner(user=USER, system=True, home=STATE, ensure_home=False, shell=nobody)
    if base.own_clock and not state.clock:
        yield from packages._inner(TIME_PACKAGES)
        tool = look(host, InstalledPackages, apt=TIME_PACKAGES["apt"], dnf=TIME_PACKAGES["dnf"]).tool
        yield StringCommand("systemctl enable --now --quiet", QuoteString(TIME_UNIT[tool]))
    if state.user and (state.clock or not base.own_clock):
        host.noop(f"user {USER} exists, clock: {state.clock or 'the machine below keeps it'}")
