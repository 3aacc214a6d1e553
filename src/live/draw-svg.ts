/**
 * The graph of a spec as an SVG document: stages in columns by how much comes before them, edges as curves with the names of the inputs. Pure.
 *
 * The way of Sugiyama, Tagawa and Toda (1981): columns by the longest way from a source; an edge over several columns gets a place in each of
 * them, so that it runs between the boxes; the order in a column by the mean of the neighbours, swept to and fro.
 */
import { escapeXml, escapeXmlAttribute } from "../formats/escape-xml.ts";
import type { DrawnGraph, DrawnStage } from "./draw.ts";

/** A stage, or the place of an edge that passes through a column. */
interface Place {
  readonly id: string;
  readonly column: number;
  readonly stage: DrawnStage | undefined;
}

/** From one column to the next; `label` on the last piece of an edge. */
interface Piece {
  readonly from: string;
  readonly to: string;
  readonly label: string | undefined;
}

const BOX_HEIGHT = 44;
/** Each input comes in at a height of its own. */
const PORT_HEIGHT = 17;
const PASS_HEIGHT = 14;
const ROW_GAP = 22;
const COLUMN_GAP = 110;
const MARGIN = 16;
/** Of a letter of the font below at 13 px, about; boxes are as wide as their widest word. */
const LETTER_WIDTH = 7.6;
const LABEL_LETTER_WIDTH = 6.2;
const SWEEPS = 12;

