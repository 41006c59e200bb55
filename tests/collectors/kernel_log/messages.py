"""Messages of the kernel that are events."""

FELL_OFF = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off."

KILLED = "Out of memory: Killed process 4242 (vllm) total-vm:9kB, anon-rss:8kB, UID:0"
