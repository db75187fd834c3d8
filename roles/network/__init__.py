"""Addresses on the dedicated links, persistent, by the host's own network manager."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.network.operations import links_up
from roles.network.plan import Network


@deploy("network")
def network(plan: Network) -> None:
    links_up(network=plan, name="links up")
