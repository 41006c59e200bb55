"""The GPUs, through the driver's own library.

    collector ─ supervisor ─ socket ═ child process ─ fleet ─ device ─ probes ─ driver (pynvml)

A call into the driver can hang for ever and a library outlives a driver upgrade, so every call
is made in a child process that can be killed and replaced. `collector`, `supervisor`, `layout`
and `messages` run in the agent; `child` and all that it imports run in the child, and import
nothing of the agent so that the child stays small. `codes` and `wire` are spoken on both sides.
"""
