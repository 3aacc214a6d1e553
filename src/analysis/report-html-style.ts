/** How `report.html` looks: a palette for each colour scheme, and the style sheet. */
import { html, type Markup } from "../formats/escape-html.ts";

/** Colours by role; `#rrggbb`. A test holds each pair that carries text to WCAG 2.2's contrast of 4.5 to 1. */
export interface Palette {
  readonly paper: string;
  /** Behind the log and other quoted text. */
  readonly inset: string;
  readonly ink: string;
  readonly muted: string;
  readonly rule: string;
  readonly link: string;
  /** Behind the line that a link points to. */
  readonly target: string;
  readonly success: string;
  readonly fatal: string;
  readonly error: string;
  readonly warning: string;
  readonly info: string;
  /** On a stage's colour. */
  readonly onStage: string;
  readonly firmware: string;
  readonly bootloader: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly userspace: string;
  readonly login: string;
}

export const PALETTES: { readonly light: Palette; readonly dark: Palette } = {
  light: {
    paper: "#fcfcfa",
    inset: "#f2f3f0",
    ink: "#1b2126",
    muted: "#57626c",
    rule: "#d9dcdd",
    link: "#1f5a96",
    target: "#fff0b8",
    success: "#1b6e3d",
    fatal: "#ab1f1a",
    error: "#a8430b",
    warning: "#7d5a00",
    info: "#4d5a66",
    onStage: "#16222c",
    firmware: "#d8dce3",
    bootloader: "#c2cfdf",
    kernel: "#a8c3df",
    initramfs: "#94c1d1",
    userspace: "#8fc9b9",
    login: "#8bca98",
  },
  dark: {
    paper: "#15191d",
    inset: "#0f1215",
    ink: "#e4e8eb",
    muted: "#9ba7b2",
    rule: "#2f373e",
    link: "#8abef0",
    target: "#3e350f",
    success: "#80d49c",
    fatal: "#ff8d84",
    error: "#ffab72",
    warning: "#e6c25c",
    info: "#a9b6c3",
    onStage: "#f3f6f8",
    firmware: "#404853",
    bootloader: "#3b4f66",
    kernel: "#2f5b85",
    initramfs: "#266377",
    userspace: "#22685b",
    login: "#2a6c3e",
  },
};

const ROLES = Object.keys(PALETTES.light) as readonly (keyof Palette)[];
const variables = (palette: Palette): Markup => html`${ROLES.map((role) => html`--${role}:${palette[role]};`)}`;
const STAGES = ["firmware", "bootloader", "kernel", "initramfs", "userspace", "login"] as const;
const SEVERITIES = ["fatal", "error", "warning", "info"] as const;

