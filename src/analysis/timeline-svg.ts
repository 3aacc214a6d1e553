/**
 * A timeline drawn to scale. Places are per cent of the width and heights are CSS pixels, so that the drawing becomes narrower on a
 * phone and its words do not become smaller. Colours and fonts come from the page's style sheet by class.
 */
import { html, type Markup } from "../formats/escape-html.ts";
import { duration } from "./quantities.ts";
import type { Lane, Mark, Stretch, Timeline } from "./timeline.ts";

const MARKS_HEIGHT = 18;
const BAR_HEIGHT = 30;
const SILENCE_HEIGHT = 7;
const LANE_GAP = 16;
const LANE_HEIGHT = MARKS_HEIGHT + BAR_HEIGHT + 3 + SILENCE_HEIGHT + LANE_GAP;
const AXIS_HEIGHT = 22;
const TICKS_MAX = 6;
/** A word stands in a stretch of at least so many per cent, */
const WORD_PER_CENT = 9;
/** and on a narrow screen in one of at least so many. */
const WORD_PER_CENT_NARROW = 26;

/** Undefined where nothing has a time. `description` tells in words what is to be seen. */
export function timelineSvg(timeline: Timeline, description: string): Markup | undefined {
  const { lanes, endMs } = timeline;
  if (lanes.length === 0 || endMs <= 0) return undefined;
  const height = lanes.length * LANE_HEIGHT - LANE_GAP + 8;
  return html`<svg class="timeline" role="img" aria-label="${description}" width="100%" height="${height + AXIS_HEIGHT}">
<defs><pattern id="silent" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line y2="6" class="hatch"/></pattern></defs>
${tickTimes(endMs).map((ms) => tick(ms, endMs, height))}
${lanes.map((lane, index) => drawLane(lane, endMs, index * LANE_HEIGHT, lanes.length > 1))}
</svg>`;
}

function drawLane(lane: Lane, endMs: number, top: number, numbered: boolean): Markup {
  const bar = top + MARKS_HEIGHT;
  const silent = bar + BAR_HEIGHT + 3;
  return html`<g>
${numbered ? html`<text class="boot" x="${percent(lane.fromMs, endMs)}" y="${bar - 5}">boot ${lane.boot}</text>` : undefined}
<rect class="before" x="${percent(lane.fromMs, endMs)}" y="${bar}" width="${percent(lane.toMs - lane.fromMs, endMs)}" height="${BAR_HEIGHT}"/>
${lane.stretches.map((stretch) => drawStretch(stretch, endMs, bar))}
${lane.silences.map(
  ({ fromMs, toMs }) =>
    html`<rect class="silence" x="${percent(fromMs, endMs)}" y="${silent}" width="${percent(toMs - fromMs, endMs)}" height="${SILENCE_HEIGHT}"><title>silent for ${duration(toMs - fromMs)}</title></rect>`,
)}
${lane.marks.map((mark) => drawMark(mark, endMs, bar))}
</g>`;
}

function drawStretch({ stage, fromMs, toMs }: Stretch, endMs: number, top: number): Markup {
  const share = ((toMs - fromMs) / endMs) * 100;
  const word =
    share < WORD_PER_CENT
      ? undefined
      : html`<text class="${share < WORD_PER_CENT_NARROW ? "word roomy" : "word"}" x="${percent(fromMs, endMs)}" dx="8" y="${top + 20}">${stage}</text>`;
  return html`<g class="stage-${stage}"><rect x="${percent(fromMs, endMs)}" y="${top}" width="${percent(toMs - fromMs, endMs)}" height="${BAR_HEIGHT}"><title>${stage}, from ${duration(fromMs)}, for ${duration(toMs - fromMs)}</title></rect><line class="edge" x1="${percent(fromMs, endMs)}" x2="${percent(fromMs, endMs)}" y1="${top}" y2="${top + BAR_HEIGHT}"/>${word}</g>`;
}

/** Told apart by their form as well as by their colour. */
const FORMS = {
  fatal: "M-7-7 7 7M7-7-7 7",
  error: "M0-7 7 6H-7z",
  warning: "M-5-5H5V5H-5z",
  info: "M-2-2H2V2H-2z",
} as const;

const drawMark = ({ severity, kind, ms }: Mark, endMs: number, barTop: number): Markup =>
  html`<svg class="mark" x="${percent(ms, endMs)}" y="${barTop - 10}"><title>${severity}: ${kind}, at ${duration(ms)}</title><line class="stem ${severity}" y2="${BAR_HEIGHT + 10}"/><path class="${severity}" d="${FORMS[severity]}"/></svg>`;

/** What the forms in the drawing stand for, those that are in it. */
export function timelineKey({ lanes }: Timeline): Markup | undefined {
  const severities = (["fatal", "error", "warning"] as const).filter((severity) =>
    lanes.some(({ marks }) => marks.some((mark) => mark.severity === severity)),
  );
  const isSilent = lanes.some(({ silences }) => silences.length > 0);
  if (severities.length === 0 && !isSilent) return undefined;
  return html`<p class="key">${severities.map(
    (severity) =>
      html`<span><svg class="mark" width="14" height="14" viewBox="-8 -8 16 16" aria-hidden="true"><path class="${severity}" d="${FORMS[severity]}"/></svg> ${severity}</span> `,
  )}${isSilent ? html`<span><span class="swatch silent"></span>nothing printed</span>` : undefined}</p>`;
}

function tick(ms: number, endMs: number, height: number): Markup {
  const at = percent(ms, endMs);
  const anchor = ms === 0 ? "start" : ms / endMs > 0.95 ? "end" : "middle";
  return html`<line class="grid" x1="${at}" x2="${at}" y1="0" y2="${height}"/><text class="tick" x="${at}" y="${height + 15}" text-anchor="${anchor}">${duration(ms)}</text>`;
}

/** Round times from 0 to at most `endMs`: steps of 1, 2 or 5 times a power of ten, and of 15 s, 30 s, 1 min… above that. */
export function tickTimes(endMs: number): readonly number[] {
  const decimal = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
  const minutes = [0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440].map((count) => count * 60_000);
  const step = [...decimal, ...minutes].find((one) => endMs / one < TICKS_MAX) ?? endMs / (TICKS_MAX - 1);
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, index) => index * step);
}

/** Same digits on every computer. */
const percent = (ms: number, endMs: number): string => `${((ms / endMs) * 100).toFixed(2)}%`;
