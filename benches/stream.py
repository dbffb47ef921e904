"""Trains on embeddings that are several times as large as the memory that training may use.

usage: stream.py PROGRAM FOLDER OUT.json DOCUMENT

PROGRAM is benches/stream.rs, built. It writes FOLDER, and in a second process, whose memory is
measured, trains on it and fails where it needs more than 2 GiB; FOLDER is removed. Writes
OUT.json and the table of DOCUMENT.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from document import rewrite, table

NEEDED = 6e9


def rows(figures):
    gib = 2**30
    return [
        ("rows × numbers", f"{figures['rows']:,} × {figures['dims']:,}"),
        ("on disk (f16)", f"{figures['bytes_on_disk'] / gib:.2f} GiB"),
        ("`memory`", f"{figures['memory_setting'] / gib:.2f} GiB"),
        ("peak of the process", f"{figures['peak_bytes'] / gib:.2f} GiB"),
        ("verifying the files", f"{figures['seconds_to_verify']:.0f} s"),
        ("mean and deviation", f"{figures['seconds_of_standardisation']:.0f} s"),
        ("an epoch", f"{figures['seconds_an_epoch']:.0f} s, {figures['rows_per_second']:,.0f} rows/s"),
        (f"right after {figures['epochs']} epochs, on rows kept out", f"{100 * figures['top1_of_rows_kept_out']:.2f} %"),
    ]


def main():
    program, folder, out, document = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if shutil.disk_usage(folder).free < NEEDED:
            sys.exit(f"error: {folder} has less than {NEEDED / 1e9:.0f} GB left: set CACHE_DIR to a larger disk")
        subprocess.run([program, "make", folder], check=True)
        done = subprocess.run([program, "train", folder], check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(folder)
    figures = json.loads(done.stdout)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    rewrite(document, "stream", table(["", ""], rows(figures)))
    print(f"wrote {out} and the table of {document}")


if __name__ == "__main__":
    main()
