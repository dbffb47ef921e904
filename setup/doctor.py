"""Says which of the pieces that the pipeline needs are missing or wrong here, and the remedy of each.

usage: doctor.py [cuda]

With `cuda` it looks at what an NVIDIA GPU needs, too. A line a piece: `ok`, `later` (fetched when
it is needed), or `wrong`.
Exit codes: 0 where nothing is wrong, 64 usage, 69 where something is.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("CACHE_DIR") or ROOT / "cache")
RUNS = os.environ.get("RUNS_DIR") or str(ROOT / "runs")
GIB = 1 << 30

# What compiled files, and runs with their cache on GTSRB, take on disk.
BUILD_BYTES, RUN_BYTES = 4 * GIB, 2 * GIB
# What the largest pipeline for GTSRB and a compiler beside another one need.
MEMORY_BYTES = 2 * GIB
# CUDA 13 begins with this driver.
DRIVER = 580

# Prints the version of ONNX Runtime's library in the way that every version has kept.
ASK_LIBRARY = """
import ctypes, sys
class Base(ctypes.Structure):
    _fields_ = [("api", ctypes.c_void_p), ("version", ctypes.CFUNCTYPE(ctypes.c_char_p))]
library = ctypes.CDLL(sys.argv[1])
library.OrtGetApiBase.restype = ctypes.POINTER(Base)
print(library.OrtGetApiBase().contents.version().decode())
"""


class Doctor:
    """Says what was found, and whether anything was wrong."""

    def __init__(self):
        self.healthy = True

    def say(self, state, piece, found):
        print(f"{state:5}  {piece}: {found}")

    def ok(self, piece, found):
        self.say("ok", piece, found)

    def later(self, piece, found):
        self.say("later", piece, found)

    def wrong(self, piece, found, remedy):
        self.healthy = False
        self.say("wrong", piece, f"{found}; {remedy}")


def ask(*command):
    """What a program prints, or None where it can't be run or fails."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def first_line(text):
    return text.splitlines()[0] if text else "no version"


def numbers(version):
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def in_manifest(pattern):
    """A version that Cargo.toml asks for."""
    return re.search(pattern, (ROOT / "Cargo.toml").read_text())[1]


def check_rust(doctor):
    wanted = in_manifest(r'rust-version = "([\d.]+)"')
    remedy = f"install Rust {wanted} or newer: https://rustup.rs, then `rustup update`"
    for tool in ["cargo", "rustc"]:
        said = ask(tool, "--version")
        if said is None:
            doctor.wrong(tool, "not found", remedy)
        elif numbers(said) < numbers(wanted):
            doctor.wrong(tool, said, remedy)
        else:
            doctor.ok(tool, said)


def check_tools(doctor):
    compiler = os.environ.get("CC") or "cc"
    said = ask(compiler, "--version")
    if said is None:
        remedy = "install a C compiler: `apt install gcc libc6-dev`, `dnf install gcc`, `xcode-select --install`"
        doctor.wrong("C compiler", f"{compiler} can't be run", remedy)
    else:
        doctor.ok("C compiler", first_line(said))
    said = ask("make", "--version")
    if said is None:
        doctor.wrong("make", "not found", "install it: `apt install make`, `dnf install make`")
    else:
        doctor.ok("make", first_line(said))


def check_python(doctor):
    version = platform.python_version()
    if sys.version_info < (3, 11):
        doctor.wrong("Python", version, "install 3.11 or newer, and name it: `make PYTHON=python3.11`")
    else:
        doctor.ok("Python", version)
    said = ask(sys.executable, "-m", "pip", "--version")
    if said is None:
        remedy = "install it: `apt install python3-pip python3-venv`, or `python3 -m ensurepip`"
        doctor.wrong("pip", f"{sys.executable} has none", remedy)
    else:
        doctor.ok("pip", said)


def is_there(doctor, piece, variable, folder, pattern, fetch="make setup"):
    """The file that the variable names or that set-up has fetched; says what to do where there is none."""
    named = os.environ.get(variable)
    if named:
        if Path(named).is_file():
            return Path(named)
        doctor.wrong(piece, f"{variable} names {named}, which isn't there", f"correct or unset {variable}")
        return None
    found = sorted((CACHE / "downloads" / folder).glob(pattern))
    if not found:
        doctor.later(piece, f"not in {CACHE / 'downloads' / folder}; `{fetch}` fetches it, as `make all` does")
        return None
    return found[-1]


