/**
 * Draws text as it looks on a terminal: an SVG for the documents.
 *
 *   hiperiso report | node scripts/picture.mjs --title 'hiperiso report' > docs/images/report.svg
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { title: { type: "string", default: "" }, columns: { type: "string", default: "118" } } });
const columns = Number(values.columns);
const CELL = { width: 7.8, height: 18 };
const MARGIN = 18;
const BAR = 34;

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const cut = (line) => (line.length <= columns ? line : `${line.slice(0, columns - 1)}…`);
const COLOURS = [
  [/^(SUCCESS)/, "#7ee787"],
  [/^(FAILURE)|^\s*fatal |^\s*>/, "#ff7b72"],
  [/^(INCOMPLETE|NO_SERIAL)/, "#e3b341"],
  [/^[A-Z][a-z ]+$/, "#79c0ff"],
];
const colourOf = (line) => COLOURS.find(([pattern]) => pattern.test(line))?.[1] ?? "#d6dde6";

const lines = readFileSync(0, "utf8").trimEnd().split("\n").map(cut);
const width = Math.ceil(columns * CELL.width + 2 * MARGIN);
const height = BAR + lines.length * CELL.height + MARGIN;
const rows = lines.map(
  (line, index) => `<text x="${MARGIN}" y="${BAR + (index + 0.8) * CELL.height}" fill="${colourOf(line)}">${escaped(line)}</text>`,
);
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(values.title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0f1722"/>
<text x="${width / 2}" y="21" fill="#8b98a9" text-anchor="middle" font-family="sans-serif" font-size="12">${escaped(values.title)}</text>
<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13" xml:space="preserve">
${rows.join("\n")}
</g>
</svg>
`);
