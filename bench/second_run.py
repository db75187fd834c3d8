"""How long a cluster.py takes that has nothing to do, and what it costs each host.

    .venv/bin/python bench/second_run.py [INVENTORY] [RUNS]

Needs a lab that has converged. Prints minimum, median and maximum; keep figures in bench/README.md with how they came.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def main() -> None:
    inventory = sys.argv[1] if len(sys.argv) > 1 else "inventory/lab.py"
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    pyinfra = Path(sys.executable).with_name("pyinfra")
    seconds, commands = [], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs + 1):
            trace = Path(folder) / f"trace-{number}"
            environment = {**os.environ, "HALOFLEET_TRACE": str(trace), "PYINFRA_PROGRESS": "off"}
            start = time.monotonic()
            command = [str(pyinfra), "-y", "--json", inventory, "deploys/cluster.py"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            took = time.monotonic() - start
            if done.returncode or json.loads(done.stdout)["results"]["totals"]["success"]:
                sys.exit(f"the lab has not converged; run cluster.py first\n{done.stderr[-2000:]}")
            if number:  # the first one warms the page cache
                seconds.append(took)
            lines = [json.loads(line) for line in trace.read_text().splitlines()]
            commands = Counter(line["host"] for line in lines if "command" in line)
    middle = statistics.median(seconds)
    print(f"seconds: min {min(seconds):.2f}, median {middle:.2f}, max {max(seconds):.2f} ({runs} runs)")
    print("remote commands:", ", ".join(f"{host} {count}" for host, count in sorted(commands.items())))


if __name__ == "__main__":
    main()
