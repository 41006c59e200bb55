"""When something runs out: times of first passage, each with an interval."""
