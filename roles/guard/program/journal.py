"""Follows the journal of a unit, for the lines that say that a device is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable

AGAIN = 5.0
"""Seconds before a journalctl that has ended is started again."""


class Follower:
    """found: invocation -> its last line of that kind, cut to a length that fits a message."""

    def __init__(self, unit: str, lines: tuple[str, ...]) -> None:
        self.unit, self.lines = unit, tuple(line.lower() for line in lines)
        self.found: dict[str, str] = {}
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

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            entry = json.loads(line)
            message = entry.get("MESSAGE")  # bytes that are no text come as a list of numbers
            if isinstance(message, str) and any(part in message.lower() for part in self.lines):
                self.found = {entry.get("_SYSTEMD_INVOCATION_ID", ""): message.strip()[:200]}
