"""Runs every test that docs/reliability.md names and writes what became of its rows.

usage: run.py DOC OUT CARGO_TEST...
A row has passed if all its tests have, and counts as skipped where the page says why there is no
test or a test says that the machine can't make its fault.
"""

import json
import re
import subprocess
import sys
from pathlib import Path


def rows(text):
    """Number, tests and outcome of each row."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            yield int(cells[0]), re.findall(r"`([a-z0-9_]+)`", cells[2]), cells[3]


def run(command, names):
    """What became of each test: ok, FAILED, or why it was skipped."""
    command = [*command, "--no-fail-fast", "--", "--include-ignored", "--show-output", *names]
    output = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout
    sys.stdout.write(output)
    results = {}
    for path, result in re.findall(r"^test (\S+)(?: - .*)? \.\.\. (ok|FAILED)", output, re.M):
        name = path.rpartition("::")[2]
        results[name] = "FAILED" if "FAILED" in (result, results.get(name)) else result
    for path, said in re.findall(r"^---- (\S+) stdout ----\n((?:.+\n)+)", output, re.M):
        reason = re.search(r"^skipped: (.*)$", said, re.M)
        if reason and results.get(path.rpartition("::")[2]) == "ok":
            results[path.rpartition("::")[2]] = reason[1]
    return results


def main():
    doc, out, *command = sys.argv[1:]
    table = list(rows(Path(doc).read_text()))
    names = sorted({name for _, tests, _ in table for name in tests})
    results = run(command, names)
    passed, failures, skipped = 0, [], []
    for row, tests, outcome in table:
        wrong = [name for name in tests if results.get(name, "FAILED") == "FAILED"]
        reasons = [results[name] for name in tests if results.get(name) not in ("ok", "FAILED", None)]
        if not tests:
            skipped.append({"row": row, "reason": outcome.removeprefix("skipped: ")})
        elif wrong:
            failures.append({"row": row, "tests": wrong})
        elif reasons:
            skipped.append({"row": row, "reason": "; ".join(reasons)})
        else:
            passed += 1
    summary = {"rows": len(table), "passed": passed, "failed": len(failures)}
    summary |= {"failures": failures, "skipped": skipped}
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(summary, indent=2) + "\n")
    print(f"{len(table)} rows: {passed} passed, {len(failures)} failed, {len(skipped)} skipped: {out}")
    sys.exit(1 if failures else 0)


main()
