"""Searches for bytes that make a reader panic, hang or eat memory: `make fuzz` calls it.

usage: fuzz.py SECONDS SEEDS WORK OUT CARGO_FUZZ...

Every folder in SEEDS is named like a target of fuzz/ and holds good files for it. What is found on
the way is kept in WORK/corpus, and what is wrong in WORK/found; OUT says how much was tried.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

# A reader that wants more, for files of some kilobytes, reserves what a header claims.
MEGABYTES = 2048


def search(reader, seconds, seeds, work, command):
    """How many files were tried, and which are wrong."""
    corpus, found = work / "corpus" / reader, work / "found" / reader
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    command = [*command, reader, str(corpus), str(seeds), "--", f"-max_total_time={seconds}",
               f"-rss_limit_mb={MEGABYTES}", "-timeout=10", "-print_final_stats=1",
               f"-artifact_prefix={found}/"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    tried = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    wrong = sorted(file.name for file in found.iterdir())
    if done.returncode:
        wrong.append(f"exit code {done.returncode}")
    if wrong or not tried:
        sys.stderr.write(done.stderr[-5000:])
    return {"tried": int(tried[1]) if tried else 0, "seconds": int(seconds), "wrong": wrong}


def main():
    seconds, seeds, work, out, *command = sys.argv[1:]
    results = {}
    for folder in sorted(Path(seeds).iterdir()):
        results[folder.name] = search(folder.name, seconds, folder, Path(work), command)
        print(f"{folder.name}: {results[folder.name]}", flush=True)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(results, indent=2) + "\n")
    bad = [name for name, result in results.items() if result["wrong"] or not result["tried"]]
    if bad:
        sys.exit(f"error: fuzz: see {work}/found: {', '.join(bad)}")


main()
