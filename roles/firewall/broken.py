"""Firewalls of the host that are meant to run and do not, and what ours would fail on: known before any change."""

from __future__ import annotations

from roles.firewall.plan import UNIT

BROKEN = (
    "is() { systemctl is-$1 $2 2>/dev/null; }; "
    "state=$(is active firewalld) starts=$(is enabled firewalld); "
    'case "$state $starts" in "active masked") echo "broken firewalld: active, masked" ;; "active "*) ;; '
    '"failed "* | *" enabled") echo "broken firewalld: $state, $starts" ;; esac; '
    "if grep -qsx ENABLED=yes /etc/ufw/ufw.conf; then "
    'if ! iptables -S ufw-user-input >/dev/null 2>&1; then echo "broken ufw: enabled, not loaded"; '
    'elif [ "$(is enabled ufw)" = masked ]; then echo "broken ufw: enabled, its unit masked"; fi; fi; '
    'if [ "$(is active nftables)" = failed ]; then echo "broken nftables.service: failed"; fi; '
    f'if [ "$(is enabled {UNIT})" = masked ]; then echo "broken {UNIT}: masked"; fi; '
    # without nft the base role installs it, unless the package is there already
    "if command -v nft >/dev/null; then "
    "said=$(nft list tables 2>&1 >/dev/null) || "
    'echo "broken nft: does not run: $(echo "$said" | head -n 1)"; '
    "elif dpkg-query -W -f '${db:Status-Status} ${Package}\\n' nftables 2>/dev/null | grep -q '^installed ' || "
    "rpm -q --whatprovides nftables >/dev/null 2>&1; "
    'then echo "broken nft: its package is installed, and there is no nft"; fi; '
)
"""Shell: a line for each. What is masked and does not run is no firewall, which is fine."""

FIXES = {
    "nft": "reinstall nftables; after an upgrade of the kernel without a reboot its modules are gone: reboot",
    UNIT: f"systemctl unmask {UNIT}: without it the RPC ports would be open",
}
FIX = "repair and start it, or disable it: it may close at the next boot what the links need"


def fix(broken: str) -> str:
    """broken: what a line says."""
    return FIXES.get(broken.partition(":")[0], FIX)