export const STYLE: Markup = html`
:root{color-scheme:light dark;${variables(PALETTES.light)}--mono:ui-monospace,"Cascadia Mono","DejaVu Sans Mono",Menlo,Consolas,monospace}
@media (prefers-color-scheme:dark){:root{${variables(PALETTES.dark)}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0 auto;max-width:66rem;padding:2.5rem 1.5rem 4rem;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif}
a{color:var(--link);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
h1,h2,h3{line-height:1.25;text-wrap:balance}
h1{margin:.3rem 0 .4rem;font-size:clamp(1.6rem,1.2rem + 2vw,2.3rem);letter-spacing:-.015em}
h2{margin:3rem 0 .9rem;padding-top:.9rem;border-top:1px solid var(--rule);font-size:1.25rem}
h3{margin:0;font-size:1rem}
p{margin:.5rem 0}
code,pre,.lines,.log,.quote{font-family:var(--mono);font-size:.8125rem;line-height:1.5}
.kicker{margin:0;color:var(--muted);font-size:.875rem;overflow-wrap:anywhere}
.lead{max-width:46rem;margin:0;font-size:1.125rem;overflow-wrap:anywhere}
.note{max-width:46rem;color:var(--muted);font-size:.875rem}
.success{color:var(--success)}.failure{color:var(--fatal)}.incomplete,.no_serial{color:var(--warning)}
nav{margin-top:1.6rem;font-size:.875rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:0;padding:0;list-style:none}
dl.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1.25rem;margin:1.4rem 0 0;font-size:.9375rem}
dl.facts dt{color:var(--muted)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
ol.advice{max-width:46rem;padding-left:1.4rem}
ol.advice li{margin:.4rem 0;overflow-wrap:anywhere}
svg.timeline{display:block;margin:.4rem 0 1.4rem;overflow:visible}
svg.timeline text{fill:var(--muted);font-size:12px;font-family:inherit}
svg.timeline .word{fill:var(--onStage);font-size:13px}
svg.timeline .boot{font-weight:600}
svg.timeline .before{fill:var(--inset);stroke:var(--rule)}
svg.timeline .grid{stroke:var(--rule)}
svg.timeline .edge{stroke:var(--paper);stroke-width:2}
svg.timeline .hatch{stroke:var(--muted);stroke-width:3}
svg.timeline .silence{fill:url(#silent)}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:-.8rem 0 1.2rem;color:var(--muted);font-size:.8125rem}
.key svg{vertical-align:-2px}
svg.mark{overflow:visible}
svg.mark path{fill:currentColor;stroke:var(--paper);stroke-width:1}
svg.mark path.fatal{fill:none;stroke:var(--fatal);stroke-width:3}
svg.mark path.error{fill:var(--error)}svg.mark path.warning{fill:var(--warning)}svg.mark path.info{fill:var(--info)}
${SEVERITIES.map((severity) => html`svg.mark .stem.${severity}{stroke:var(--${severity});stroke-width:1.5}.severity.${severity}{color:var(--${severity})}.finding.${severity}{border-left-color:var(--${severity})}`)}
${STAGES.map((stage) => html`.stage-${stage} rect{fill:var(--${stage})}.swatch.${stage}{background:var(--${stage})}`)}
table{width:100%;border-collapse:collapse;font-size:.9375rem}
caption{padding-bottom:.4rem;color:var(--muted);font-size:.875rem;text-align:left}
th,td{padding:.45rem .75rem .45rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
th{font-weight:600}
thead th{color:var(--muted);font-weight:400;font-size:.8125rem}
td.number,th.number{padding-right:0;padding-left:.75rem;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tr.silent th{font-weight:400;color:var(--muted)}
.swatch{display:inline-block;width:.75em;height:.75em;margin-right:.5em;border-radius:2px;vertical-align:baseline}
.swatch.silent{width:1.4em;height:.5em;background:repeating-linear-gradient(135deg,var(--muted) 0 2px,transparent 2px 4px)}
.quote{display:block;margin-top:.1rem;color:var(--muted);font-weight:400;overflow-wrap:anywhere;white-space:pre-wrap}
.finding{margin:1.4rem 0;padding:.1rem 0 .1rem 1rem;border-left:3px solid var(--rule)}
.finding h3{font-size:1.0625rem;overflow-wrap:anywhere}
.finding p{max-width:46rem;overflow-wrap:anywhere}
.finding p.meta{max-width:none}
.severity{font-weight:650}
.meta{margin:.1rem 0 .5rem;color:var(--muted);font-size:.875rem}
.lines,.log{padding:.5rem .75rem .5rem 0;border-radius:4px;background:var(--inset);tab-size:8}
.lines{margin:.6rem 0}
.log{margin:.4rem 0 1rem}
.log>div{content-visibility:auto;contain-intrinsic-size:auto calc(var(--lines)*1.22rem)}
.lines p,.log p{position:relative;max-width:none;min-height:1.5em;margin:0;padding-left:calc(var(--digits) + 2.2em);white-space:pre-wrap;overflow-wrap:anywhere}
.lines p>a:first-child,.log p>a:first-child{position:absolute;left:0;width:calc(var(--digits) + 1.1em);color:var(--muted);text-align:right;text-decoration:none;user-select:none}
.lines p>a:first-child:hover,.log p>a:first-child:hover{text-decoration:underline}
.log p:target{background:var(--target)}
.lines p.hit,.log p.hit{font-weight:650}
.log p.seen,.log p.gap{margin:.15rem 0;font-family:system-ui,-apple-system,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif}
.log p.gap,.lines p.gap{color:var(--muted);font-style:italic}
.cut{color:var(--muted);font-style:italic}
details>summary{cursor:pointer;padding:.35rem 0}
details>summary>h3{display:inline}
details>summary .meta{margin-left:.5em}
details.stage{border-bottom:1px solid var(--rule)}
pre{max-width:100%;margin:.6rem 0;padding:.75rem;overflow-x:auto;border-radius:4px;background:var(--inset)}
figure{margin:1rem 0}
figure img{display:block;max-width:100%;height:auto;border:1px solid var(--rule);border-radius:4px}
figcaption{padding-top:.35rem;color:var(--muted);font-size:.875rem;overflow-wrap:anywhere}
footer{margin-top:3rem;padding-top:.9rem;border-top:1px solid var(--rule);color:var(--muted);font-size:.8125rem}
@media (max-width:40rem){
body{padding:1.25rem 1rem 3rem}
h2{margin-top:2.2rem}
svg.timeline .roomy{display:none}
dl.facts{grid-template-columns:1fr;gap:0}
dl.facts dd{margin-bottom:.5rem}
.finding{padding-left:.75rem}
.lines,.log,code,pre,.quote{font-size:.75rem}
.lines p,.log p{padding-left:calc(var(--digits) + 1.4em)}
.lines p>a:first-child,.log p>a:first-child{width:calc(var(--digits) + .6em)}
}
@media print{body{max-width:none;padding:0}.log>div{content-visibility:visible}nav{display:none}}
`;
