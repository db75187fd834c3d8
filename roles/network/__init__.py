"""Addresses on the dedicated links, persistent, by the host's own network manager."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.network.named import named
from roles.network.names import Names
from roles.network.operations import links_up
from roles.network.plan import Network


@deploy("network names")
def naming(plan: Names) -> None:
    """Before the links: which interface a link is on is told by its name."""
    named(names=plan, name="of interfaces and other ends")


@deploy("network")
def network(plan: Network) -> None:
    links_up(network=plan, name="links up")
