"""pyinfra's entry: the hosts of lab.yml. For a second lab, copy both files under another name."""

from inventory.spec import pyinfra_hosts

# pyinfra names a group after this file; `all` adds no other, so that a copy needs no edit.
all = pyinfra_hosts(__file__)
