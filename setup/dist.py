"""Packs what runs on a machine without Rust, Python or make into one folder and one archive.

usage: dist.py DIST RELEASE DOWNLOADS

DIST/NAME and DIST/NAME.tar.gz are made of the binaries in RELEASE and of the runtime and weights in
DOWNLOADS. Equal files give an equal archive, to the last byte.
Exit codes: 64 usage, 66 something to pack is missing, 69 a tool is missing or fails, 73 DIST can't
be written.
"""

import gzip
import json
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What each folder of DOWNLOADS must hold; everything in it is packed.
DOWNLOADED = {
    "onnxruntime": ["libonnxruntime*", "LICENSE", "ThirdPartyNotices.txt"],
    "efficientnet-lite0": ["*.pth", "LICENSE"],
}

# Names of files with licences in the packages of Rust.
LICENCES = re.compile(r"(un)?licen[cs]e|copying|notice|copyright|ofl\.txt|ufl\.txt", re.IGNORECASE)

# The modification time of everything packed, as seconds since 1970: 1980, where zip begins.
MODIFIED = 315532800


def fail(code, message):
    print(f"error: dist: {message}", file=sys.stderr)
    sys.exit(code)


def output(*command):
    """What a tool prints."""
    try:
        return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        fail(69, f"{command[0]}: {error}")


def version():
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def add_binaries(folder, release):
    """Binaries without the names of their functions, which nobody reads and which are a fifth."""
    target = folder / "bin"
    target.mkdir()
    for crate in sorted(ROOT.glob("crates/gtsrb-*")):
        if not (release / crate.name).exists():
            fail(66, f"{release / crate.name} is not there: run `make build`")
        shutil.copy(release / crate.name, target)
        if shutil.which("strip"):
            output("strip", str(target / crate.name))
    output(str(release / "manual"), str(folder))


def add_downloads(folder, downloads):
    for name, needed in DOWNLOADED.items():
        source = downloads / name
        for pattern in needed:
            if not any(source.glob(pattern)):
                fail(66, f"there is no {pattern} in {source}: remove it and run `make setup`")
        shutil.copytree(source, folder / "lib" / name)


def add_texts(folder, system):
    text = (ROOT / "setup/dist/README.md").read_text()
    for word, value in [("VERSION", version()), ("SYSTEM", system), ("GLIBC", glibc(folder))]:
        text = text.replace(word, value)
    (folder / "README.md").write_text(text)
    shutil.copy(ROOT / "setup/dist/run", folder)
    shutil.copy(ROOT / "CHANGELOG.md", folder)
    (folder / "pipelines").mkdir()
    for pipeline in ROOT.glob("pipelines/*.toml"):
        shutil.copy(pipeline, folder / "pipelines")


def glibc(folder):
    """The oldest C library that has every function which binaries and libraries ask for."""
    asked = set()
    for file in [*folder.glob("bin/*"), *folder.glob("lib/*/lib*")]:
        asked.update(re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", file.read_bytes()))
    if not asked:
        return "the system's own libraries"
    return f"glibc 2.{max(int(minor) for minor in asked)} or newer and libstdc++"


def rust_packages():
    """The packages of others that are compiled into the binaries, sorted by name."""
    host = re.search(r"^host: (.+)$", output("rustc", "--version", "--verbose"), re.MULTILINE)[1]
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", host]
    metadata = json.loads(output(*command))
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {
        node["id"]: [
            needed["pkg"]
            for needed in node["deps"]
            if any(kind["kind"] is None for kind in needed["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }
    own = metadata["workspace_members"]
    found = {package for package in own if packages[package]["name"].startswith("gtsrb-")}
    left = list(found)
    while left:
        new = set(needs[left.pop()]) - found
        found |= new
        left += new
    others = [packages[package] for package in found - set(own)]
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def add_licences(folder):
    """Ours, and every licence that a package comes with, equal ones once."""
    licences = folder / "licences"
    licences.mkdir()
    for name in ["LICENSE-MIT", "LICENSE-APACHE"]:
        shutil.copy(ROOT / name, licences)
    lines, holders = ["The binaries are compiled from these packages of Rust as well:", ""], {}
    for package in rust_packages():
        title = f"{package['name']} {package['version']}"
        lines.append(f"{title}: {package['license']}, {package['repository']}")
        for file in sorted(Path(package["manifest_path"]).parent.rglob("*")):
            if LICENCES.match(file.name) and file.is_file() and file.suffix != ".rs":
                text = file.read_text(errors="replace").replace("\r\n", "\n").strip()
                holders.setdefault(text, []).append(title)
    for text, titles in holders.items():
        lines += ["", "-" * 80, ", ".join(dict.fromkeys(titles)), "-" * 80, "", text]
    (licences / "rust.txt").write_text("\n".join(lines) + "\n")


def normal(info):
    """A member of the archive without owner and time."""
    executable = info.isdir() or info.mode & 0o100
    info.mode = 0o755 if executable else 0o644
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = MODIFIED
    return info


def pack(folder, archive):
    """`tarfile` adds what a folder holds in the order of the names."""
    with archive.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped:
        with tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder, folder.name, filter=normal)


def make(dist, release, downloads):
    system = f"{platform.machine()}-{platform.system().lower()}"
    name = f"gtsrb-{version()}-{system}"
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dist, prefix=".dist-") as scratch:
        folder, archive = Path(scratch) / name, Path(scratch) / "archive"
        folder.mkdir()
        add_binaries(folder, release)
        add_downloads(folder, downloads)
        add_texts(folder, system)
        add_licences(folder)
        pack(folder, archive)
        shutil.rmtree(dist / name, ignore_errors=True)
        folder.rename(dist / name)
        archive.rename(dist / f"{name}.tar.gz")
    print(dist / f"{name}.tar.gz")


def main():
    if len(sys.argv) != 4:
        fail(64, "usage: dist.py DIST RELEASE DOWNLOADS")
    dist, release, downloads = map(Path, sys.argv[1:])
    try:
        make(dist, release.resolve(), downloads)
    except OSError as error:
        fail(73, f"cannot write {dist}: {error}")


if __name__ == "__main__":
    main()
