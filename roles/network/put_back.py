"""What a node does to have its network as it was before a change of ours that nobody has confirmed."""

from __future__ import annotations

from roles.lib.tentative import NETWORK, Change
from roles.network.facts import MARKER
from roles.network.managers import PATTERNS
from roles.network.plan import Network

# SELinux has ip in a domain of its own: it reads from and writes into pipes of ours and not files.
KEEP = """\
    ip -o -4 address | awk '{print $2, $4}' >"$dir/addresses"
    ip -4 route show | cat >"$dir/routes"
    grep . /proc/sys/net/ipv4/conf/*/forwarding >"$dir/forwarding"
    for state in enabled active; do
        if systemctl is-$state --quiet systemd-networkd; then : >"$dir/networkd-$state"; fi
    done
"""

# The managers first; what they leave out is set by hand, because SSH may come by it.
RESTORE = """\
if [ ! -e "$dir/networkd-enabled" ] && systemctl is-enabled --quiet systemd-networkd; then
    systemctl disable --quiet systemd-networkd
fi
if systemctl is-active --quiet systemd-networkd; then
    systemctl reload systemd-networkd
    if [ ! -e "$dir/networkd-active" ]; then
        sleep 2 # it takes away what it has set up itself
        systemctl stop systemd-networkd.socket systemd-networkd.service
    fi
fi
if systemctl is-active --quiet NetworkManager; then
    nmcli general reload conf
    nmcli connection reload
    while IFS= read -r path; do
        name=${path##*/}
        case $name in halofleet-*.nmconnection)
            if [ -e "$path" ]; then nmcli --wait 10 connection up "${name%.nmconnection}" </dev/null; fi ;;
        esac
    done <"$dir/changed"
fi
missing() {
    while read -r device address; do
        ip -4 -o address show dev "$device" </dev/null | grep -qF " $address " || echo "$device $address"
    done <"$dir/addresses"
}
for try in $(seq 20); do
    if [ -z "$(missing)" ]; then break; fi
    sleep 0.5
done
missing >"$dir/missing"
while read -r device address; do ip address add "$address" dev "$device" </dev/null; done <"$dir/missing"
# NetworkManager may have given it another metric this time.
while read -r route; do
    if [ -z "$(ip -4 route show ${route%% metric *} </dev/null 2>/dev/null)" ]; then
        ip -4 route add $route </dev/null 2>/dev/null
    fi
done <"$dir/routes"
while IFS=: read -r file value; do
    if [ "$(cat "$file")" != "$value" ]; then echo "$value" >"$file"; fi
done <"$dir/forwarding"
"""


def change(network: Network) -> Change:
    return Change(NETWORK, "the links", (*PATTERNS, MARKER), KEEP, RESTORE, steps=len(network.interfaces))
