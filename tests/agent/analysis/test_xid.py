"""Each XID is counted once, whoever reports it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.xid import WINDOW, XidErrors, XidLedger
from agent.catalog.events import pci_bus_id
from agent.catalog.gpu import INFO
from agent.model import Event, Frame, SeriesTable
from tests.fakes.samples import samples

GPUS = {"0000:3b:00": ("0", "GPU-a"), "0000:5e:00": ("1", "GPU-b")}


def from_nvml(time: float, address: str, code: str = "79") -> Event:
    """Return the event that NVML gives, with the address as NVML writes it."""
    gpu, uuid = GPUS[address]
    labels = {"gpu": gpu, "uuid": uuid, "pci_bus_id": f"0000{address.upper()}.0", "code": code}
    return Event(time, "xid", "nvml", labels)


def from_log(time: float, address: str, code: str = "79") -> Event:
    """Return the event that the kernel log gives."""
    return Event(time, "xid", "kernel_log", {"pci_bus_id": address, "code": code})


def counts(ledger: XidLedger) -> dict[str, float]:
    """Return the counters of a ledger."""
    table = SeriesTable()
    found = samples(table, ledger.samples(table))
    return {name: value for name, value in found.items() if name.startswith("gpu_xid_errors")}


def series(address: str, code: str) -> str:
    """Return the name of a counter of a known GPU."""
    gpu, uuid = GPUS[address]
    labels = f'gpu="{gpu}",uuid="{uuid}",pci_bus_id="{address}",code="{code}"'
    return f"gpu_xid_errors_total{{{labels}}}"


ADDRESS = "0000:3b:00"


@pytest.mark.parametrize("nvml_first", [True, False])
def test_both_report_one(nvml_first: bool) -> None:  # noqa: FBT001
    """Two reports of one XID count once, in either order and with the times apart."""
    events = [from_nvml(100.0, ADDRESS), from_log(104.0, ADDRESS)]
    ledger = XidLedger()
    for event in events if nvml_first else reversed(events):
        ledger.observe([event])
    assert counts(ledger) == {series(ADDRESS, "79"): 1}


def test_one_source_counts_each() -> None:
    """Two reports of the same source are two XIDs, however close."""
    ledger = XidLedger()
    ledger.observe([from_log(100.0, ADDRESS), from_log(100.0, ADDRESS)])
    assert counts(ledger) == {series_unknown("79"): 2}


def test_report_matches_once() -> None:
    """One report answers for one report of the other source; what is left over counts."""
    ledger = XidLedger()
    ledger.observe([from_nvml(100.0, ADDRESS)] + [from_log(101.0, ADDRESS)] * 3)
    assert counts(ledger) == {series(ADDRESS, "79"): 3}


def series_unknown(code: str) -> str:
    """Return the name of a counter of a GPU of which only the address is known."""
    return f'gpu_xid_errors_total{{pci_bus_id="{ADDRESS}",code="{code}"}}'


def test_outside_the_window() -> None:
    """Reports further apart than the window are two XIDs."""
    ledger = XidLedger()
    ledger.observe([from_nvml(100.0, ADDRESS), from_log(100.0 + WINDOW + 0.001, ADDRESS)])
    assert counts(ledger) == {series(ADDRESS, "79"): 2}


def test_other_code_and_other_gpu_do_not_match() -> None:
    """Only the same code on the same GPU is the same XID."""
    ledger = XidLedger()
    ledger.observe(
        [
            from_nvml(100.0, ADDRESS, "79"),
            from_log(100.0, ADDRESS, "45"),
            from_log(100.0, "0000:5e:00", "79"),
        ]
    )
    assert sum(counts(ledger).values()) == 3


def test_unknown_address_is_counted_and_named_later() -> None:
    """An XID of a GPU not known yet is counted under its address, and under its name once known."""
    ledger = XidLedger()
    ledger.observe([from_log(100.0, ADDRESS)])
    assert counts(ledger) == {series_unknown("79"): 1}
    ledger.learn("00000000:3B:00.0", gpu="0", uuid="GPU-a")
    assert counts(ledger) == {series(ADDRESS, "79"): 1}


def test_nvml_without_an_address() -> None:
    """An NVML event that names the GPU alone still matches once the address was learnt."""
    ledger = XidLedger()
    nvml = Event(100.0, "xid", "nvml", {"uuid": "GPU-a", "gpu": "0", "code": "79"})
    ledger.learn(ADDRESS, gpu="0", uuid="GPU-a")
    ledger.observe([nvml, from_log(101.0, ADDRESS)])
    assert counts(ledger) == {series(ADDRESS, "79"): 1}


def test_no_address_at_all() -> None:
    """An NVML event of a GPU whose address no one knows is counted under its identifier."""
    ledger = XidLedger()
    ledger.observe([Event(100.0, "xid", "nvml", {"uuid": "GPU-z", "gpu": "7", "code": "13"})])
    assert counts(ledger) == {'gpu_xid_errors_total{uuid="GPU-z",code="13"}': 1}


def test_newest_time_is_published() -> None:
    """The time of the newest XID stands beside the count, whatever order they came in."""
    table = SeriesTable()
    ledger = XidLedger()
    ledger.observe([from_nvml(200.0, ADDRESS), from_nvml(100.0, ADDRESS)])
    gpu, uuid = GPUS[ADDRESS]
    name = f'gpu="{gpu}",uuid="{uuid}",pci_bus_id="{ADDRESS}",code="79"'
    found = samples(table, ledger.samples(table))
    assert found[f"gpu_last_xid_timestamp_seconds{{{name}}}"] == 200.0


def test_other_events_are_passed_over() -> None:
    """Only XIDs are counted."""
    ledger = XidLedger()
    ledger.observe([Event(1.0, "oom_kill", "kernel_log", {"pid": "1"})])
    assert counts(ledger) == {}


def test_layout_is_kept() -> None:
    """The list of series is the same object until there is a new one."""
    table = SeriesTable()
    ledger = XidLedger()
    ledger.observe([from_nvml(100.0, ADDRESS)])
    ids = ledger.samples(table).ids
    ledger.observe([from_nvml(200.0, ADDRESS)])
    assert ledger.samples(table).ids is ids


def test_storm_is_bounded() -> None:
    """A storm of errors is counted in full, and what is remembered of it stays small."""
    ledger = XidLedger()
    ledger.observe([from_log(100.0 + index, ADDRESS) for index in range(10_000)])
    assert sum(counts(ledger).values()) == 10_000
    (waiting,) = ledger._unmatched.values()
    assert sum(map(len, waiting.values())) < 1_000


def test_frame_teaches_addresses() -> None:
    """The GPU's info series in a frame tells which GPU the kernel log means, MIG or not."""
    table = SeriesTable()
    errors = XidErrors(INFO)
    facts = dict.fromkeys(INFO.labels, "") | {"pci_bus_id": "00000000:3B:00.0", "gpu": "0"}
    whole = facts | {"uuid": "GPU-a"}
    part = facts | {"uuid": "MIG-z", "mig": "1/0"}
    known = [table.intern(INFO, list(labels.values())) for labels in (whole, part)]
    frame = Frame(100.0, table, known, [1.0, 1.0], [from_log(100.0, ADDRESS)])
    assert samples(table, errors.observe(frame))[series(ADDRESS, "79")] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00000000:3B:00.0", "0000:3b:00"),
        ("PCI:0000:3b:00", "0000:3b:00"),
        ("0019:01:00", "0019:01:00"),
        ("00010000:01:00.0", "10000:01:00"),
        ("Unknown", "unknown"),
        ("", ""),
    ],
)
def test_pci_notations(text: str, expected: str) -> None:
    """Every notation of an address becomes the one of the label."""
    assert pci_bus_id(text) == expected