export function drawSvg(graph: DrawnGraph, title: string): string {
  const { places, pieces } = layered(graph.stages);
  const columns = ordered(places, pieces);
  const at = placed(columns);
  const wanted = new Set(graph.targets.map(({ stage }) => stage));
  const width = Math.max(...[...at.values()].map(({ x, width: own }) => x + own), 0) + MARGIN;
  const height = Math.max(...[...at.values()].map(({ y, height: own }) => y + own), 0) + MARGIN;
  const boxes = [...at.values()].flatMap((spot) => (spot.stage === undefined ? [] : [box(spot, spot.stage, wanted.has(spot.stage.name))]));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" height="${round(height)}" role="img" aria-label="${escapeXmlAttribute(title)}">
<title>${escapeXml(title)}</title>
<style>text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1b1f24}.kind{font-size:11px;fill:#57606a}.input{font-size:11px;fill:#57606a;text-anchor:end}rect{fill:#f6f8fa;stroke:#8c959f}.wanted{stroke:#0969da;stroke-width:2}path{fill:none;stroke:#8c959f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.kind,.input{fill:#9198a1}rect{fill:#161b22;stroke:#6e7681}.wanted{stroke:#4493f8}path{stroke:#6e7681}}</style>
<g>
${pieces.map((piece) => edge(piece, at, portOf(piece, pieces, at))).join("\n")}
</g>
<g>
${boxes.join("\n")}
</g>
</svg>
`;
}

/** `stages`: each behind its inputs. */
function layered(stages: readonly DrawnStage[]): { readonly places: readonly Place[]; readonly pieces: readonly Piece[] } {
  const column = new Map<string, number>();
  for (const { name, inputs } of stages) {
    const before = Object.values(inputs).flatMap((from) => column.get(from) ?? []);
    column.set(name, before.length === 0 ? 0 : Math.max(...before) + 1);
  }
  // What nothing comes before stands next to the first that needs it, not at the far left.
  for (const { name, inputs } of stages) {
    const behind = stages.flatMap((stage) => (Object.values(stage.inputs).includes(name) ? [column.get(stage.name)!] : []));
    if (Object.keys(inputs).length === 0 && behind.length > 0) column.set(name, Math.min(...behind) - 1);
  }
  const places: Place[] = stages.map((stage) => ({ id: stage.name, column: column.get(stage.name)!, stage }));
  const pieces: Piece[] = [];
  for (const { name, inputs } of stages) {
    for (const [input, from] of Object.entries(inputs)) {
      const start = column.get(from);
      if (start === undefined) continue;
      let last = from;
      for (let passing = start + 1; passing < column.get(name)!; passing++) {
        const id = `${from}>${name}>${input}>${passing}`; // `>` stands in no name
        places.push({ id, column: passing, stage: undefined });
        pieces.push({ from: last, to: id, label: undefined });
        last = id;
      }
      pieces.push({ from: last, to: name, label: input });
    }
  }
  return { places, pieces };
}

/** The places of each column, from top to bottom: the order with the fewest crossings that the sweeps came by. */
function ordered(places: readonly Place[], pieces: readonly Piece[]): readonly (readonly Place[])[] {
  const count = Math.max(-1, ...places.map(({ column }) => column)) + 1;
  const columns = Array.from({ length: count }, (_, index) => places.filter(({ column }) => column === index));
  let best = [...columns];
  let fewest = crossings(columns, pieces);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const isForward = sweep % 2 === 0;
    for (let step = 0; step < count; step++) {
      const index = isForward ? step : count - 1 - step;
      const rank = ranksIn(columns[isForward ? index - 1 : index + 1] ?? []);
      const own = ranksIn(columns[index]!);
      const mean = ({ id }: Place): number => {
        const ranks = pieces.flatMap(({ from, to }) => (isForward && to === id ? [from] : !isForward && from === id ? [to] : []));
        return ranks.length === 0 ? own.get(id)! : ranks.reduce((sum, next) => sum + rank.get(next)!, 0) / ranks.length;
      };
      columns[index] = columns[index]!.toSorted((one, other) => mean(one) - mean(other));
    }
    const now = crossings(columns, pieces);
    if (now < fewest) [best, fewest] = [[...columns], now];
  }
  return best;
}

/** From 0 for the top to 1 for the bottom, so that columns of any length compare. */
const ranksIn = (column: readonly Place[]): ReadonlyMap<string, number> =>
  new Map(column.map(({ id }, index) => [id, column.length < 2 ? 0.5 : index / (column.length - 1)]));

function crossings(columns: readonly (readonly Place[])[], pieces: readonly Piece[]): number {
  const spot = new Map(columns.flatMap((column, x) => column.map(({ id }, y) => [id, { x, y }] as const)));
  let count = 0;
  for (const [index, one] of pieces.entries()) {
    for (const other of pieces.slice(index + 1)) {
      const [a, b, c, d] = [spot.get(one.from)!, spot.get(one.to)!, spot.get(other.from)!, spot.get(other.to)!];
      if (a.x === c.x && (a.y - c.y) * (b.y - d.y) < 0) count += 1;
    }
  }
  return count;
}

interface Spot extends Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function placed(columns: readonly (readonly Place[])[]): ReadonlyMap<string, Spot> {
  const heightOf = ({ stage }: Place): number =>
    stage === undefined ? PASS_HEIGHT : Math.max(BOX_HEIGHT, Object.keys(stage.inputs).length * PORT_HEIGHT + 8);
  const heights = columns.map((column) => column.reduce((sum, place) => sum + heightOf(place) + ROW_GAP, -ROW_GAP));
  const tallest = Math.max(0, ...heights);
  const spots = new Map<string, Spot>();
  let x = MARGIN;
  for (const [index, column] of columns.entries()) {
    const width = Math.max(0, ...column.map(widthOf));
    let y = MARGIN + (tallest - heights[index]!) / 2;
    for (const place of column) {
      spots.set(place.id, { ...place, x, y, width, height: heightOf(place) });
      y += heightOf(place) + ROW_GAP;
    }
    x += width + COLUMN_GAP;
  }
  return spots;
}

const widthOf = ({ stage }: Place): number =>
  stage === undefined ? 0 : Math.ceil(Math.max(stage.name.length, kindLine(stage).length * 0.9) * LETTER_WIDTH) + 24;

const kindLine = ({ kind, note }: DrawnStage): string => (note === undefined ? kind : `${kind}, ${note}`);

function box({ x, y, width, height }: Spot, stage: DrawnStage, isWanted: boolean): string {
  const [left, middle] = [x + 12, y + height / 2];
  return `<g><rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="6"${isWanted ? ' class="wanted"' : ""}/><text x="${round(left)}" y="${round(middle - 3)}">${escapeXml(stage.name)}</text><text class="kind" x="${round(left)}" y="${round(middle + 13)}">${escapeXml(kindLine(stage))}</text></g>`;
}

/** Where an edge comes in: the ports of a box stand in the order of where their edges come from, so that these do not cross before it. */
function portOf({ from, to, label }: Piece, pieces: readonly Piece[], at: ReadonlyMap<string, Spot>): number {
  const end = at.get(to)!;
  const sources = pieces.filter((piece) => piece.to === to).sort((one, other) => at.get(one.from)!.y - at.get(other.from)!.y);
  const index = sources.findIndex((piece) => piece.from === from && piece.label === label);
  return end.y + end.height / 2 + (index - (sources.length - 1) / 2) * PORT_HEIGHT;
}

function edge({ from, to, label }: Piece, at: ReadonlyMap<string, Spot>, y2: number): string {
  const [start, end] = [at.get(from)!, at.get(to)!];
  const [x1, y1, x2] = [start.x + start.width, start.y + start.height / 2, end.x];
  // Straight at its end, where its name stands.
  const flat = label === undefined ? x2 : x2 - label.length * LABEL_LETTER_WIDTH - 8;
  const bend = Math.max((flat - x1) / 2, 8);
  // The place of a passing edge is as wide as the boxes of its column: it goes straight through between them.
  const through = start.stage === undefined ? `M${round(start.x)} ${round(y1)}H${round(x1)}` : `M${round(x1)} ${round(y1)}`;
  const path = `<path d="${through}C${round(x1 + bend)} ${round(y1)} ${round(flat - bend)} ${round(y2)} ${round(flat)} ${round(y2)}H${round(x2)}"/>`;
  const text = label === undefined ? "" : `<text class="input" x="${round(x2 - 5)}" y="${round(y2 - 3)}">${escapeXml(label)}</text>`;
  return `${path}${text}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
