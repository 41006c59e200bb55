"""What watching costs: the arithmetic, on text as the kernel writes it."""

from evaluation.faults_cost import busy_seconds


def test_waiting_and_idling_is_no_work():
    """User, nice, system and interrupts count; idle, waiting for disks and stolen time do not."""
    stat = "cpu  100 20 30 5000 700 4 6 900 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    assert busy_seconds(stat, ticks=100) == 1.6
