"""Owners of files (nobody here may chown for real), users, and what SELinux was told."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.sim.programs import real
from tests.sim.shell import WAITPID, Call, NotModelled, Reply


def inodes(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below the folder (pathlib takes five times as long)."""
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry.path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def copy_tree(source: Path, target: Path) -> None:
    """With times and hard links, which shutil does not know."""
    _spawn("cp", "-a", str(source), str(target))


def remove_tree(folder: Path) -> None:
    """Not shutil: gevent closes what it opened only when its loop turns, and that is too many files for one turn."""
    _spawn("rm", "-rf", str(folder))


def _spawn(program: str, *words: str) -> None:
    pid = os.posix_spawn(real(program), [program, *words], os.environ)
    assert WAITPID(pid, 0)[1] == 0


class Files:
    """Programs: stat, chown, restorecon, getent, id, useradd."""

    def __init__(self, root: Path, login: str) -> None:
        self.root, self.login = root, login
        self.owners: dict[int, str] = {}
        self.relabelled: set[str] = set()

    def real(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def names(self, database: str) -> dict[str, list[str]]:
        """/etc/passwd or /etc/group, by name."""
        lines = self.real(f"/etc/{database}").read_text().splitlines()
        return {line.split(":")[0]: line.split(":") for line in lines}

    def owner(self, path: Path) -> str:
        """USER:GROUP; what root's commands made is root's."""
        return self.owners.get(path.lstat().st_ino, "root:root")

    def forget_the_gone(self) -> None:
        """An inode's number may be used again."""
        alive = {seen.st_ino for _, seen in inodes(self.root)}
        self.owners = {inode: owner for inode, owner in self.owners.items() if inode in alive}

    def stat(self, call: Call) -> Reply:
        match call.words:
            case ["-c", form, name]:
                path = self._at(call, name)
            case _:
                raise NotModelled(call)
        if not path.exists():
            return Reply(stderr=f"stat: cannot statx '{name}': No such file or directory\n", status=1)
        seen = path.lstat()
        user, group = self.owner(path).split(":")
        values = {"a": f"{seen.st_mode & 0o7777:o}", "U": user, "G": group, "s": seen.st_size, "Y": int(seen.st_mtime)}
        return Reply(re.sub("%(.)", lambda found: str(values[found[1]]), form) + "\n")

    def chown(self, call: Call) -> Reply:
        match call.words:
            case ["-R", owner, name]:
                paths = [self._at(call, name), *self._at(call, name).rglob("*")]
            case [owner, name] if not owner.startswith("-"):
                paths = [self._at(call, name)]
            case _:
                raise NotModelled(call)
        user, group = owner.split(":")
        if user not in self.names("passwd"):
            return Reply(stderr=f"chown: invalid user: '{owner}'\n", status=1)
        if group not in self.names("group"):
            return Reply(stderr=f"chown: invalid group: '{owner}'\n", status=1)
        if not paths[0].exists():
            return Reply(stderr=f"chown: cannot access '{name}': No such file or directory\n", status=1)
        for path in paths:
            self.owners[path.lstat().st_ino] = owner
        return Reply()

    def restorecon(self, call: Call) -> Reply:
        path = self._at(call, call.words[-1])
        self.relabelled.update(f"/{item.relative_to(self.root)}" for item in (path, *path.rglob("*")))
        return Reply()

    def getent(self, call: Call) -> Reply:
        match call.words:
            case ["passwd" | "group" as database, name]:
                found = self.names(database).get(name)
                return Reply(":".join(found) + "\n") if found else Reply(status=2)
        raise NotModelled(call)

    def id(self, call: Call) -> Reply:
        match call.words:
            case ["-u"]:
                return Reply(self.names("passwd")[call.user][2] + "\n")
            case ["-u" | "-Gn", name] if name not in self.names("passwd"):
                return Reply(stderr=f"id: '{name}': no such user\n", status=1)
            case ["-u", name]:
                return Reply(self.names("passwd")[name][2] + "\n")
            case ["-gn" | "-Gn" as asked, name]:
                number = self.names("passwd")[name][3]
                groups = [group for group, line in self.names("group").items() if line[2] == number]
                return Reply(" ".join(groups + (self.members(name) if asked == "-Gn" else [])) + "\n")
        raise NotModelled(call)

    def members(self, user: str) -> list[str]:
        """The groups that the user is in beside its own."""
        return [group for group, line in self.names("group").items() if user in line[3].split(",")]

    def usermod(self, call: Call) -> Reply:
        match call.words:
            case ["-aG", groups, user]:
                pass
            case _:
                raise NotModelled(call)
        if missing := [group for group in groups.split(",") if group not in self.names("group")]:
            return Reply(stderr="".join(f"usermod: group '{group}' does not exist\n" for group in missing), status=6)
        self._member(groups.split(","), lambda there: [*there, user] if user not in there else there)
        return Reply()

    def gpasswd(self, call: Call) -> Reply:
        match call.words:
            case ["-d", user, group]:
                pass
            case _:
                raise NotModelled(call)
        if group not in self.members(user):  # transcript: bookworm
            return Reply(stderr=f"gpasswd: user '{user}' is not a member of '{group}'\n", status=3)
        self._member([group], lambda there: [name for name in there if name != user])
        return Reply(f"Removing user {user} from group {group}\n")

    def _member(self, groups: list[str], change: Callable[[list[str]], list[str]]) -> None:
        lines = []
        for name, line in self.names("group").items():
            there = [user for user in line[3].split(",") if user]
            lines.append(":".join([*line[:3], ",".join(change(there) if name in groups else there)]) + "\n")
        self.real("/etc/group").write_text("".join(lines))

    def useradd(self, call: Call) -> Reply:
        match call.words:
            case ["-d", home, "-s", shell, "-r", "-M", name]:
                pass
            case _:
                raise NotModelled(call)
        if name in self.names("passwd"):
            return Reply(stderr=f"useradd: user '{name}' already exists\n", status=9)
        with self.real("/etc/passwd").open("a") as passwd, self.real("/etc/group").open("a") as group:
            passwd.write(f"{name}:x:990:990::{home}:{shell}\n")
            group.write(f"{name}:x:990:\n")
        return Reply()

    def _at(self, call: Call, name: str) -> Path:
        return self.real(os.path.join(call.folder, name))  # noqa: PTH118  # a joined absolute name wins
