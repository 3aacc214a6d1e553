/** What a real browser makes of report.html: Chromium without a window, driven by its command line. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { PALETTES } from "../../src/analysis/report-html-style.ts";
import { lookForTool } from "../../src/host/tools.ts";

let root: string;
let browser: string | undefined;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-browser-"));
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) browser ??= await lookForTool(name, process.env);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Runs the browser on a page, with a profile of its own; returns its standard output. */
async function browse(context: TestContext, url: string, ...options: readonly string[]): Promise<string> {
  if (browser === undefined) return context.skip("Chromium is not installed (scripts/system-packages.json names its package)");
  const profile = await mkdtemp(join(root, "profile-"));
  const quiet = [
    "--headless",
    "--no-sandbox", // as root Chromium starts only so; the page is ours
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    `--user-data-dir=${profile}`,
  ];
  const { stdout } = await promisify(execFile)(browser, [...quiet, ...options, url], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

const SCHEMES = { light: "--blink-settings=preferredColorScheme=1", dark: "--blink-settings=preferredColorScheme=0" };

/** The URL of the page of a session with this console. */
async function pageOf(serial: string, times = ""): Promise<string> {
  const directory = await mkdtemp(join(root, "session-"));
  await writeFile(join(directory, "serial.log"), serial);
  await writeFile(join(directory, "serial.times"), times);
  await analyseSession(directory);
  return pathToFileURL(join(directory, "report.html")).href;
}

const GRUB = "Welcome to GRUB!\n";
const KERNEL =
  "[    0.000000] Linux version 6.1.0-18-amd64 (build@example.org) #1 SMP\n[    0.104211] pid_max: default: 32768 minimum: 301\n";
const PANIC = `[    1.310001] ${"a long word ".repeat(40)}${"x".repeat(400)}\n[    1.310003] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n`;

describe("a log full of scripts", () => {
  const attacks = [
    "<script>document.title = 'owned'</script>",
    "</p></div></details></section></main><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "<svg onload=\"document.title = 'owned'\"></svg>",
    "\"'><iframe srcdoc=\"<script>parent.document.title = 'owned'</script>\"></iframe>",
    "</style><link rel=stylesheet href=//example.org/x.css>",
    "<!-- <meta http-equiv=refresh content='0;url=https://example.org/'>",
  ];

  test("is text to the browser: no script, no frame, no handler, no address", async (context) => {
    const lines = attacks.flatMap((attack) => [
      attack,
      `[    1.0] Kernel panic - not syncing: ${attack}`,
      `systemd[1]: Failed to start ${attack}.`,
    ]);
    const url = await pageOf(`${KERNEL}${Array.from({ length: 40 }, () => lines.join("\n")).join("\n")}\n`);
    const dom = await browse(context, url, "--dump-dom");
    // Chromium writes the tree that it built: "<" in text comes as &lt;, so every other "<" is an element.
    const names = new Set([...dom.matchAll(/<([a-z][\w-]*)/gi)].map(([, name]) => name!.toLowerCase()));
    for (const name of ["script", "iframe", "link", "base", "object", "embed", "form", "input"]) expect(names).not.toContain(name);
    expect(names).toContain("details");
    const tags = [...dom.matchAll(/<[a-z][^>]*>/gi)].map(([tag]) => tag.replace(/="[^"]*"/g, '=""'));
    expect(tags.filter((tag) => /\son\w+=/i.test(tag))).toEqual([]);
    expect([...dom.matchAll(/\s(?:href|src)="([^"]*)"/g)].filter(([, target]) => !target!.startsWith("#"))).toEqual([]);
    expect(/<title>([^<]*)<\/title>/.exec(dom)?.[1]).toBe("Failure: a console log");
    expect(dom.match(/&lt;script&gt;/g)!.length).toBeGreaterThan(40);
  });
});

describe("a link into a folded stage", () => {
  test("unfolds it", async (context) => {
    const filler = Array.from({ length: 100 }, (_, index) => `[    0.2${String(index).padStart(5, "0")}] device ${index}\n`).join("");
    const url = await pageOf(`${GRUB}${KERNEL}${filler}[    1.2] Run /init as init process\n[    1.3] Freeing memory\n`);
    const isOpen = (dom: string) => / open="/.test(/<details[^>]*id="stage-2"[^>]*>/.exec(dom)![0]);
    expect(isOpen(await browse(context, url, "--dump-dom"))).toBe(false);
    expect(isOpen(await browse(context, `${url}#L50`, "--dump-dom"))).toBe(true);
  });
});

describe("the page as it is seen", () => {
  const TIMES = `0\t4000\n${GRUB.length}\t8000\n${GRUB.length + KERNEL.length}\t16000\n`;

  test.for([
    ["light", 1200],
    ["dark", 1200],
    ["light", 360],
    ["dark", 360],
  ] as const)(
    "in a %s scheme, %d pixels wide: its colours, nothing beyond its margins, the timeline to scale",
    async ([scheme, width], context) => {
      const picture = join(root, `${scheme}-${width}.png`);
      const url = await pageOf(`${GRUB}${KERNEL}${PANIC}`, TIMES);
      await browse(context, url, `--window-size=${width},3000`, SCHEMES[scheme], `--screenshot=${picture}`);
      const image = decodePng(await readFile(picture));
      const palette = PALETTES[scheme];
      expect(image.width).toBe(width);
      // A line that is too long for the screen would be drawn through the margin.
      for (const column of [...Array(8).keys()].flatMap((at) => [at, width - 1 - at])) {
        expect(new Set(image.column(column)), `column ${column}`).toEqual(new Set([palette.paper]));
      }
      // The verdict, in the colour of a failure, stands at the top.
      const verdictRow = image.rows.findIndex((row) => row.includes(palette.fatal));
      expect(verdictRow).toBeGreaterThan(0);
      expect(verdictRow).toBeLessThan(120);
      // Silent for 4 s, boot loader for 4 s, kernel for 8 s: no row of the picture may tell it otherwise.
      const bars = image.rows.map((row) =>
        [palette.bootloader, palette.kernel].map((colour) => row.filter((pixel) => pixel === colour).length),
      );
      const bar = bars.find(([loader, kernel]) => loader! > 20 && kernel! > 20);
      expect(bar).toBeDefined();
      expect(bar![1]! / bar![0]!).toBeGreaterThan(1.9);
      expect(bar![1]! / bar![0]!).toBeLessThan(2.1);
    },
  );
});

interface Picture {
  readonly width: number;
  /** `#rrggbb`. */
  readonly rows: readonly (readonly string[])[];
  column(index: number): readonly string[];
}

/** PNG (Third Edition) as Chromium writes it: 8 bits a channel, RGB or RGBA, not interlaced. */
function decodePng(file: Buffer): Picture {
  const [width, height, depth, type] = [file.readUInt32BE(16), file.readUInt32BE(20), file[24], file[25]];
  if (depth !== 8 || (type !== 2 && type !== 6)) throw new Error(`a PNG of depth ${depth} and colour type ${type}`);
  const chunks: Buffer[] = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.toString("latin1", at + 4, at + 8) === "IDAT") chunks.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
  }
  const data = inflateSync(Buffer.concat(chunks));
  const pixelBytes = type === 2 ? 3 : 4;
  const rowBytes = width * pixelBytes;
  const rows: string[][] = [];
  let above = Buffer.alloc(rowBytes);
  for (let y = 0; y < height; y += 1) {
    const filter = data[y * (rowBytes + 1)]!;
    const row = Buffer.from(data.subarray(y * (rowBytes + 1) + 1, (y + 1) * (rowBytes + 1)));
    for (let x = 0; x < rowBytes; x += 1) {
      const left = x < pixelBytes ? 0 : row[x - pixelBytes]!;
      const corner = x < pixelBytes ? 0 : above[x - pixelBytes]!;
      row[x] = row[x]! + predicted(filter, left, above[x]!, corner);
    }
    rows.push(Array.from({ length: width }, (_, x) => `#${row.toString("hex", x * pixelBytes, x * pixelBytes + 3)}`));
    above = row;
  }
  return { width, rows, column: (index) => rows.map((row) => row[index]!) };
}

/** 9.2 and 9.4 (Paeth). */
function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  if (filter !== 4) return 0;
  const estimate = left + up - corner;
  const [toLeft, toUp, toCorner] = [left, up, corner].map((value) => Math.abs(estimate - value));
  return toLeft! <= toUp! && toLeft! <= toCorner! ? left : toUp! <= toCorner! ? up : corner;
}
