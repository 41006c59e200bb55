"""What the official parser and the scanner read of a page."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from collectors.openmetrics import PageScanner

Found = list[tuple[str, tuple[tuple[str, str], ...], str]]


def written(value: float) -> str:
    """Return a value as text: NaN equals NaN, and the two zeros are one number."""
    return repr(float(value) + 0.0)


class Everything:
    """A resolver that wants all series and can say what a number stands for."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    def __call__(self, name: str, labels: Mapping[str, str]) -> int:
        """Number a series on first sight."""
        return self.numbers.setdefault((name, tuple(labels.items())), len(self.numbers))

    def explain(self, ids: list[int], values: list[float]) -> Found:
        """Return names, labels and values."""
        back = list(self.numbers)
        return [(*back[number], written(value)) for number, value in zip(ids, values, strict=True)]


def oracle(page: bytes) -> Found:
    """Return what the official parser finds on a page.

    It is given no comments: for a counter declared without `_total`, as llama.cpp has one, it
    would make up a sample name that is not on the page.
    """
    text = "".join(
        f"{line}\n" for line in page.decode().split("\n") if not line.strip().startswith("#")
    )
    return [
        (sample.name, tuple(sample.labels.items()), written(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def scanned(*pages: bytes) -> Found:
    """Return what one scanner finds on the last of several pages."""
    wanted = Everything()
    scanner = PageScanner(wanted)
    for page in pages[:-1]:
        scanner.scan(page)
    return wanted.explain(*scanner.scan(pages[-1]))
