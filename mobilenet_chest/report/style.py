"""The page's style: two colour schemes, contrast of at least 4.5 to 1 for text, nothing from elsewhere."""

STYLE = """
:root{color-scheme:light dark;--ground:#fff;--raised:#f6f8fa;--ink:#1f2328;--soft:#57606a;--rule:#d0d7de;
--first:#0550ae;--second:#a14000;--third:#6e7781;--right:#116329;--wrong:#b3202a;--link:#0550ae}
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--raised:#161b22;--ink:#e6edf3;--soft:#9da7b3;--rule:#30363d;
--first:#79b8ff;--second:#ffab70;--third:#9da7b3;--right:#56d364;--wrong:#ff7b72;--link:#79b8ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
header,main,footer,nav{max-width:78rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.7rem;line-height:1.2;margin:1.5rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1rem 0 .25rem}
p{max-width:46rem;margin:.5rem 0;overflow-wrap:anywhere}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--second);outline-offset:2px}
.skip{position:absolute;left:1rem;top:-4rem;background:var(--ground);padding:.5rem 1rem;border:1px solid var(--rule)}
.skip:focus{top:.5rem}
.answer{border-left:.3rem solid var(--first);padding-left:1rem;margin:1rem 0;max-width:52rem}
.answer p{font-size:1.25rem;line-height:1.4;font-weight:600;margin:0 0 .5rem;max-width:none}
.answer ul{margin:0;padding-left:1.2rem;overflow-wrap:anywhere}
.soft,figcaption,.missing{color:var(--soft)}
.missing{font-style:italic}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:1rem 0}
.scroll{overflow-x:auto;margin:.75rem 0;max-width:100%;position:relative}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.35rem}
code{font-size:.8rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap;vertical-align:middle}
thead th{vertical-align:bottom;white-space:normal;min-width:4.5rem}
tbody th,th.words,td.words{text-align:left}
tbody th{font-weight:600;max-width:15rem;min-width:8rem;white-space:normal;overflow-wrap:anywhere}
@media(min-width:48rem){tbody th{position:sticky;left:0;background:var(--ground)}#leaderboard tbody th{min-width:13rem}}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:0 2rem;align-items:start}
figure{margin:.5rem 0;min-width:0}
figcaption{font-size:.875rem;max-width:46rem;margin-top:.35rem}
svg{color:var(--ink)}
figure>svg{display:block;width:100%;max-width:36rem;height:auto}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}
svg .tick{fill:var(--soft);font-size:11px}
.grid{stroke:var(--rule);stroke-width:1;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.line.first{stroke:var(--first)}
.line.second{stroke:var(--second);stroke-dasharray:7 3}
.line.third{stroke:var(--third);stroke-dasharray:2 3;stroke-width:2.4}
.line.guide{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 4}
.band.first{fill:var(--first);opacity:.22}
.key .band.first{fill:none;stroke:var(--first);stroke-width:10}
.dot.first,.bar.first{fill:var(--first)}
.dot.second{fill:var(--second)}
.dot.wrong{fill:var(--wrong);stroke:var(--ground);stroke-width:1}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;list-style:none;padding:0;margin:.25rem 0;font-size:.875rem}
.key{width:28px;height:10px}
.meter{width:8rem;height:.7rem;background:var(--raised);display:block}
.span{width:13rem;height:1.05rem;display:block}
.scale{display:flex;justify-content:space-between;width:13rem;font-weight:400}
.pictures{display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:.9rem .75rem;list-style:none;padding:0;
margin:.75rem 0;max-width:52rem}
.pictures li{display:flex;flex-direction:column;font-size:.8rem;line-height:1.35;min-width:0;overflow-wrap:anywhere}
.pictures img{width:100%;height:auto;aspect-ratio:1;object-fit:contain;background:#000;margin-bottom:.25rem}
.right img{border:4px solid var(--right)}
.wrong img{border:4px dashed var(--wrong)}
.pictures .row{color:var(--soft)}
.cell{display:block;padding:.3rem .6rem;border-left:.3rem solid}
.cell.right{border-color:var(--right)}
.cell.wrong{border-color:var(--wrong)}
details{margin:.5rem 0}
summary{cursor:pointer;color:var(--link);width:fit-content}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.2rem 1rem;font-size:.9rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:3rem;padding-bottom:2rem;font-size:.875rem;color:var(--soft)}
@media(max-width:40rem){.pictures{grid-template-columns:repeat(3,minmax(0,1fr))}dl{grid-template-columns:1fr}
dd{margin-bottom:.4rem}}
@media print{.skip,nav{display:none}details{display:block}}
"""
