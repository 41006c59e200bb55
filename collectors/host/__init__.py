"""The host: CPU, memory, pressure, filesystems, network, clock, and what the agent itself costs."""

from collectors.host.collector import HostCollector

__all__ = ["HostCollector"]
