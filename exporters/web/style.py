"""The look of the page: that of a report, and what a page that refreshes needs besides."""

from typing import Final

from agent.report.style import STYLE as REPORT

_OWN: Final = """
:root{--bad:#b3261e;--warn:#8a5300;--well:#1a7f37;--unk:#5b6673}
@media (prefers-color-scheme:dark){:root{--bad:#ff8a80;--warn:#f0b04a;--well:#4cc069;--unk:#9aa6b2}}
a{color:var(--load)}a.term{color:inherit;text-decoration:underline dotted;text-underline-offset:3px}
a:focus-visible,dt:focus-visible{outline:2px solid var(--load);outline-offset:2px}
code{overflow-wrap:anywhere}
.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.note{background:var(--card);border:1px dashed var(--soft);border-radius:6px;padding:.5rem .75rem;
margin:.75rem 0}
.gone{border:2px solid var(--bad);border-radius:6px;padding:.6rem .9rem;margin:.75rem 0;
font-weight:600}
.is-gone #now{opacity:.65}
.first{border:1px solid var(--line);border-left:6px solid var(--unk);border-radius:6px;
background:var(--card);padding:.75rem 1rem;margin:1rem 0}
.first .said{font-size:1.2rem;line-height:1.35;font-weight:600;margin:.15rem 0}
.first ul{margin:.4rem 0 0;padding-left:1.2rem}
.badge{font-size:.8rem;font-weight:700;letter-spacing:.04em;text-transform:uppercase;
color:var(--unk)}
.first.bad{border-left-color:var(--bad)}.first.bad .badge{color:var(--bad)}
.first.warn{border-left-color:var(--warn)}.first.warn .badge{color:var(--warn)}
.first.well{border-left-color:var(--well)}.first.well .badge{color:var(--well)}
article{border:1px solid var(--line);border-radius:8px;padding:.75rem 1rem;margin:.75rem 0;
overflow-wrap:anywhere;break-inside:avoid}
article h3{font-size:1.1rem}.kind{color:var(--soft);font-size:.9rem}
.alert{border-left:6px solid var(--soft)}.alert h3{display:block;margin:0}
.alert.bad{border-left-color:var(--bad)}.alert.warn{border-left-color:var(--warn)}
.replica+.replica{border-top:1px solid var(--line);margin-top:1rem;padding-top:.5rem}
.model{color:var(--soft);font-size:.92rem;margin:.1rem 0}
.verdict{margin:.35rem 0;font-size:1.05rem}.verdict b::before{content:"\\25CF";margin-right:.4rem;
font-size:.8em}
.verdict.bad b{color:var(--bad)}.verdict.warn b{color:var(--warn)}.verdict.well b{color:var(--well)}
.verdict.unknown b{color:var(--unk)}
p.advice{background:var(--card);border-left:4px solid var(--load);border-radius:0 6px 6px 0;
padding:.5rem .75rem}
.soft{color:var(--soft)}.links{font-size:.92rem}
h4{font-size:.92rem;margin:.75rem 0 0;font-weight:600}
.foreseen{margin:.25rem 0;padding-left:1.2rem}
dl.tiles{margin:.75rem 0}.tile dd{margin:0}.tile .value{overflow-wrap:anywhere}
.sparks{display:grid;grid-template-columns:1fr 1fr;gap:.6rem}
.spark{margin:.25rem 0}.spark svg{height:40px}.spark path{vector-effect:non-scaling-stroke}
.spark figcaption{font-size:.8rem;color:var(--soft);margin:0}
.state-down{color:var(--bad);font-weight:600}.state-absent,.state-waiting{color:var(--soft)}
.words dl{margin:.5rem 0}.words dt{font-weight:600;margin-top:.6rem;scroll-margin-top:1rem}
.words dd{margin:0}
.words dt:target{background:var(--card);outline:2px solid var(--load);outline-offset:3px}
section ul{padding-left:1.2rem}
@media (max-width:640px){.first .said{font-size:1.08rem}.sparks{grid-template-columns:1fr}
article{padding:.6rem .75rem}}
@media print{:root{--bad:#b3261e;--warn:#8a5300;--well:#1a7f37;--unk:#5b6673}.gone{display:none}
article{break-inside:avoid}}
"""

STYLE: Final = REPORT + _OWN
