"""Follows the journal of a unit, for the lines that say that a device is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable

AGAIN = 5.0
"""Seconds before a journalctl that has ended is started again."""

FRESH = 60.0
"""Seconds during which a line counts: a completion tells meanwhile whether it is true."""


class Follower:
    """found: invocation -> its last line of that kind, cut to a length that fits a message, and when it came."""

    def __init__(self, unit: str, lines: tuple[str, ...]) -> None:
        self.unit, self.lines = unit, tuple(line.lower() for line in lines)
        self.found: dict[str, tuple[str, float]] = {}
        if lines:
            threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        fields = "--output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID"
        command = ["journalctl", "-q", "-f", "-n", "0", "-o", "json", fields, "-u", self.unit]
        while True:
            try:
                with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as reader:
                    self.read(reader.stdout or ())
            except (OSError, ValueError) as error:
                print(f"<4>{self.unit}: its journal cannot be read: {error}", flush=True)
            time.sleep(AGAIN)

    def lost(self, invocation: str, now: float) -> str:
        """The line that says that this process has lost its device; empty where there is none, or none of late."""
        line, came = self.found.get(invocation, ("", 0.0))
        return line if now - came <= FRESH else ""

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            entry = json.loads(line)
            message = entry.get("MESSAGE")  # bytes that are no text come as a list of numbers
            if isinstance(message, str) and any(part in message.lower() for part in self.lines):
                self.found = {entry.get("_SYSTEMD_INVOCATION_ID", ""): (message.strip()[:200], time.monotonic())}
