"""Is extraction on an NVIDIA GPU right, and is it fast? `make gpu-check` calls it.

usage: gpu.py RUN CONFIG DOWNLOADS OUT [--torch PYTHON] [--device cpu] [--seconds S]
              [--batches N ...] [--precisions P ...]

RUN is a run with images (real GTSRB for figures that mean something), CONFIG its pipeline,
DOWNLOADS what `make setup DEVICE=cuda` fetched, OUT the folder for `gpu.json`. PYTHON has
PyTorch; without it that comparison is left out and its goal counts as missed. `--device cpu`
goes through everything on the processor, to try this script; goals are not judged then.

- right: embeddings of all images beside the processor's, and what train and evaluate make of
  them.
- fast: the backbone alone by batch, precision and setting, on batches that lie in memory;
  PyTorch on the same network; and the whole stage from a cold cache, with the share of time
  that the GPU is busy.

Exits with 1 when a goal is missed, 69 without a GPU.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
# What the pipeline may be told to do on a GPU, and what `bound` calls it.
SETTINGS = ((), ("nhwc",), ("graph",), ("nhwc", "graph"))
FLAGS = {"tf32": "--tf32", "nhwc": "--nhwc", "graph": "--cuda-graph"}

# The least that must be reached, and what it says.
GOALS = {
    "cosine_f32": (0.999, "smallest cosine to the processor's embeddings, f32"),
    "cosine_f16": (0.995, "smallest cosine to the processor's embeddings, f16"),
    "top1_f32": (-0.002, "top-1 less the processor's, f32"),
    "top1_f16": (-0.002, "top-1 less the processor's, f16"),
    "ratio_to_gpu_only": (0.8, "whole stage, of the same backbone alone, fastest precision"),
    "ratio_to_pytorch": (1.2, "backbone alone, to PyTorch's best of the same precision"),
}


def fail(code, message):
    print(f"error: gpu-check: {message}", file=sys.stderr)
    sys.exit(code)


def call(*command, **environment):
    """Runs a command; what it prints. A failure ends everything with its code."""
    command = [str(part) for part in command]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment, check=False
    )
    if done.returncode != 0:
        fail(done.returncode, f"failed: {' '.join(command)}")
    return done.stdout


def gpu():
    """Name, driver and memory of the GPU; ends where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        fail(69, "this machine has no NVIDIA GPU that nvidia-smi finds")
    name, driver, memory = (part.strip() for part in said.splitlines()[0].rsplit(",", 2))
    return {"name": name, "driver": driver, "memory": memory}


class Busy:
    """Samples the share of time that the GPU computes, while a block runs."""

    def __init__(self, device):
        self.shares, self.process = [], None
        self.command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--loop-ms=100"]
        self.command += ["--format=csv,noheader,nounits"]
        self.wanted = device == "cuda"

    def __enter__(self):
        if self.wanted:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
            self.reader = threading.Thread(target=self.read)
            self.reader.start()
        return self

    def read(self):
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.shares.append(int(line) / 100)

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.reader.join()
            self.process.wait()

    def mean(self):
        """Over the samples from the first to the last with work; None where there are none."""
        at_work = [i for i, share in enumerate(self.shares) if share > 0]
        if not at_work:
            return None
        span = self.shares[at_work[0] : at_work[-1] + 1]
        return sum(span) / len(span)


