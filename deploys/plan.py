"""Show a lab without any host: `pyinfra @local deploys/plan.py [--data lab=PATH]`. Contacts nothing, writes nothing."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from pyinfra import host

from inventory.spec import LabError, load
from inventory.spec.report import report
from roles.lib.stop import Refused

path = Path(str(host.data.get("lab") or Path(__file__).resolve().parents[1] / "inventory" / "lab.yml"))
try:
    lab = load(path)
except LabError as error:
    raise Refused(str(error)) from None

# pyinfra's own words are about a run, and this is none.
logging.getLogger("pyinfra").setLevel(logging.WARNING)
json = "--json" in sys.argv
try:
    print(report(lab), end="", file=sys.stderr if json else sys.stdout, flush=True)
except BrokenPipeError:  # `make plan | head`; the interpreter would complain again at its end
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
for warning in lab.warnings:
    print(warning, file=sys.stderr)

# There is nothing to confirm and nothing to run. With --json pyinfra goes on, to print its own.
if not json:
    sys.exit(0)