def check_library(doctor, folder="onnxruntime", fetch="make setup"):
    pattern = "libonnxruntime.*.dylib" if sys.platform == "darwin" else "libonnxruntime.so*"
    library = is_there(doctor, folder, "ORT_DYLIB_PATH", folder, pattern, fetch)
    if library is None:
        return
    wanted = "1." + in_manifest(r'"api-(\d+)"')
    version = ask(sys.executable, "-c", ASK_LIBRARY, str(library))
    remedy = f"remove {library.parent} and run `{fetch}`"
    if os.environ.get("ORT_DYLIB_PATH"):
        remedy = f"let ORT_DYLIB_PATH name a library of ONNX Runtime {wanted} or newer, or unset it"
    if version is None:
        doctor.wrong(folder, f"{library} is no ONNX Runtime that can be loaded", remedy)
    elif numbers(version) < numbers(wanted):
        doctor.wrong(folder, f"{library} has version {version}", remedy)
    else:
        doctor.ok(folder, f"{version}, {library}")


def check_weights(doctor):
    weights = is_there(doctor, "weights", "BACKBONE_WEIGHTS", "efficientnet-lite0", "*.pth")
    if weights is None:
        return
    # The published name ends in the first digits of the file's hash.
    known = re.fullmatch(r"efficientnet-lite0-([0-9a-f]{8})\.pth", weights.name)
    if known and not hashlib.sha256(weights.read_bytes()).hexdigest().startswith(known[1]):
        doctor.wrong("weights", f"{weights} is damaged", "remove it and run `make setup`")
    else:
        doctor.ok("weights", weights)


def nearest(path):
    """The path, or the closest of its folders that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def can_write(folder):
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_folders(doctor):
    check_folder(doctor, "compiled files", ROOT / "target", BUILD_BYTES, "clone to another one")
    check_folder(doctor, "cache", CACHE, RUN_BYTES, "let CACHE_DIR name another one")
    # Runs may lie in an object store.
    if "://" not in RUNS:
        check_folder(doctor, "runs", Path(RUNS), RUN_BYTES, "let RUNS_DIR name another one")


def check_folder(doctor, piece, folder, needed, instead):
    there = nearest(folder)
    free = shutil.disk_usage(there).free
    if not can_write(there):
        doctor.wrong(piece, f"{there} can't be written to", f"make it writable, or {instead}")
    elif free < needed and not folder.exists():
        found = f"{free / GIB:.1f} GiB free for {folder}, {needed // GIB} are needed"
        doctor.wrong(piece, found, f"free some space, or {instead}")
    else:
        doctor.ok(piece, f"{folder}, {free / GIB:.1f} GiB free")


def memory():
    """Bytes that this process may use: the machine's, or what its container has."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return installed if text == "max" else min(installed, int(text))


def check_machine(doctor):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{platform.system()} {platform.machine()}, {cores} cores, {memory() / GIB:.1f} GiB of memory"
    if memory() < MEMORY_BYTES:
        remedy = "compile with `CARGO_BUILD_JOBS=1`, and take PIPELINE=gtsrb-fast for GTSRB"
        doctor.wrong("machine", found, remedy)
    else:
        doctor.ok("machine", found)


def check_gpu(doctor):
    said = ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if not said:
        doctor.wrong("GPU", "nvidia-smi finds none", f"install NVIDIA's driver {DRIVER} or newer")
    elif int(said.splitlines()[0].split(", ")[1].split(".")[0]) < DRIVER:
        doctor.wrong("GPU", said, f"install NVIDIA's driver {DRIVER} or newer")
    else:
        doctor.ok("GPU", said)
    check_library(doctor, "onnxruntime-gpu", "make setup DEVICE=cuda")


def main():
    if sys.argv[1:] not in ([], ["cuda"]):
        print("error: doctor: usage: doctor.py [cuda]", file=sys.stderr)
        sys.exit(64)
    doctor = Doctor()
    check_machine(doctor)
    check_rust(doctor)
    check_tools(doctor)
    check_python(doctor)
    check_library(doctor)
    check_weights(doctor)
    check_folders(doctor)
    if sys.argv[1:] == ["cuda"]:
        check_gpu(doctor)
    sys.exit(0 if doctor.healthy else 69)


if __name__ == "__main__":
    main()
