"""Readings in a form that assertions can compare."""

from agent.model import Frame, Reading, SeriesTable


def samples(table: SeriesTable, reading: Reading | Frame) -> dict[str, float]:
    """Return values by `name{label="value",…}`, without the prefix of the project."""
    shown: dict[str, float] = {}
    for series_id, value in zip(reading.ids, reading.values, strict=True):
        series = table[series_id]
        labels = ",".join(f'{name}="{label}"' for name, label in series.label_pairs())
        name = series.sample_name.removeprefix("inferwatch_")
        key = f"{name}{{{labels}}}" if labels else name
        assert key not in shown, f"{key} is given twice"
        shown[key] = value
    return shown
