"""Tries what `make dist` packs: alone, without a network and without any other program.

usage: check.py RELEASE DOWNLOADS

setup/dist.py packs RELEASE and DOWNLOADS twice.
"""

import functools
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# What the binaries and the libraries may load besides themselves: C's and C++'s own.
SYSTEM = {"linux-vdso", "ld-linux", "libc", "libm", "libdl", "librt", "libpthread", "libgcc_s", "libstdc++"}

# The sample pipeline with few pictures.
CONFIG = Path(__file__).resolve().parent.parent / "small.toml"

# A network with nothing in it, not even this machine.
ALONE = ["unshare", "--user", "--map-root-user", "--net"]


def expect(what, condition, seen):
    if not condition:
        sys.exit(f"FAILED: {what}: {seen}")
    print(f"ok: {what}", flush=True)


@functools.cache
def alone():
    """The command that takes the network away, where this system has one."""
    tool = shutil.which(ALONE[0])
    command = [tool, *ALONE[1:]]
    if tool and subprocess.run([*command, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return command
    print("skipped: unshare can't be used here, so the network stays")
    return []


def call(folder, *command):
    """Runs a program of the distribution with nothing around it; gives what it prints."""
    place = {"cwd": folder, "env": {"PATH": "/nowhere"}}
    called = " ".join(Path(word).name for word in command)
    command = [*alone(), *map(str, command)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **place)
    expect(called, done.returncode == 0, done.stdout + done.stderr)
    return done.stdout


def check_pipeline(home, work):
    shutil.copy(CONFIG, work)
    call(work, home / "run", "small.toml")
    run = work / "runs/small"
    metrics = json.loads((run / "metrics.json").read_text())
    expect("the pipeline learns", metrics["top1"] > 0.5, metrics["top1"])
    expect("from all pictures", metrics["test_images"] == 86, metrics["test_images"])
    picture = next((run / "data").rglob("Final_Test/Images/*.ppm"))
    said = call(work, home / "bin/gtsrb-predict", "--run", run, picture)
    expect("predictions have a class", re.search(r"\t\d+\t.+\t0\.\d+|\t1\.0+", said), said)
    call(work, home / "bin/gtsrb-predict", "selftest", "--run", run)


def check_folder(home, work):
    """Pictures of one's own, in folders of classes."""
    drawn = sorted((work / "runs/small/data").rglob("Final_Training/Images/0000[12]/*.ppm"))
    for picture in drawn:
        target = work / "pictures" / picture.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    call(work, home / "run", home / "pipelines/folder.toml", "pictures")
    metrics = json.loads((work / "runs/folder/metrics.json").read_text())
    expect("a folder of pictures is learned", metrics["top1"] > 0.7, metrics["top1"])


def check_contents(home):
    said = call(home, home / "bin/gtsrb-train", "--version")
    expect("--version tells the commit", "commit " in said, said)
    licences = (home / "licences/rust.txt").read_text()
    for words in ["clap 4", "ring 0", "Permission is hereby granted", "SIL OPEN FONT LICENSE"]:
        expect(f"licences have {words!r}", words in licences, "they haven't")
    for name in ["lib/onnxruntime/ThirdPartyNotices.txt", "share/man/man1/gtsrb-train-curve.1"]:
        expect(f"{name} is there", (home / name).is_file(), "it isn't")
    readme = (home / "README.md").read_text()
    expect("README.md is filled in", not re.search(r"\b(VERSION|SYSTEM|GLIBC)\b", readme), readme)


def check_libraries(home):
    if shutil.which("ldd") is None:
        return print("skipped: there is no ldd")
    for file in [*home.glob("bin/*"), *home.glob("lib/*/lib*.so*")]:
        said = subprocess.run(["ldd", file], check=True, capture_output=True, text=True).stdout
        names = {re.split(r"\.so|\.1|-x86|-aarch", Path(line.split()[0]).name)[0] for line in said.splitlines()}
        expect(f"{file.name} loads the system's libraries alone", names <= SYSTEM, names - SYSTEM)


def make(dist):
    """The archive."""
    script = Path(__file__).resolve().parent.parent.parent / "setup/dist.py"
    command = [sys.executable, script, dist, *sys.argv[1:]]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def main():
    with tempfile.TemporaryDirectory(prefix="some where ") as scratch:
        scratch = Path(scratch)
        archive, again = make(scratch / "dist"), make(scratch / "again")
        same = archive.read_bytes() == again.read_bytes()
        expect("packed twice it has the same bytes", same, archive)
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        home, work = scratch / archive.name.removesuffix(".tar.gz"), scratch / "work"
        work.mkdir()
        check_contents(home)
        check_libraries(home)
        check_pipeline(home, work)
        check_folder(home, work)


main()
