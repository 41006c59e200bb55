"""What was told of limits as samples: whose, before what, and what contradicts it."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.capacity.estimate import Limit, Limits
from agent.analysis.replicas import Replica
from agent.analysis.told_limits import ToldLimits
from agent.catalog import engine
from agent.model import Frame, Reading, SeriesTable
from tests.fakes.samples import samples

CHAT = Replica("vllm", "chat", "big", "0")
OTHER = Replica("vllm", "other", "big", "0")
SEQS = 'engine_max_num_seqs{engine="vllm",instance_name="chat"}'
TOLD, SEE = "chat: max_num_seqs is told as 32", "see capacity.limits"


class Engines:
    """Frames of engines, with what was read of their limits."""

    def __init__(self, *replicas: Replica) -> None:
        self.table = SeriesTable()
        self.replicas = replicas
        self._shown: tuple[object, list[int]] = (None, [])

    def frame(self, *, running: float = 1.0, read: float | None = None, time: float = 0.0) -> Frame:
        """Return a frame in which as many run of each, and chat has this limit."""
        values = {
            self.table.intern(engine.REQUESTS_RUNNING, replica): running
            for replica in self.replicas
        }
        if read is not None:
            values[self.table.intern(engine.MAX_NUM_SEQS, CHAT[:2])] = read
        if self._shown[0] != [*values]:
            self._shown = ([*values], [*values])
        return Frame(time, self.table, self._shown[1], [*values.values()])

    def shown(self, reading: Reading) -> Mapping[str, float]:
        """Return the samples of a reading."""
        return samples(self.table, reading)


def told(**sequences: int) -> ToldLimits:
    """Return limits as told by instance name."""
    return ToldLimits(lambda replica: _limits(sequences.get(replica.instance_name)))


def _limits(sequences: int | None) -> Limits:
    """Return a limit on sequences, or none."""
    return Limits() if sequences is None else Limits(sequences=Limit(float(sequences), "file"))


def messages(reading: Reading) -> Sequence[str]:
    """Return what there is to tell."""
    return [event.message for event in reading.events]


def test_a_told_limit_is_a_sample_of_its_instance():
    """One sample whatever ranks it has; of an engine of which nothing was told there is none."""
    engines = Engines(CHAT, CHAT._replace(rank="1"), OTHER)
    assert engines.shown(told(chat=32).observe(engines.frame())) == {SEQS: 32.0}


def test_both_limits_can_be_told():
    """The tokens of a step are as much a limit as the sequences."""
    engines = Engines(CHAT)
    limits = ToldLimits(lambda _replica: Limits(step_tokens=Limit(512.0, "file")))
    shown = engines.shown(limits.observe(engines.frame()))
    assert shown == {SEQS.replace("seqs", "batched_tokens"): 512.0}


def test_nothing_is_said_of_an_engine_that_is_not_there():
    """A limit that is told of an engine which nobody sees is no sample."""
    engines = Engines(OTHER)
    assert engines.shown(told(chat=32).observe(engines.frame())) == {}


def test_models_of_one_instance_that_are_told_different_limits_have_none():
    """The sample is the instance's: of two numbers neither would be right."""
    engines = Engines(CHAT, CHAT._replace(model_name="small"))
    for small in (None, 8):
        limits = ToldLimits(lambda one, few=small: _limits(32 if one.model_name == "big" else few))
        assert engines.shown(limits.observe(engines.frame())) == {}


def test_the_same_list_stands_while_the_engines_do():
    """Whoever prepared something for the list of series keeps it."""
    engines, limits = Engines(CHAT), told(chat=32)
    first = limits.observe(engines.frame())
    assert limits.observe(engines.frame(running=2.0)).ids is first.ids


def test_other_settings_count_at_once():
    """A reload changes what is said at the next tick, without other series in the frame."""
    engines, limits = Engines(CHAT), told(chat=32)
    limits.observe(engines.frame())
    limits.use(lambda _replica: _limits(64))
    assert engines.shown(limits.observe(engines.frame())) == {SEQS: 64.0}
    limits.use(lambda _replica: Limits())
    assert engines.shown(limits.observe(engines.frame())) == {}


def test_what_is_read_otherwise_is_told_of_once():
    """What is told counts, and an event says that the engine was started with another number."""
    engines, limits = Engines(CHAT), told(chat=32)
    found = [limits.observe(engines.frame(read=read)) for read in (32.0, 256.0, 256.0, 512.0)]
    assert [engines.shown(one) for one in found] == [{SEQS: 32.0}] * 4
    assert [messages(one) for one in found] == [
        [],
        [f"{TOLD}, but its page or command line says 256: what is told counts; {SEE}"],
        [],
        [f"{TOLD}, but its page or command line says 512: what is told counts; {SEE}"],
    ]
    (event,) = found[1].events
    assert event.kind == "limit_contradicted"
    assert event.labels == {"engine": "vllm", "instance_name": "chat"}


def test_a_limit_that_more_requests_exceed_is_none():
    """Where 33 of 32 run nobody knows the limit: a full cache must not be ruled out by it."""
    engines, limits = Engines(CHAT, CHAT._replace(rank="1")), told(chat=32)
    assert messages(limits.observe(engines.frame(running=32.0))) == []
    assert limits.of(CHAT).sequences.value == 32.0
    exceeded = limits.observe(engines.frame(running=33.0))
    assert messages(exceeded) == [f"{TOLD}, but 33 requests run: it counts no more; {SEE}"]
    after = limits.observe(engines.frame(running=1.0))
    assert (engines.shown(exceeded), engines.shown(after), after.events) == ({}, {}, ())
    assert limits.of(CHAT).sequences.value is None
    limits.use(lambda _replica: _limits(64))
    assert engines.shown(limits.observe(engines.frame(running=33.0))) == {SEQS: 64.0}


def test_one_that_went_and_came_back_may_be_another():
    """An engine that was not there for a while is believed to have the told limit again."""
    limits = told(chat=32)
    chat, nobody = Engines(CHAT), Engines()
    limits.observe(chat.frame(running=33.0))
    limits.observe(nobody.frame())
    assert chat.shown(limits.observe(chat.frame(running=1.0))) == {SEQS: 32.0}


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats())
def test_whatever_an_engine_writes_breaks_nothing(running: float, read: float):
    """What a page cannot mean contradicts nothing; what it can mean is a number above the limit."""
    engines, limits = Engines(CHAT), told(chat=32)
    found = limits.observe(engines.frame(running=running, read=read))
    assert (SEQS in engines.shown(found)) is not (32.0 < running < 1e15)
    assert len(found.events) == (32.0 < running < 1e15) + (0.0 <= read < 1e15 and read != 32.0)
