"""What a document says: its blocks of code in order, and whether an output is as it shows."""

import re
from dataclasses import dataclass

FENCE = re.compile(r"^```(?P<info>.*)\n(?P<text>(?:.*\n)*?)^```$", re.MULTILINE)
# A hash, or digits, perhaps with an exponent or a version's build: what may differ between machines.
FIGURE = re.compile(r"\b[0-9a-f]{8,}\b|(?<![A-Za-z])\d[0-9a-f]*(?:[.,+e-]+[0-9a-f]+)*(?![A-Za-z])")
ANYTHING = "..."


@dataclass
class Block:
    """A fenced block: its language, the other words and `name=value` pairs after it, its text."""

    language: str
    words: set
    values: dict
    text: str
    line: int


def blocks(markdown):
    """The blocks of a document in order."""
    for match in FENCE.finditer(markdown):
        language, *rest = match["info"].split() or [""]
        values = dict(word.split("=", 1) for word in rest if "=" in word)
        words = {word for word in rest if "=" not in word}
        line = markdown.count("\n", 0, match.start()) + 1
        yield Block(language, words, values, match["text"], line)


def difference(shown, printed, exact):
    """The first line of `shown` that `printed` lacks at its place, or None.

    `...` on a line stands for any lines. Unless `exact`, a figure stands for any figure.
    """
    form = (lambda line: line.rstrip()) if exact else lambda line: FIGURE.sub("#", line.rstrip())
    rest = [form(line) for line in printed.rstrip().splitlines()]
    anywhere = False
    for line in shown.splitlines():
        if line.strip() == ANYTHING:
            anywhere = True
            continue
        found = rest.index(form(line)) if anywhere and form(line) in rest else 0
        if not rest or rest[found] != form(line):
            return line
        rest, anywhere = rest[found + 1 :], False
    return None if anywhere or not rest else f"nothing more, but there is: {rest[0]}"
