"""The recording: what the collectors saw, tick by tick, so that the agent can be run on it again.

A gzip file of JSON lines, small because each line says only what changed:

    {"inferwatch_recording": 1, "agent": "0.1.0", "note": "…", …}             first line
    {"source": 0, "name": "host", "stale_after": 10.0, "precedence": 0, "up": null}    a source
    {"metric": 0, "name": "inferwatch_…", "labels": ["gpu", "uuid"]}          a metric appears
    {"series": 0, "metric": 0, "values": ["0", "GPU-…"], "suffix": "", "le": ""}
    {"layout": 0, "series": [0, 1, 2]}                                        a list of series
    {"t": 1795244882.5, "m": 8123.25, "looks": [[source, duration, layout, {"0": 3.5}, events], …],
     "gone": []}

`t` is Unix time, `m` a clock that nobody sets (absent in old recordings, where `t` stands for it).
The values of a look are those that differ from the look before at the same source, by position;
after another layout all are there. A source under a name that is there already takes the place
of that one. A failed look is `[source, duration, "error" or "unavailable", "why"]`. A look that
ended before its tick has its age at the end. A failed look that tells something all the same has
its age in any case, then a layout and all of its values.
Values that JSON lacks are written "NaN", "+Inf" and "-Inf".
"""

from agent.recording.reader import RecordedTick, RecordingReader
from agent.recording.scrub import Scrubber
from agent.recording.writer import RecordingWriter

__all__ = ["RecordedTick", "RecordingReader", "RecordingWriter", "Scrubber"]
