"""A fresh folder in which the commands of a document run as in a clone where set-up is done."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What commands read of the repository. Pipelines are copied, as people write to them.
LINKED = ["Makefile", "Cargo.toml", "crates", "docs", "setup", "target", "tests"]
# What `make test` says by variables lies in the cache here, as set-up leaves it.
DOWNLOADS = {
    "ORT_DYLIB_PATH": "onnxruntime",
    "BACKBONE_WEIGHTS": "efficientnet-lite0",
    "ONNXRUNTIME_WEB": "onnxruntime-web",
}
UNWANTED = ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "RUNS_DIR", "CACHE_DIR", "DATA", "GTSRB", "PIPELINE"]

# Binaries are those of the repository, brought up to date.
CARGO = """#!/bin/sh
subcommand=$1; shift
exec '{cargo}' "$subcommand" --manifest-path '{root}/Cargo.toml' "$@"
"""


class Place:
    """Use it in a `with`: the folder goes at the end."""

    def __init__(self, python):
        self.python = python
        self.home = tempfile.TemporaryDirectory(prefix="document ")
        self.path = Path(self.home.name) / "clone"
        self.environment = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        self.servers = []
        self.has_browser = all(os.environ.get(name) for name in ("CHROMIUM", "ONNXRUNTIME_WEB"))

    def __enter__(self):
        self.path.mkdir()
        for name in LINKED:
            (self.path / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "pipelines", self.path / "pipelines")
        self.bring_downloads()
        self.bring_programs()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.kill()
            server.wait()
        self.home.cleanup()

    def bring_downloads(self):
        downloads = self.path / "cache/downloads"
        downloads.mkdir(parents=True)
        for variable, name in DOWNLOADS.items():
            found = self.environment.pop(variable, None)
            if found:
                folder = Path(found) if Path(found).is_dir() else Path(found).parent
                (downloads / name).symlink_to(folder.resolve())

    def bring_programs(self):
        programs = Path(self.home.name) / "programs"
        programs.mkdir()
        cargo = programs / "cargo"
        cargo.write_text(CARGO.format(cargo=shutil.which("cargo"), root=ROOT))
        cargo.chmod(0o755)
        for name in ("python", "python3"):
            (programs / name).write_text(f"#!/bin/sh\nexec '{self.python}' \"$@\"\n")
            (programs / name).chmod(0o755)
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"

    def shell(self, text):
        """Runs lines of a shell, which keep what earlier ones exported."""
        state = Path(self.home.name) / "state"
        before = f". '{state}'\n" if state.exists() else ""
        lines = f"set -eu\n{before}{text}\nexport -p > '{state}'\n"
        return self.run(["bash", "-c", lines])

    def run(self, command):
        """Standard output of a command that must succeed."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        if done.returncode != 0:
            raise ValueError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def serve(self, command):
        """Starts `python3 -m http.server …`, on a port of its own; gives its address."""
        command = ["bash", "-c", f"exec {command.strip()} --bind 127.0.0.1 0"]
        environment = self.environment | {"PYTHONUNBUFFERED": "1"}
        server = subprocess.Popen(
            command, cwd=self.path, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.servers.append(server)
        port = server.stdout.readline().split(" port ")[1].split()[0]
        return f"http://127.0.0.1:{port}"
