"""cmake and ninja that make llama.cpp's programs, as far as anybody here looks at them."""

from __future__ import annotations

from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply

HELP = {
    # Lines of the real ones, llama.cpp at 0c1e57098.
    "llama-server": """\
-lm,   --load-mode MODE                 model loading mode (default: auto)
-cram, --cache-ram N                    set the maximum cache size in MiB (default: 8192, -1 - no limit, 0 -
-lv,   --verbosity, --log-verbosity N   Set the verbosity threshold. Messages with a higher verbosity will be
""",
    "ggml-rpc-server": "  -p, --port PORT                  port to bind to (default: 50052)\n",
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
            case ["-C", "build", *names]:
                folder = self.root / call.folder.removeprefix("/") / "build"
            case _:
                raise NotModelled(call)
        for name in names:
            path = folder / "bin" / name
            path.write_text(program(name, (folder / "commit").read_text()))
            path.chmod(0o755)
        return Reply("[1/2] Building\n[2/2] Linking\n")
