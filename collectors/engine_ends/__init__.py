"""Why engines end: what their log files, systemd and the kernel's cgroups say of it, as events."""

from collectors.engine_ends.collector import EngineEnd, EngineEndsCollector

__all__ = ["EngineEnd", "EngineEndsCollector"]
