"""What is running, on what, how fast the links are. Reads only, one command per node.

A lab: pyinfra inventory/lab.py deploys/status.py
Throughput of each link too, some seconds each, one after another: --data speed=yes. For programs: --json.
"""

from pyinfra.context import host, state

from roles.status.visit import visit

visit(host, state)
