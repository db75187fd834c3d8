"""For every tier."""

from __future__ import annotations

import functools

from hypothesis import settings
from pyinfra.api import connectors, inventory

settings.register_profile("halofleet", deadline=None)  # no test is a measurement
settings.load_profile("halofleet")

# pyinfra looks for connectors in every installed package's metadata, three times for each inventory.
for _module in (connectors, inventory):
    for _name in ("get_all_connectors", "get_execution_connectors"):
        setattr(_module, _name, functools.cache(getattr(connectors, _name)))
