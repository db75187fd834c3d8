"""What a node does to have its firewall as it was before a change of ours that nobody has confirmed."""

from __future__ import annotations

from roles.firewall import firewalld
from roles.firewall.plan import LOADED, RULES, UNIT
from roles.lib.layout import ETC
from roles.lib.tentative import FIREWALL, Change

UFW = ("/etc/ufw/user.rules", "/etc/ufw/user6.rules")
PATHS = (
    RULES,
    LOADED,
    f"/etc/systemd/system/{UNIT}",
    f"/etc/systemd/system/multi-user.target.wants/{UNIT}",
    *map(firewalld.path, firewalld.ZONES),
    *UFW,
)

TABLE = f"{ETC}/.firewall.nft.before"

# SELinux has nft in a domain of its own: it writes into a pipe of ours and not into a file, and reads what is in /etc.
KEEP = f"""\
    nft -s list table inet halofleet 2>/dev/null | cat >"$dir/table"
    if systemctl is-active --quiet {UNIT}; then : >"$dir/active"; fi
"""

RESTORE = f"""\
systemctl daemon-reload
{{ echo "table inet halofleet"; echo "delete table inet halofleet"; cat "$dir/table"; }} >{TABLE}
nft -f {TABLE}
rm -f {TABLE}
if [ ! -e "$dir/active" ]; then systemctl stop {UNIT}; fi
if grep -q '^/etc/firewalld/' "$dir/changed" && systemctl is-active --quiet firewalld; then
    firewall-cmd --quiet --reload
fi
if grep -q '^/etc/ufw/' "$dir/changed"; then ufw reload; fi
"""

CHANGE = Change(FIREWALL, "the firewall", PATHS, KEEP, RESTORE, steps=1)
