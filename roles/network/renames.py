"""How an interface that is there already gets its name, without a reboot and without touching any other. Pure.

udev gives it, by the .link file, as it will at the next boot: what works here works then.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from roles.network.ports import Port, Seen, meant

RELOAD = "udevadm control --reload"
# By ID_PATH, which stays whatever the interface is called meanwhile. No other interface may see such an event: another
# .link file might rename it, and it might be the one that SSH comes in by.
TRIGGER = "udevadm trigger --action=add --settle --subsystem-match=net --property-match=ID_PATH={path}"
THERE = "ip -o link show dev {dev} >/dev/null 2>&1"
# Older systemd leaves the name of an interface that is up (udev-event.c: "is already up, cannot rename").
ONCE_MORE = f"{THERE} || {{{{ ip link set dev {{old}} down && {TRIGGER}; }}}}; "
AT_LAST = f"{THERE} || {{{{ echo {{trouble}} >&2; exit 1; }}}}"
FREE = "ip link set dev {dev} down && ip link set dev {dev} name {kernel}%d"
"""The kernel puts the first free number."""


def only(port: Port, seen: Sequence[Seen]) -> Seen | None:
    """The interface at the port; None where none is, or several could be."""
    found = meant(port, seen)
    return found[0] if len(found) == 1 else None


def strangers(ports: Sequence[Port], seen: Sequence[Seen]) -> list[Seen]:
    """Interfaces that have a link's name and are not at its port: another port's, or one that nobody has told us of."""
    owners = {port.interface: only(port, seen) for port in ports}
    return [one for one in seen if one.name in owners and owners[one.name] != one]


def renames(ports: Sequence[Port], seen: Sequence[Seen]) -> Iterator[str]:
    """The commands that lead to every interface at a port having its name, and no other having it."""
    freed = strangers(ports, seen)
    for held in freed:
        yield FREE.format(dev=shlex.quote(held.name), kernel="thunderbolt" if held.usb4 else "eth")
    for port in ports:
        one = only(port, seen)
        if one is None or one.name == port.interface:
            continue
        # One that was freed is down, and its old name may be another's by now.
        steps = f"{TRIGGER}; {'' if one in freed else ONCE_MORE}{AT_LAST}"
        trouble = (
            f"{one.where} has not got the name {port.interface}; "
            "udevadm test-builtin net_setup_link, with its path below /sys/class/net, says why"
        )
        yield steps.format(
            path=shlex.quote(one.path),
            dev=shlex.quote(port.interface),
            old=shlex.quote(one.name),
            trouble=shlex.quote(trouble),
        )


def touched(ports: Sequence[Port], seen: Sequence[Seen]) -> list[Seen]:
    """The interfaces that renames() takes down or names anew."""
    named = [one for port in ports if (one := only(port, seen)) is not None and one.name != port.interface]
    return [*strangers(ports, seen), *named]
