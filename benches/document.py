"""Figures in documents, between the marks `<!-- NAME -->` and `<!-- /NAME -->`."""


def table(heads, rows):
    """A table; every column but the first holds numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def rewrite(document, name, text):
    """Replaces what is between the marks."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = document.read_text()
    if start not in old or end not in old:
        raise SystemExit(f"error: {document} lacks the marks {start} and {end}: add them where the figures go")
    head, rest = old.split(start, 1)
    document.write_text(f"{head}{start}\n{text}\n{end}{rest.split(end, 1)[1]}")
