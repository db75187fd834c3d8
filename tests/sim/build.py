"""cmake and ninja that make llama.cpp's programs, as far as anybody here looks at them."""

from __future__ import annotations

from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply

RECORDED = Path(__file__).parents[1] / "unit/llama_cpp_help"
HELP = {
    # The real ones, llama.cpp at 0c1e57098.
    "llama-server": (RECORDED / "0c1e57098-llama-server.txt").read_text(),
    "ggml-rpc-server": (RECORDED / "0c1e57098-ggml-rpc-server.txt").read_text(),
    "llama-bench": "  -rpc, --rpc <rpc_servers>\n",
}


def program(name: str, commit: str) -> str:
    """A program that knows --help and --version, with the words of the real one."""
    return (
        f"#!/bin/sh\ncase $1 in --help) cat <<'END'\n{HELP[name]}END\n;; --version) "
        f"echo 'version: 0.5.0-dev (build 0, commit {commit})' >&2 ;; *) exit 1 ;; esac\n"
    )


class Build:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.worker = "ggml-rpc-server"
        """What the source calls it: rpc-server before 2026-06-26."""

    def cmake(self, call: Call) -> Reply:
        match call.words:
            case ["-G", "Ninja", "-S", source, "-B", "build", *options]:
                folder = self.root / call.folder.removeprefix("/")
            case _:
                raise NotModelled(call)
        if not (folder / source / "CMakeLists.txt").is_file():
            return Reply(stderr=f'CMake Error: The source directory "{source}" does not exist.\n', status=1)
        commit = next(option.partition("=")[2] for option in options if option.startswith("-DLLAMA_BUILD_COMMIT="))
        (folder / "build/bin").mkdir(parents=True, exist_ok=True)
        (folder / "build/commit").write_text(commit)
        return Reply("-- Build files have been written to: build\n")

    def cc(self, call: Call) -> Reply:
        match call.words:
            case ["-O2", "-o", binary, source]:
                folder = self.root / call.folder.removeprefix("/")
            case _:
                raise NotModelled(call)
        (folder / binary).write_text((folder / source).read_text())
        (folder / binary).chmod(0o755)
        return Reply()

    def ninja(self, call: Call) -> Reply:
        match call.words:
            case ["-C", "build", "-t", "query", name]:  # of ninja 1.11
                known = name in (self.worker, "llama-server", "llama-bench")
                error = "" if known else f"ninja: error: unknown target '{name}'\n"
                return Reply(f"{name}:\n" if known else "", error, status=0 if known else 1)
            case ["-C", "build", *names] if {*names} <= {self.worker, "llama-server", "llama-bench"}:
                folder = self.root / call.folder.removeprefix("/") / "build"
            case _:
                raise NotModelled(call)
        for name in names:
            path = folder / "bin" / name
            path.write_text(
                program("ggml-rpc-server" if name == self.worker else name, (folder / "commit").read_text())
            )
            path.chmod(0o755)
        return Reply("[1/2] Building\n[2/2] Linking\n")
