"""Tries what `make dist` packs on a bare system: a C library, a shell, no other file, no network.

usage: check.py RELEASE DOWNLOADS

setup/dist.py packs RELEASE and DOWNLOADS twice.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# What the binaries and the libraries may load besides themselves: C's and C++'s own.
SYSTEM = {"ld-linux", "libc", "libm", "libdl", "librt", "libpthread", "libgcc_s", "libstdc++"}

# The sample pipeline with few pictures.
CONFIG = Path(__file__).resolve().parent.parent / "small.toml"

# Processes, files and a network of its own; `--root` follows.
ALONE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc"]


def expect(what, condition, seen):
    if not condition:
        sys.exit(f"FAILED: {what}: {seen}")
    print(f"ok: {what}", flush=True)


class System:
    """A folder that is `/` to what is called in it, where this machine lets us have that."""

    def __init__(self, root, libraries):
        shell = Path("/bin/sh")
        for file in [shell, *libraries, *loaded(shell)]:
            copy = root / file.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        (root / "proc").mkdir()
        self.root = root
        self.prefix = [shutil.which(ALONE[0]) or "false", *ALONE[1:], f"--root={root}"]
        tried = subprocess.run([*self.prefix, shell, "-c", ":"], check=False, capture_output=True, text=True)
        self.bare = tried.returncode == 0
        if not self.bare:
            print("skipped: unshare can't hide this machine's files and network:", tried.stderr.strip())

    def inside(self, word):
        """A path as what is called sees it; other words as they are."""
        in_it = self.bare and isinstance(word, Path)
        return f"/{word.relative_to(self.root)}" if in_it else str(word)

    def call(self, folder, *command):
        """Runs a program in a folder with nothing around it; gives what it prints."""
        called = " ".join(Path(word).name for word in command)
        command = [self.inside(word) for word in command]
        if self.bare:
            command = [*self.prefix, f"--wd={self.inside(folder)}", *command]
        environment = {"PATH": "/nowhere"}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=folder, env=environment
        )
        expect(called, done.returncode == 0, done.stdout + done.stderr)
        return done.stdout


def check_pipeline(system, home, work):
    shutil.copy(CONFIG, work)
    system.call(work, home / "run", "small.toml")
    run = work / "runs/small"
    metrics = json.loads((run / "metrics.json").read_text())
    expect("the pipeline learns", metrics["top1"] > 0.5, metrics["top1"])
    expect("from all pictures", metrics["test_images"] == 86, metrics["test_images"])
    picture = next((run / "data").rglob("Final_Test/Images/*.ppm"))
    said = system.call(work, home / "bin/gtsrb-predict", "--run", run, picture)
    expect("predictions have a class", re.search(r"\t\d+\t.+\t0\.\d+|\t1\.0+", said), said)
    system.call(work, home / "bin/gtsrb-predict", "selftest", "--run", run)


def check_folder(system, home, work):
    """Pictures of one's own, in folders of classes."""
    drawn = sorted((work / "runs/small/data").rglob("Final_Training/Images/0000[12]/*.ppm"))
    for picture in drawn:
        target = work / "pictures" / picture.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    system.call(work, home / "run", home / "pipelines/folder.toml", "pictures")
    metrics = json.loads((work / "runs/folder/metrics.json").read_text())
    expect("a folder of pictures is learned", metrics["top1"] > 0.7, metrics["top1"])


def check_contents(system, home):
    said = system.call(home, home / "bin/gtsrb-train", "--version")
    expect("--version tells the commit", "commit " in said, said)
    licences = (home / "licences/rust.txt").read_text()
    for words in ["clap 4", "ring 0", "Permission is hereby granted", "SIL OPEN FONT LICENSE"]:
        expect(f"licences have {words!r}", words in licences, "they haven't")
    for name in ["lib/onnxruntime/ThirdPartyNotices.txt", "share/man/man1/gtsrb-train-curve.1"]:
        expect(f"{name} is there", (home / name).is_file(), "it isn't")
    readme = (home / "README.md").read_text()
    expect("README.md is filled in", not re.search(r"\b(VERSION|SYSTEM|GLIBC)\b", readme), readme)


def loaded(file):
    """The libraries that a program or a library loads; none where there is no `ldd`."""
    if shutil.which("ldd") is None:
        return []
    said = subprocess.run(["ldd", file], check=False, capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+)", said, re.MULTILINE)]


def check_libraries(home):
    """The libraries of the system that the distribution needs."""
    needed = set()
    for file in [*home.glob("bin/*"), *home.glob("lib/*/lib*.so*")]:
        names = {re.split(r"\.so|-x86|-aarch", library.name)[0]: library for library in loaded(file)}
        expect(f"{file.name} loads the system's libraries alone", names.keys() <= SYSTEM, names)
        needed.update(names.values())
    return needed


def make(dist):
    """The archive."""
    script = Path(__file__).resolve().parent.parent.parent / "setup/dist.py"
    command = [sys.executable, script, dist, *sys.argv[1:]]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        archive, again = make(scratch / "dist"), make(scratch / "again")
        same = archive.read_bytes() == again.read_bytes()
        expect("packed twice it has the same bytes", same, archive)
        with tarfile.open(archive) as tar:
            tar.extractall(scratch / "root", filter="data")
        root = scratch / "root"
        home, work = root / archive.name.removesuffix(".tar.gz"), root / "some where"
        work.mkdir()
        system = System(root, check_libraries(home))
        check_contents(system, home)
        check_pipeline(system, home, work)
        check_folder(system, home, work)


main()
