"""The doctor: what would stop or hurt a box, and why. Reads only, one command per box, needs no root.

Boxes that know nothing of us: pyinfra halo1,halo2 deploys/preflight.py
A lab, and what its inventory expects: pyinfra inventory/lab.py deploys/preflight.py
For showing to strangers: --data redact=yes. For programs: --json.
"""

from pyinfra.context import host, state

from roles.doctor.visit import visit

visit(host, state)
