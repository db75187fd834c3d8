"""The firewalls of the host: our own table, and what others must let through."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyinfra.api import FactBase, StringCommand

from roles.firewall import firewalld
from roles.firewall.plan import LOADED, RULES, UNIT
from roles.lib.tentative import FIREWALL, pending

POLICY = (
    "busctl --json=short call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1.policy getPolicySettings s"
)


@dataclass(frozen=True)
class Firewalls:
    loaded: bool = False
    """Our unit is enabled and active, and the kernel's table is what it loaded from the file as it is now."""
    firewalld: bool = False
    """It runs."""
    files: dict[str, str] = field(default_factory=dict)
    """Our policies for firewalld that are on disk: sha256 by name."""
    runs: dict[str, frozenset[str]] = field(default_factory=dict)
    """The rules of our policies that firewalld runs, by name."""
    ufw: bool = False
    """It is enabled."""
    tuples: frozenset[str] = frozenset()
    """The rules that were added to ufw, as it keeps them."""
    pending: bool = False
    """A change of it waits for its confirmation (roles/lib/tentative.py)."""


class FirewallStates(FactBase[Firewalls]):
    def command(self) -> StringCommand:
        names = " ".join(firewalld.ZONES)
        path = firewalld.path("$name")
        return StringCommand(
            f"{pending(FIREWALL)}"
            f"if systemctl is-active --quiet {UNIT} && systemctl is-enabled --quiet {UNIT} && "
            f"{{ sha256sum <{RULES}; nft -s list table inet halofleet; }} 2>/dev/null | cmp -s - {LOADED}; "
            "then echo loaded; fi; "
            "if systemctl is-active --quiet firewalld; then runs=yes; echo firewalld; else runs=; fi; "
            f"for name in {names}; do "
            f'if [ -e {path} ]; then echo "file $name $(sha256sum <{path} | cut -c1-64)"; fi; '
            f'if [ -n "$runs" ]; then echo "policy $name $({POLICY} $name 2>/dev/null)"; fi; done; '
            "if grep -qsx ENABLED=yes /etc/ufw/ufw.conf; then echo ufw; fi; "
            "sed -n 's/^### tuple ### /tuple /p' /etc/ufw/user.rules 2>/dev/null || true"
        )

    def process(self, output: list[str]) -> Firewalls:
        said = [line.partition(" ") for line in output]
        named = [(key, *rest.split(" ", 1)) for key, _, rest in said if key in ("file", "policy")]
        return Firewalls(
            "loaded" in output,
            "firewalld" in output,
            {name: digest for key, name, digest in named if key == "file"},
            {name: frozenset(firewalld.running(answer)) for key, name, answer in named if key == "policy"},
            "ufw" in output,
            frozenset(rest for key, _, rest in said if key == "tuple"),
            "pending" in output,
        )

    @staticmethod
    def default() -> Firewalls:
        return Firewalls()
