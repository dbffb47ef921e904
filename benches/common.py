"""What the benchmarks of extraction have in common: the binaries, and the tables in the
documentation.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"


def tool(name, *arguments, environment=None):
    command = [RELEASE / name, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def write_into(block, text):
    """Replaces what is between the two marks of `block` in docs/performance.md."""
    document = ROOT / "docs" / "performance.md"
    before, _, rest = document.read_text().partition(f"<!-- {block} -->\n")
    _, mark, after = rest.partition(f"<!-- /{block} -->")
    if mark:
        document.write_text(f"{before}<!-- {block} -->\n{text}\n{mark}{after}")
