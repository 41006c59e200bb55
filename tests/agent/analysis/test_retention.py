"""What was learned holds for one engine as it is, and is neither lost nor kept beyond that."""

from agent.analysis.fingerprint import Fingerprint, differences
from agent.analysis.retention import NOTHING, PATIENCE, Retention, Saved

WHOLE: Fingerprint = {"model_name": "m", "max_num_seqs": 32.0, "gpus": "GPU-1", "version": "0.32"}
SAVED = Saved(fingerprint=WHOLE, time=100.0, models={"step_time": {}})


def test_the_same_engine_takes_it_up_at_once():
    """Where all that was known is known again, and the same, there is nothing to wait for."""
    decision = Retention(SAVED).decide(WHOLE, time=1000.0)
    assert decision.restore is SAVED


def test_what_is_not_known_yet_is_waited_for():
    """A driver that answers later is waited for, and not for ever."""
    retention = Retention(SAVED)
    part: Fingerprint = {"model_name": "m", "max_num_seqs": 32.0, "version": "0.32"}
    assert retention.decide(part, time=1000.0) is NOTHING
    assert retention.pending is SAVED
    assert retention.decide(part, time=1000.0 + PATIENCE).restore is SAVED
    assert retention.pending is None
    # What was known before still counts: another GPU is another one, later too.
    for second in range(3):
        last = retention.decide({**part, "gpus": "GPU-2"}, time=1040.0 + second)
    assert last.drop


def test_another_engine_drops_it_with_what_changed():
    """One thing that is another is enough, and is named with both values."""
    retention = Retention(SAVED)
    other: Fingerprint = {**WHOLE, "max_num_seqs": 64.0}
    for second in range(2):
        assert retention.decide(other, time=1000.0 + second) is NOTHING
    decision = retention.decide(other, time=1002.0)
    assert decision.restore is None
    assert decision.drop
    assert decision.why == "max_num_seqs is 64, was 32"
    assert retention.pending is None
    assert retention.fingerprint == other
    assert retention.decide(other, time=1003.0) is NOTHING


def test_what_blinks_at_the_start_drops_nothing():
    """One look that differs, as the first page of an engine may, is no other engine."""
    retention = Retention(SAVED)
    blink: Fingerprint = {**WHOLE, "max_num_seqs": 64.0}
    assert retention.decide(blink, time=1000.0) is NOTHING
    assert retention.pending is SAVED
    assert retention.decide(blink, time=1005.0) is NOTHING
    assert retention.decide(WHOLE, time=1010.0).restore is SAVED
    assert retention.fingerprint == WHOLE
    for second in range(5):
        assert retention.decide(WHOLE, time=1015.0 + second) is NOTHING


def test_a_change_in_the_run_must_last():
    """What blinks changes nothing; what stays three times drops what was learned, once."""
    retention = Retention()
    other: Fingerprint = {**WHOLE, "version": "0.33"}
    assert retention.decide(WHOLE, time=0.0) is NOTHING
    for time, now in enumerate((other, other, WHOLE, other, other)):
        assert retention.decide(now, time=5.0 * time) is NOTHING
    assert retention.decide(other, time=30.0).why == "version is '0.33', was '0.32'"
    assert retention.decide(other, time=35.0) is NOTHING


def test_a_cache_that_is_sized_anew_is_the_same():
    """An engine finds a little more or less memory at each start; a tenth is another cache."""
    assert not differences({"kv_cache_tokens": 100_000.0}, {"kv_cache_tokens": 97_000.0})
    assert differences({"kv_cache_tokens": 100_000.0}, {"kv_cache_tokens": 90_000.0})
    assert differences({"max_num_seqs": 100.0}, {"max_num_seqs": 99.0})
