"""Long work on a node: a named transient unit that outlives the control machine, and that the next run attaches to."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

from pyinfra.api import FunctionCommand, Host, QuoteString, StringCommand

from roles.lib import remote

RUNNER = (Path(__file__).parents[2] / "templates/lib/job.sh").read_text()


def job(name: str, script: str, other: Literal["wait", "stop"] = "wait") -> FunctionCommand:
    """A command to yield: runs the shell script as halofleet-NAME.service on the node, or attaches to it.

    Lines of the log like `[3/20] ...` and `== ...` are shown live. The script must be the same for the same work,
    and it must be safe to run again. other: what happens to another script that runs under this name.
    """

    def work(host: Host) -> bool:
        command = StringCommand("sh -c", QuoteString(RUNNER), "job.sh", QuoteString(name), other)
        payload = base64.b64encode(script.encode()).decode()
        ok, _ = remote.run(host, command, stdin=payload, live=True)
        return ok

    work.__name__ = f"job {name}"
    return remote.call(work)
