"""What is concluded about real engines, with what their logs say."""

import pytest

from evaluation.recorded import LOG, log_events, verdict_table, watch


def test_pages_alone_do_not_tell_why_an_engine_died() -> None:
    """The last good page shows nothing wrong, and that is said."""
    (death,) = watch("vllm-enginecrash").concluded["deaths"]
    assert death["cause"] == "unknown"
    assert "nothing wrong there" in death["sentence"]


@pytest.mark.skipif(not LOG.is_file(), reason="the captured log of the engine is not there")
def test_the_log_tells_why() -> None:
    """The exception that began it, not one of the dozens that follow from it."""
    (death,) = watch("vllm-enginecrash", events=log_events()).concluded["deaths"]
    assert death["cause"] == "engine_error"
    assert "CPU Generator does not use offset" in death["sentence"]


def test_the_ramp_has_its_reasons() -> None:
    """Each regime stands in the table with its numbers."""
    table = verdict_table("vllm-ramp")
    assert "| kv_memory | KV use reaches" in table
    assert table.count("| idle |") == 2
