"""Addresses on the dedicated links, persistent, by systemd-networkd."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.lib.paths import paths
from roles.network.operations import links_up
from roles.network.plan import PREFIX, Network, files


@deploy("network")
def network(plan: Network) -> None:
    paths(wanted=files(plan), patterns=(f"{PREFIX}*.network",), name="link files")
    links_up(network=plan, name="links up")
