"""The kernel log: XIDs and processes killed for lack of memory, as events."""

from collectors.kernel_log.collector import KernelLogCollector

__all__ = ["KernelLogCollector"]
