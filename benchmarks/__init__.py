"""What the agent costs beside real peers: `python -m benchmarks`, or `make bench`."""