class Check:
    """One call: where things are, and the measurements made with them."""

    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.batches, self.seconds = args.batches, args.seconds
        kind = "onnxruntime-gpu" if args.device == "cuda" else "onnxruntime"
        self.environment = {
            "ORT_DYLIB_PATH": self.file(f"{kind}/libonnxruntime.so.*", "ORT_DYLIB_PATH"),
            "BACKBONE_WEIGHTS": self.file("efficientnet-lite0/*.pth", "BACKBONE_WEIGHTS"),
        }

    def file(self, pattern, variable):
        found = [os.environ.get(variable), *sorted(self.args.downloads.glob(pattern))]
        found = [file for file in found if file]
        if not found:
            fail(66, f"no {self.args.downloads / pattern}: run make setup DEVICE=cuda")
        return str(Path(found[0]).resolve())

    def stage(self, name, run, *flags):
        flags = ("--config", self.args.config, "--run", run, "--quiet", "--json", *flags)
        cache = str(run / "cache")
        said = call(RELEASE / f"gtsrb-{name}", *flags, CACHE_DIR=cache, **self.environment)
        return json.loads(said.splitlines()[-1])["summary"]

    def run(self, name, precision):
        """A run over the same images with a backbone of its own."""
        run = self.scratch / name
        run.mkdir()
        (run / "images").symlink_to((self.args.run / "images").resolve())
        self.stage("backbone", run, "--precision", precision)
        return run

    def extract(self, run, device, *flags):
        """The stage from a cold cache."""
        shutil.rmtree(run / "cache", ignore_errors=True)
        shutil.rmtree(run / "embeddings", ignore_errors=True)
        with Busy(device) as busy:
            summary = self.stage("extract", run, "--device", device, "--storage", "f32", *flags)
        return summary, busy.mean()

    def top1(self, run):
        self.stage("train", run)
        self.stage("evaluate", run)
        return json.loads((run / "metrics.json").read_text())["top1"]

    def correctness(self, runs):
        """Of each precision, beside f32 on the processor."""
        reference = self.run("reference", "f32")
        self.extract(reference, "cpu")
        top1 = self.top1(reference)
        found = {"top1_reference": top1}
        for precision, run in runs.items():
            self.extract(run, self.args.device)
            least, mean, equal = self.compare(reference, run)
            found |= {f"cosine_{precision}": least, f"cosine_mean_{precision}": mean}
            found |= {f"equal_{precision}": equal, f"top1_{precision}": self.top1(run) - top1}
        # Does it show where pictures are resized?
        first = next(iter(runs))
        other = self.run("resize", first)
        self.extract(other, self.args.device, "--resize", "device")
        least, mean, equal = self.compare(runs[first], other)
        return found | {"cosine_resize": least, "equal_resize": equal}

    @staticmethod
    def compare(*runs):
        """Smallest and mean cosine, and the share of equal embeddings."""
        both = [part for run in runs for part in (run, run / "cache")]
        return map(float, call(RELEASE / "examples" / "cosine", *both).split())

    def alone(self, run, batch, settings):
        """Images a second of a backbone alone; None where it can't be run so."""
        command = [RELEASE / "examples" / "bound", run / "backbone" / "backbone.onnx"]
        # As the pipeline has them: a session that records a graph is alone.
        sessions = 1 if "graph" in settings else 2
        command += [self.args.device, batch, sessions, self.seconds, *settings]
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
            check=False,
        )
        return float(done.stdout) if done.returncode == 0 else None

    def table(self, runs):
        rows = []
        for precision, run in runs.items():
            tf32 = [("tf32",), ("tf32", "nhwc")] if precision == "f32" else []
            for settings in [*SETTINGS, *tf32]:
                for batch in self.batches:
                    speed = self.alone(run, batch, settings)
                    row = {"precision": precision, "settings": settings, "batch": batch}
                    rows.append(row | {"images_per_second": speed})
                    print(precision, " ".join(settings) or "-", batch, speed, sep="\t")
        return rows

    def end_to_end(self, runs, rows):
        """The whole stage with the fastest settings of each precision."""
        found = {}
        for precision, run in runs.items():
            mine = [r for r in rows if r["precision"] == precision and r["images_per_second"]]
            mine = [r for r in mine if "tf32" not in r["settings"]]
            if not mine:
                fail(70, f"no measurement of {precision} succeeded")
            best = max(mine, key=lambda r: r["images_per_second"])
            flags = [FLAGS[name] for name in best["settings"]]
            for resize in ("cpu", "device"):
                flags_now = [*flags, "--batch", best["batch"], "--resize", resize]
                summary, busy = self.extract(run, self.args.device, *flags_now)
                speed = summary["images_per_second"]
                found[f"{precision}, resize {resize}"] = {
                    "images_per_second": speed,
                    "backbone_alone": best["images_per_second"],
                    "ratio_to_gpu_only": speed / best["images_per_second"],
                    "gpu_busy": busy,
                    "batch": best["batch"],
                    "settings": best["settings"],
                }
        return found

    def pytorch(self):
        """Of each batch; nothing without PyTorch."""
        if not self.args.torch:
            return {}
        settings = tomllib.loads(self.args.config.read_text()).get("backbone", {})
        weights, size = self.environment["BACKBONE_WEIGHTS"], settings.get("size", 96)
        command = [self.args.torch, ROOT / "benches" / "gpu_torch.py", weights, self.args.device]
        found = {}
        for batch in self.batches:
            said = call(*command, size, batch, self.seconds, *settings["taps"])
            found[batch] = json.loads(said.splitlines()[-1])
        return found


def best_of_torch(found, precision):
    speeds = [s for row in found.values() for form, s in row.items() if form.split(",")[0] == precision]
    return max(speeds, default=None)


def judge(found):
    """Prints each goal and whether it was reached; the number of those that weren't."""
    missed = 0
    for name, (least, words) in GOALS.items():
        value = found.get(name)
        reached = value is not None and value >= least
        missed += not reached
        shown = "not measured" if value is None else f"{value:.4f}"
        print(f"{'ok' if reached else 'MISSED'}\t{name}\t{shown}\tgoal {least}\t{words}")
    return missed


def measure(check, device):
    runs = {precision: check.run(precision, precision) for precision in check.args.precisions}
    correctness = check.correctness(runs)
    rows = check.table(runs)
    stage = check.end_to_end(runs, rows)
    torch = check.pytorch()
    fastest = max(stage.values(), key=lambda row: row["images_per_second"])
    found = correctness | {"ratio_to_gpu_only": fastest["ratio_to_gpu_only"]}
    for precision in runs:
        ours = max(row["backbone_alone"] for name, row in stage.items() if name.startswith(precision))
        theirs = best_of_torch(torch, precision)
        if theirs:
            # The last one, f16, is what is judged: it is what a GPU is used with.
            found["ratio_to_pytorch"] = found[f"ratio_to_pytorch_{precision}"] = ours / theirs
    return found | {"device": device, "table": rows, "stage": stage, "pytorch": torch}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("run", "config", "downloads", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--torch", help="a Python that has PyTorch")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024])
    parser.add_argument("--precisions", nargs="+", default=["f32", "f16"])
    return parser.parse_args()


def main():
    args = arguments()
    device = gpu() if args.device == "cuda" else {"name": "none: a trial on the processor"}
    if not (args.run / "images").is_dir():
        fail(66, f"no {args.run / 'images'}: run make ingest first")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        found = measure(Check(args, Path(scratch)), device)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    missed = judge(found)
    sys.exit(1 if missed and args.device == "cuda" else 0)


if __name__ == "__main__":
    main()
