"""The rules that are loaded are the rules of the file."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand, operation

from roles.firewall.plan import LOADED, RULES, UNIT
from roles.lib.remote import Commands, current, look


class FirewallLoaded(FactBase[bool]):
    """The unit is enabled and active, and the kernel's table is what it loaded from the file as it is now."""

    def command(self) -> StringCommand:
        return StringCommand(
            f"if systemctl is-active --quiet {UNIT} && systemctl is-enabled --quiet {UNIT} && "
            f"{{ sha256sum <{RULES}; nft -s list table inet halofleet; }} 2>/dev/null | cmp -s - {LOADED}; "
            "then echo yes; else echo no; fi"
        )

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]

    @staticmethod
    def default() -> bool:
        return False


@operation()
def rules_loaded() -> Commands:
    """Loads the table in one transaction (`nft -f`): at no instant is a port open that should not be."""
    host = current()
    if look(host, FirewallLoaded):
        host.noop("the rules are loaded")
        return
    # Checked first: a rule set that nft refuses must not cost the one that is loaded.
    yield StringCommand(f"nft -c -f {RULES}")
    yield StringCommand(f"systemctl daemon-reload && systemctl enable --quiet {UNIT}")
    yield StringCommand(f"systemctl reload-or-restart {UNIT}")
