"""Follows the journal of a unit, for the lines that say that a device is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable

AGAIN, LONGEST = 5.0, 300.0
"""Seconds before a journalctl that has ended is started again: doubled each time, up to the longest."""

FRESH = 60.0
"""Seconds during which a line counts: a completion tells meanwhile whether it is true."""


class Follower:
    """found: invocation -> its last line of that kind, cut to a length that fits a message, and when it came. trouble:
    why the journal cannot be read; empty while it is (under a policy of SELinux that keeps a service's journalctl from
    it, for one). A lost device is then noticed by completions that fail, later."""

    def __init__(self, unit: str, lines: tuple[str, ...]) -> None:
        self.unit, self.lines = unit, tuple(line.lower() for line in lines)
        self.found: dict[str, tuple[str, float]] = {}
        self.trouble = ""
        if lines:
            threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        fields = "--output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID"
        command = ["journalctl", "-q", "-f", "-n", "0", "-o", "json", fields, "-u", self.unit]
        pause = AGAIN
        while True:
            begun = time.monotonic()
            said = self._until_it_ends(command)
            self.trouble = f"the journal of {self.unit} cannot be read: {said}"
            if time.monotonic() - begun > LONGEST:
                pause = AGAIN
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)

    def _until_it_ends(self, command: list[str]) -> str:
        """What it said last."""
        try:
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as reader:
                said = self.read(reader.stdout or ())
            return said or f"journalctl ended with {reader.returncode}"
        except (OSError, ValueError) as error:
            return str(error)

    def lost(self, invocation: str, now: float) -> str:
        """The line that says that this process has lost its device; empty where there is none, or none of late."""
        line, came = self.found.get(invocation, ("", 0.0))
        return line if now - came <= FRESH else ""

    def read(self, lines: Iterable[str]) -> str:
        """The last line that is no entry of a journal."""
        other = ""
        for line in lines:
            try:
                entry = json.loads(line)
                message = entry.get("MESSAGE")  # bytes that are no text come as a list of numbers
            except (ValueError, AttributeError):
                other = line.strip()
                continue
            self.trouble = ""
            if isinstance(message, str) and any(part in message.lower() for part in self.lines):
                self.found = {entry.get("_SYSTEMD_INVOCATION_ID", ""): (message.strip()[:200], time.monotonic())}
        return other
