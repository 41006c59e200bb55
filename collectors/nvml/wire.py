"""What goes through the socket between the agent and the child.

A request is one byte, the tiers to read (`FAST | SLOW | PROCESSES`). An answer is any number of
EVENT and at most one LAYOUT frame (`agent.framing`), closed by SAMPLE or FAILURE. EVENT frames also
come unasked. A body is JSON, for SAMPLE native doubles, as many as the last LAYOUT has columns.
"""

FAST = 1
SLOW = 2
PROCESSES = 4
ALL_TIERS = FAST | SLOW | PROCESSES

LAYOUT = ord("L")
SAMPLE = ord("S")
EVENT = ord("V")
FAILURE = ord("F")
