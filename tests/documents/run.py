"""Runs the commands of documents as a reader does, in a fresh folder, and compares what they print
with what the document shows.

usage: run.py DOCUMENT.md...

What becomes of a fenced block is said by its first line:

    sh                run by bash; exported variables stay
    python            run by this Python
    … file=NAME       the block is this file: it is written, or if the repository has it, compared
    sh browser        the same, but skipped where `make browser` wasn't called
    sh browser server a web server, started beside; `open=PAGE picture=FILE says=SELECTOR` lets a
                      browser choose the picture on the page
    text              what the block before it printed, but for figures; `exact`: to the letter

Any other fenced block is an error: what a document shows is tried.
"""

import sys
import time

from document import blocks, difference
from place import ROOT, Place


def try_document(place, path):
    """Goes through the blocks of a document."""
    printed = None
    for block in blocks(path.read_text()):
        try:
            if block.language == "text":
                compare(block, printed)
            else:
                printed = try_block(place, block)
        except ValueError as error:
            raise ValueError(f"{path.relative_to(ROOT)}, line {block.line}: {error}") from None


def try_block(place, block):
    """Does what the block says; gives what it printed."""
    if "file" in block.values:
        return put(place, block)
    if "browser" in block.words and not place.has_browser:
        return Skipped()
    if "server" in block.words:
        return look(place, block)
    if block.language == "sh":
        return place.shell(block.text)
    if block.language == "python":
        return place.run([sys.executable, "-c", block.text])
    raise ValueError(f"a block of {block.language or 'nothing'} can't be tried")


def put(place, block):
    """The block is a file, of the repository or of the reader."""
    name = block.values["file"]
    known = ROOT / name
    if known.exists():
        if block.text not in known.read_text():
            raise ValueError(f"{name} is another")
    else:
        (place.path / name).parent.mkdir(parents=True, exist_ok=True)
        (place.path / name).write_text(block.text)
    return None


class Skipped(str):
    """What a block would have printed on another machine."""


def look(place, block):
    """Opens a page of the server in a browser."""
    address = place.serve(block.text)
    page, picture, selector = (block.values[name] for name in ("open", "picture", "says"))
    script = ROOT / "tests/documents/page.mjs"
    return place.run(["node", str(script), f"{address}/{page}", picture, selector])


def compare(block, printed):
    """Is what was printed what the document shows?"""
    if isinstance(printed, Skipped):
        print(f"skipped: line {block.line} needs a browser")
        return
    if printed is None:
        raise ValueError("nothing was printed that this could show")
    missing = difference(block.text, printed, "exact" in block.words)
    if missing is not None:
        raise ValueError(f"the document shows\n  {missing}\nbut what was printed is\n{printed}")


def main():
    for name in sys.argv[1:]:
        started = time.monotonic()
        path = ROOT / name
        try:
            with Place(sys.executable) as place:
                try_document(place, path)
        except ValueError as error:
            sys.exit(f"error: {error}")
        print(f"{name}: every command works ({time.monotonic() - started:.0f} s)")


main()
