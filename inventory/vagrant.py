"""pyinfra's entry: the hosts and groups of lab.yml. For a second lab, copy both files under another name."""

from inventory.spec import pyinfra_groups

globals().update(pyinfra_groups(__file__))