@st.composite
def reports(draw: st.DrawFn) -> tuple[dict[tuple[str, str], int], list[list[Event]]]:
    """Draw true XIDs, and reports of them in batches; each is reported by one source at least."""
    events: list[Event] = []
    true: dict[tuple[str, str], int] = {}
    delays = st.floats(0, WINDOW, exclude_max=True)
    for address in GPUS:
        for code in ("79", "13"):
            time = 1000.0
            for _ in range(draw(st.integers(0, 4))):
                time += 2 * WINDOW + draw(st.floats(0.01, 20))
                true[address, code] = true.get((address, code), 0) + 1
                who = draw(st.sampled_from(["nvml", "log", "both"]))
                if who != "log":
                    events.append(from_nvml(time + draw(delays), address, code))
                if who != "nvml":
                    events.append(from_log(time + draw(delays), address, code))
    order = draw(st.permutations(events))
    size = draw(st.integers(1, 5))
    return true, [list(order[start : start + size]) for start in range(0, len(order), size)]


@given(reports())
def test_count_is_the_number_of_true_xids(
    drawn: tuple[dict[tuple[str, str], int], list[list[Event]]],
) -> None:
    """Whatever subset each source reports, late and in any order, each XID counts exactly once."""
    true, batches = drawn
    ledger = XidLedger()
    for address, (gpu, uuid) in GPUS.items():
        ledger.learn(address, gpu=gpu, uuid=uuid)
    for batch in batches:
        ledger.observe(batch)
    expected = {series(address, code): count for (address, code), count in true.items()}
    assert counts(ledger) == expected
