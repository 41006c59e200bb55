"""The style of the page: light, dark, narrow and on paper."""

from typing import Final

STYLE: Final = """
:root{--bg:#fff;--fg:#1a1f26;--soft:#5b6673;--line:#dde2e8;--card:#f6f8fa;--load:#1f6feb;
--cap:#1a7f37;--stab:#6b7280;--over:#c62f2f;--kv:#7b3fb8;--wait:#c4560a;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--bg:#11161c;--fg:#e4e9ef;--soft:#9aa6b2;--line:#2c343d;
--card:#1a2028;--load:#6aa8ff;--cap:#4cc069;--stab:#a8b1bb;--over:#ff7b72;--kv:#c199f2;
--wait:#f0904a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:1.5rem 1.25rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;line-height:1.25;margin:2.25rem 0 .5rem;padding-top:.75rem;
border-top:2px solid var(--line);overflow-wrap:anywhere}
h3{font-size:1rem;margin:0 .75rem 0 0;display:inline-block}
p{margin:.4rem 0}.when,footer{color:var(--soft)}footer{margin-top:2.5rem;font-size:.85rem}
.advice{list-style:none;margin:.5rem 0 1rem;padding:0}
.advice li{background:var(--card);border-left:4px solid var(--load);padding:.5rem .75rem;
margin:.4rem 0;border-radius:0 6px 6px 0}
.advice .do-nothing{border-color:var(--cap)}.advice .do-add_replicas{border-color:var(--over)}
.advice .do-unknown{border-color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:.6rem;margin:1rem 0}
.tile{background:var(--card);border-radius:6px;padding:.6rem .75rem;display:flex;
flex-direction:column;min-width:0}
.tile .name,.tile .more{font-size:.8rem;color:var(--soft)}
.tile .value{font-size:1.45rem;font-weight:600;line-height:1.3}
.tile .unknown{font-size:1.1rem;color:var(--soft);line-height:1.7}
figure{margin:1.4rem 0;break-inside:avoid}figcaption{margin-bottom:.3rem}
.key{display:inline-block;font-size:.85rem;color:var(--soft);margin-right:.9rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.25rem}.pair figure{margin:0}
svg{display:block;width:100%;height:auto}svg.narrow{display:none}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
.g{stroke:var(--line);fill:none}.a{stroke:var(--soft);fill:none}
.c-load,.c-asked,.c-capacity,.c-stability,.c-kv,.c-waiting,.c-target,.c-trend,.c-now,.c-when
{fill:none;stroke-width:1.6;stroke-linejoin:round}
.c-load{stroke:var(--load)}.c-fill{fill:var(--load);opacity:.14}
.c-asked{stroke:var(--wait);stroke-dasharray:4 3}.c-capacity{stroke:var(--cap)}
.c-band{fill:var(--cap);opacity:.2}.c-stability{stroke:var(--stab);stroke-dasharray:7 4}
.c-kv{stroke:var(--kv)}.c-kv-fill{fill:var(--kv);opacity:.14}.c-waiting{stroke:var(--wait)}
.c-target{stroke:var(--over);stroke-dasharray:6 4}.c-point{fill:var(--load);opacity:.6}
.c-over{fill:var(--over);opacity:.8}.c-heat{fill:var(--load)}
.c-unseen{fill:none;stroke:var(--line)}.c-trend{stroke:var(--load)}
.c-trend-band{fill:var(--load);opacity:.14}.c-now{stroke:var(--soft);stroke-dasharray:2 3}
.c-when{stroke:var(--over);stroke-width:4}.c-day{fill:var(--over)}
.k{display:inline-block;width:1.1rem;height:0;margin-right:.35rem;vertical-align:middle;
border-top:2.5px solid}
.k.c-load,.k.c-trend{border-color:var(--load)}.k.c-asked{border-color:var(--wait);
border-top-style:dashed}.k.c-capacity{border-color:var(--cap)}
.k.c-stability{border-color:var(--stab);border-top-style:dashed}.k.c-kv{border-color:var(--kv)}
.k.c-waiting{border-color:var(--wait)}.k.c-target{border-color:var(--over);
border-top-style:dashed}.k.c-when{border-color:var(--over);border-top-width:4px}
.k.c-point,.k.c-over{width:.55rem;height:.55rem;border:0;border-radius:50%;
background:var(--load);opacity:1}.k.c-over{background:var(--over)}
.k.c-heat,.k.c-unseen{width:.8rem;height:.8rem;border:1px solid var(--line);
background:var(--load)}.k.c-unseen{background:none}
.tables{margin-top:1rem}.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top;font-weight:400;overflow-wrap:anywhere}
.n{white-space:nowrap}
thead th{color:var(--soft);font-size:.85rem;overflow-wrap:normal}tbody th{min-width:8.5rem}
@media (max-width:640px){main{padding:1rem .9rem}.tiles{grid-template-columns:1fr 1fr}
.pair{grid-template-columns:1fr}svg.wide{display:none}svg.narrow{display:block}
h1{font-size:1.35rem}
table{font-size:.84rem}th,td{padding-right:.5rem}tbody th{min-width:6.2rem}}
@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#ccc;--card:#f4f4f4;--load:#1f6feb;
--cap:#1a7f37;--stab:#6b7280;--over:#c62f2f;--kv:#7b3fb8;--wait:#c4560a;color-scheme:light}
@page{size:A4;margin:14mm}body{font-size:10.5pt;-webkit-print-color-adjust:exact;
print-color-adjust:exact}main{max-width:none;padding:0}h1,h2,h3{break-after:avoid}
.tiles{grid-template-columns:repeat(4,1fr)}.pair{grid-template-columns:1fr 1fr}
svg.wide{display:block}svg.narrow{display:none}tr,.tile,.advice li{break-inside:avoid}
.scroll{overflow:visible}thead{display:table-header-group}svg text{font-size:14px}
section+section{break-before:auto}}
"""
