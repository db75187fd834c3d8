"""Remote commands run for real: by /bin/sh, with this machine's own sed, sort and sha256sum, below a fake root.

Absolute paths of the host are moved below the root, in the text of the command. What only a system can answer
(systemctl, apt-get, ip, stat's owners) is answered by the model: on the PATH, its place is taken by a stub that asks
this process. A program that is neither is an error, never a silent success.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gevent.monkey import get_original

from tests.sim.programs import shared_programs

POLL, WAITPID = get_original("select", "poll"), get_original("os", "waitpid")
"""pyinfra_cli lets gevent replace them, and a wait then costs milliseconds."""

STAT = "{pid} ({comm}) S {parent} 122 123 0 -1 4194560 356 10577 2 20 0 0 4 5 20 0 1 0 {start} 2744320 420\n"
"""/proc/PID/stat (trixie, shortened): field 4 is the parent, field 22 the start time."""

HOST_PATHS = re.compile(
    r"(?<![\w.}~-])/(?=(?:boot|efi|etc|home|models|opt|proc|root|run|srv|sys|usr/lib/tuned|var)\b|dev/urandom)"
)


@dataclass(frozen=True)
class Call:
    """A stub was called."""

    program: str
    user: str
    folder: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """What the program prints and ends with."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


class NotModelled(BaseException):
    """Something was asked that the model does not know. No `except Exception` may swallow it."""


@dataclass
class Shell:
    """answer: the model. work: a folder of our own beside the root."""

    root: Path
    work: Path
    answer: Callable[[Call], Reply]
    login: str
    session: int = 0
    depth: int = field(default=0, init=False)

    def inside(self, text: str) -> str:
        """Text with the host's absolute paths as they are on this machine."""
        base = str(self.root.parent)
        return base.join(HOST_PATHS.sub(lambda _: f"{self.root}/", part) for part in text.split(base))

    def outside(self, text: str) -> str:
        """The other way round."""
        return text.replace(str(self.root), "")

    def run(self, text: str, stdin: bytes = b"", user: str | None = None) -> Reply:
        """Runs it as the user (the login user); may be called again while a stub waits (a unit that is started)."""
        self.depth += 1
        folder = self.work / f"run{self.depth}"
        try:
            return self._run(self.inside(text), stdin, user or self.login, folder)
        finally:
            self.depth -= 1

    def _run(self, text: str, stdin: bytes, user: str, folder: Path) -> Reply:
        ask, answer = folder / "ask", folder / "answer"
        if not folder.exists():
            folder.mkdir()
            os.mkfifo(ask)
            os.mkfifo(answer)
        asked, answered = (os.open(pipe, os.O_RDWR | os.O_NONBLOCK) for pipe in (ask, answer))
        places = {"SIM_ASK": ask, "SIM_ANSWER": answer, "SIM_REPLY": folder / "reply"}
        environment = {key: str(value) for key, value in places.items()} | {
            "PATH": f"{self.work}/bin:{shared_programs()}",
            "SIM_USER": user,
            "SIM_TEXT": text,
            "SIM_ROOT": str(self.root),
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        (folder / "stdin").write_bytes(stdin)
        # Not subprocess: it forks this whole process, which costs ten times as much.
        opened = [(os.POSIX_SPAWN_OPEN, 0, str(folder / "stdin"), os.O_RDONLY, 0)]
        for number, name in ((1, "stdout"), (2, "stderr")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened.append((os.POSIX_SPAWN_OPEN, number, str(folder / name), flags, 0o644))
        # It waits until its own entry is in /proc. `exec`: it keeps its process id, as under sshd.
        command = ["/bin/sh", "-c", 'cd "$SIM_ROOT"; read -r go <"$SIM_ANSWER"; eval "exec $SIM_TEXT"']
        pid = os.posix_spawn(command[0], command, environment, file_actions=opened)
        try:
            entry = self._enter(pid)
            os.write(answered, b"go\n")
            self._serve(pid, asked, answered, folder)
            shutil.rmtree(entry)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            status = os.waitstatus_to_exitcode(WAITPID(pid, 0)[1])
            os.close(asked)
            os.close(answered)
        # pyinfra refuses other bytes than UTF-8; the host's own programs do not.
        errors = "strict" if self.depth == 1 else "surrogateescape"
        texts = ((folder / name).read_bytes().decode(errors=errors) for name in ("stdout", "stderr"))
        out, err = map(self.outside, texts)
        return Reply(out, err, status)

    def _enter(self, pid: int) -> Path:
        entry = self.root / f"proc/{pid}"
        entry.mkdir(parents=True)
        (entry / "comm").write_text("sh\n")
        (entry / "stat").write_text(STAT.format(pid=pid, comm="sh", parent=self.session, start=1000 + pid))
        return entry

    def _serve(self, pid: int, asked: int, answered: int, folder: Path) -> None:
        """Answers stubs until the command has ended; what it left in the background is not waited for."""
        ended = os.pidfd_open(pid)
        poll = POLL()
        poll.register(asked, select.POLLIN)
        poll.register(ended, select.POLLIN)
        heard = b""
        try:
            while ready := [number for number, _ in poll.poll(60_000)]:
                if asked not in ready:
                    return
                heard += os.read(asked, 1 << 20)
                while call := _parse(heard):
                    heard = heard[call[1] :]
                    reply = self.answer(self._outside_call(call[0]))
                    out, err = shlex.quote(reply.stdout), shlex.quote(reply.stderr)
                    script = f"printf %s {out}\nprintf %s {err} >&2\nexit {reply.status}\n"
                    (folder / "reply").write_text(script, errors="surrogateescape")
                    os.write(answered, b"go\n")
            raise NotModelled("the command does not end")
        finally:
            os.close(ended)

    def _outside_call(self, call: Call) -> Call:
        words = tuple(map(self.outside, call.words))
        return Call(call.program, call.user, self.outside(call.folder), words)


def _parse(heard: bytes) -> tuple[Call, int] | None:
    """The first complete call, and its length; None while there is none."""
    parts = heard.split(b"\0")
    if len(parts) < 2 or len(parts) <= (count := int(parts[0]) + 4):
        return None
    words = [part.decode() for part in parts[:count]]
    return Call(words[1], words[2], words[3], tuple(words[4:])), sum(len(part) + 1 for part in parts[:count])
