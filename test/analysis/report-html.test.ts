import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { PALETTES, type Palette } from "../../src/analysis/report-html-style.ts";
import type { Ending } from "../../src/contract/session.ts";
import { GRUB, HEALTHY, KERNEL, log, OOPS, OVMF, PANIC_NO_ROOT } from "./composed-logs.ts";
import { byId, type Element, elementsOf, find, readPage, textOf } from "./page-reader.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-page-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const put = (name: string, content: string | Uint8Array) => writeFile(join(directory, name), content);

async function pageSource(serial: string | Uint8Array): Promise<string> {
  await put("serial.log", serial);
  await analyseSession(directory);
  return await readFile(join(directory, "report.html"), "utf8");
}

const page = async (serial: string | Uint8Array): Promise<Element> => readPage(await pageSource(serial));

const FAILED = log(OVMF, GRUB, KERNEL, PANIC_NO_ROOT);

const ENDING: Ending = {
  reason: "guest_panic",
  detail: "the guest said through pvpanic that its kernel panicked",
  goal: "login",
  goal_reached: false,
  duration_ms: 20_000,
  firmware: "uefi",
  accelerator: "tcg",
  resets: 0,
  qemu_exit_code: 0,
  qemu_signal: null,
  serial_bytes: 0,
  screen: "800x600",
  screen_drawn: 5,
  still: false,
};

/** What a page may consist of, and what each element may say of itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  html: ["lang"],
  head: [],
  meta: ["charset", "name", "content", "http-equiv"],
  title: [],
  style: [],
  body: [],
  img: ["src", "width", "height", "alt"],
  a: ["href"],
  details: ["open", "class", "id"],
  svg: ["class", "role", "aria-label", "aria-hidden", "width", "height", "x", "y", "viewBox"],
  pattern: ["id", "width", "height", "patternUnits", "patternTransform"],
  line: ["x1", "x2", "y1", "y2", "class"],
  rect: ["x", "y", "width", "height", "class"],
  path: ["class", "d"],
  text: ["class", "x", "y", "dx", "text-anchor"],
  th: ["scope", "class"],
  section: ["aria-labelledby"],
  nav: ["aria-label"],
  div: ["class", "style"],
};
const PLAIN =
  "header main footer h1 h2 h3 p dl dt dd ul ol li table caption thead tbody tr td span code pre article figure figcaption summary defs g".split(
    " ",
  );

function expectHarmless(root: Element): void {
  for (const { name, attributes } of elementsOf(root)) {
    const allowed = ALLOWED[name] ?? (PLAIN.includes(name) ? ["class", "id"] : undefined);
    expect(allowed, `<${name}>`).toBeDefined();
    for (const [attribute, value] of attributes) {
      expect(allowed, `<${name} ${attribute}>`).toContain(attribute);
      if (attribute === "href") expect(value).toMatch(/^#[\w-]+$/);
      if (attribute === "src") expect(value).toMatch(/^data:image\/png;base64,[A-Za-z0-9+/=]+$/);
      if (attribute === "style") expect(value).toMatch(/^--(digits:\d+ch|lines:\d+)$/);
      if (["class", "id"].includes(attribute)) expect(value).toMatch(/^[\w -]+$/);
    }
  }
}

function expectSound(root: Element): void {
  const ids = find(root, ({ attributes }) => attributes.has("id")).map(({ attributes }) => attributes.get("id")!);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { attributes } of find(root, ({ name }) => name === "a")) expect(ids).toContain(attributes.get("href")!.slice(1));
}

const HOSTILE = [
  "<script>alert(1)</script>",
  "</pre></div></details></body><script src=//example.org/x></script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "<!-- ",
  "]]>",
  "&lt;script&gt;&#60;script&#62;",
  "</style><style>*{display:none}",
  "</title><base href=//example.org>",
  "\x1b]0;<script>\x07",
  "<\x1b[0mscript>",
  "<scr\0ipt>",
  "javascript:alert(1)",
  "\u202etpircs\u202c",
  "<svg/onload=alert(1)>",
];

describe("a page of text that wants to be markup", () => {
  const hostileWord = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary", maxLength: 30 }));
  const framed = (word: string) =>
    fc.constantFrom(
      `[    1.5] Kernel panic - not syncing: ${word}`,
      `[    1.0] Linux version 6.1.0 ${word}`,
      `systemd[1]: Failed to start ${word}.`,
      `[    1.3] VFS: Cannot open root device "${word}" or unknown-block(0,0): error -6`,
      `Welcome to GRUB! ${word}`,
      `${word} login: `,
      word,
    );
  const hostileLog = fc.array(hostileWord.chain(framed), { maxLength: 25 }).map((lines) => lines.join("\n"));

  test("holds no element, attribute, address or style but the program's own, whatever the session's files say", async () => {
    await fc.assert(
      fc.asyncProperty(hostileLog, hostileWord, async (serial, word) => {
        await put("ending.json", JSON.stringify({ ...ENDING, detail: word, goal: `text:${word || "x"}`, screen: word }));
        await put("screen.txt", `${word}\n${HOSTILE.join("\n")}`);
        await put("qemu.stderr", word);
        await put("firmware.log", serial);
        const session = { session_id: word, iso_basename: word, start_time_utc: "2026-01-01T00:00:00Z", guest_ram_mb: 1, guest_cpus: 1 };
        await put("session.json", JSON.stringify(session));
        const root = await page(serial);
        expectHarmless(root);
        expectSound(root);
      }),
      { numRuns: 40 },
    );
  });

  test("shows that text as it stood", async () => {
    const root = await page(`${HOSTILE[0]}\n${HOSTILE[2]}\n[    1.0] Kernel panic - not syncing: <b>&amp;</b>\n`);
    expect(textOf(byId(root, "L1")!)).toBe(`1${HOSTILE[0]}`);
    expect(textOf(byId(root, "L2")!)).toBe(`2${HOSTILE[2]}`);
    expect(textOf(byId(root, "wrong")!)).toBe("What went wrong");
    expect(textOf(root)).toContain("not syncing: <b>&amp;</b>");
  });

  test("forbids by its own policy what it never holds", async () => {
    const metas = find(await page(HEALTHY), ({ name }) => name === "meta");
    const policy = metas.find(({ attributes }) => attributes.get("http-equiv") === "Content-Security-Policy")?.attributes.get("content");
    expect(policy).toBe("default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
    // Before anything that the policy is about.
    expect(metas.slice(0, 2).map(({ attributes }) => [...attributes.keys()][0])).toEqual(["charset", "http-equiv"]);
  });
});

describe("the page of a failed boot", () => {
  test("says first, in words, what happened, and links to the line", async () => {
    const root = await page(FAILED);
    const [h1] = find(root, ({ name }) => name === "h1");
    expect(textOf(h1!)).toBe("The boot failed in the kernel.");
    const lead = find(root, ({ attributes }) => attributes.get("class") === "lead")[0]!;
    const line = FAILED.split("\n").findIndex((text) => text.includes("Unable to mount root fs")) + 1;
    expect(textOf(lead)).toMatch(/root file system/);
    expect(find(lead, ({ name }) => name === "a").map(textOf)).toEqual([String(line)]);
  });

  test("has its parts in the order in which they are read, each under its heading", async () => {
    const root = await page(FAILED);
    expect(find(root, ({ name }) => name === "h2").map(textOf)).toEqual([
      "Timeline",
      "What went wrong",
      "What to try",
      "What was recorded",
      "The log",
    ]);
    expect(find(root, ({ name }) => name === "h1")).toHaveLength(1);
    expect(find(root, ({ name }) => name === "caption")).toHaveLength(find(root, ({ name }) => name === "table").length);
    expectSound(root);
  });

  test("quotes the lines of a finding with their neighbours, and notes the finding where it stands in the log", async () => {
    const root = await page(FAILED);
    const finding = byId(root, "finding-1")!;
    const numbers = find(finding, ({ name }) => name === "p")
      .map((row) => /^(\d+)\[ /.exec(textOf(row))?.[1])
      .filter((number) => number !== undefined)
      .map(Number);
    const line = FAILED.split("\n").findIndex((text) => text.includes("Cannot open root device")) + 1;
    expect(numbers).toContain(line);
    expect(numbers).toContain(line - 1);
    expect(numbers).toContain(line + 1);
    const rows = find(
      byId(root, `stage-${FAILED.split("\n").findIndex((text) => text.includes("Linux version")) + 1}`)!,
      ({ name }) => name === "p",
    );
    const at = rows.findIndex(({ attributes }) => attributes.get("id") === `L${line}`);
    expect(find(rows[at + 1]!, ({ name }) => name === "a")[0]!.attributes.get("href")).toBe("#finding-1");
  });

  test("holds the whole log, each line once under its number, folded by stage, the failed stage open", async () => {
    const filler = Array.from({ length: 80 }, (_, index) => `[    0.5${String(index).padStart(5, "0")}] device ${index}`);
    const serial = log(OVMF, GRUB, KERNEL, filler, PANIC_NO_ROOT);
    const root = await page(serial);
    const ids = find(root, ({ attributes }) => /^L\d+$/.test(attributes.get("id") ?? "")).map(({ attributes }) => attributes.get("id"));
    const lineCount = serial.replace(/\n$/, "").split("\n").length;
    expect(ids).toEqual(Array.from({ length: lineCount }, (_, index) => `L${index + 1}`));
    const sections = find(root, ({ attributes }) => attributes.get("class") === "stage");
    expect(sections.map((section) => [textOf(find(section, ({ name }) => name === "h3")[0]!), section.attributes.has("open")])).toEqual([
      ["firmware", false],
      ["bootloader", false],
      ["kernel", true],
    ]);
  });

  test("comes without escape sequences, and with what else a terminal would act on written out", async () => {
    const root = await page("\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hdrawn\0\x9b\u202e\n");
    expect(textOf(byId(root, "L1")!)).toBe("1red\ndrawn\\x00\\x9b\\u202e");
  });
});

describe("the timeline", () => {
  const percents = (root: Element, className: string) =>
    find(root, ({ attributes }) => attributes.get("class") === className).map(({ attributes }) => [
      attributes.get("x"),
      attributes.get("width"),
    ]);

  test("is to scale: stages, silences and findings at their part of the time", async () => {
    const lines = log(GRUB, KERNEL, PANIC_NO_ROOT);
    const kernelAt = lines.indexOf("[    0.000000] Linux version");
    const panicAt = lines.indexOf("[    1.310001] VFS");
    await put("serial.times", `0\t5000\n${kernelAt}\t10000\n${panicAt}\t15000\n`);
    await put("ending.json", JSON.stringify(ENDING));
    const root = await page(lines);
    const [svg] = find(root, ({ attributes }) => attributes.get("class") === "timeline");
    const bars = find(svg!, ({ attributes }) => attributes.get("class")?.startsWith("stage-") === true);
    expect(
      bars.map((bar) => [
        bar.attributes.get("class"),
        ...["x", "width"].map((name) => find(bar, (one) => one.name === "rect")[0]!.attributes.get(name)),
      ]),
    ).toEqual([
      ["stage-bootloader", "25.00%", "25.00%"],
      ["stage-kernel", "50.00%", "50.00%"],
    ]);
    expect(percents(svg!, "silence")).toEqual([
      ["0.00%", "25.00%"],
      ["25.00%", "25.00%"],
      ["50.00%", "25.00%"],
      ["75.00%", "25.00%"],
    ]);
    const marks = find(svg!, ({ attributes }) => attributes.get("class") === "mark");
    expect(new Set(marks.map(({ attributes }) => attributes.get("x")))).toEqual(new Set(["75.00%"]));
    expect(svg!.attributes.get("role")).toBe("img");
    expect(svg!.attributes.get("aria-label")).toMatch(
      /^Timeline of 20 s: bootloader from 5 s, kernel from 10 s; 4 silences; findings at 15 s \(no_root\)/,
    );
  });

  test("of a log without times of arrival is by the kernel's clock, a lane for each boot", async () => {
    const root = await page(log(GRUB, KERNEL, PANIC_NO_ROOT, GRUB, KERNEL, OOPS, PANIC_NO_ROOT));
    const [svg] = find(root, ({ attributes }) => attributes.get("class") === "timeline");
    expect(find(svg!, ({ attributes }) => attributes.get("class") === "boot").map(textOf)).toEqual(["boot 1", "boot 2"]);
    expect(textOf(find(root, ({ name }) => name === "caption")[0]!)).toContain("kernel’s own clock");
  });

  test("is not drawn where nothing tells the time", async () => {
    const root = await page(log(GRUB));
    expect(find(root, ({ name }) => name === "svg")).toEqual([]);
    expect(textOf(find(root, ({ name }) => name === "caption")[0]!)).toContain("nothing here tells the time");
  });
});

describe("pictures of the screen", () => {
  const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==", "base64");

  test("are in the page, with their size; what is none is named with the reason", async () => {
    await put("screen-goal.png", PNG);
    await put("screen-large.png", Buffer.concat([PNG, Buffer.alloc(2_000_000)]));
    await put("screen-lie.png", "<svg onload=alert(1)>");
    await put("screen-old.ppm", "P6 1 1 255 abc");
    const root = await page(FAILED);
    const images = find(root, ({ name }) => name === "img");
    expect(images.map(({ attributes }) => [attributes.get("width"), attributes.get("height"), attributes.get("src")])).toEqual([
      ["1", "1", `data:image/png;base64,${PNG.toString("base64")}`],
    ]);
    expect(images[0]!.attributes.get("alt")).toContain("1 by 1 pixels");
    const notes = find(root, ({ attributes }) => attributes.get("class") === "note").map(textOf);
    expect(notes.filter((note) => note.startsWith("screen-"))).toEqual([
      "screen-large.png (2 MB) is not in this page: too large for this page.",
      "screen-lie.png (21 bytes) is not in this page: not a PNG picture.",
      "screen-old.ppm (14 bytes) is not in this page: browsers show no PPM.",
    ]);
    expectHarmless(root);
  });
});

describe("the page of a huge log", () => {
  test("holds its beginning, its end and what lies around stages and findings, and says what it leaves out", async () => {
    const noise = (count: number, from: number) => Array.from({ length: count }, (_, index) => `daemon: message ${from + index}`);
    const serial = log(OVMF, GRUB, KERNEL, noise(30_000, 0), PANIC_NO_ROOT, noise(30_000, 30_000));
    const source = await pageSource(serial);
    expect(source.length).toBeLessThan(3_000_000);
    const root = readPage(source);
    expectSound(root);
    const shown = find(root, ({ attributes }) => /^L\d+$/.test(attributes.get("id") ?? "")).length;
    expect(shown).toBeLessThanOrEqual(20_000);
    const text = textOf(root);
    const lineCount = serial.replace(/\n$/, "").split("\n").length;
    const grouped = (number: number) => number.toLocaleString("en-US");
    expect(text).toContain(`The log has ${grouped(lineCount)} lines. This page holds ${grouped(shown)} of them`);
    expect(text).toContain("Cannot open root device");
    expect(text).toContain("daemon: message 59999");
    expect(text).not.toContain("daemon: message 15000\n");
    const gaps = find(root, ({ attributes }) => attributes.get("class") === "gap").map(
      (gap) => /lines ([\d,]+) to ([\d,]+) are/.exec(textOf(gap))!,
    );
    const missing = gaps.reduce(
      (sum, [, first, last]) => sum + Number(last!.replaceAll(",", "")) - Number(first!.replaceAll(",", "")) + 1,
      0,
    );
    expect(missing).toBe(lineCount - shown);
  });
});

describe("the page of a boot that", () => {
  test.each([
    ["reached its goal", HEALTHY, "The boot reached its goal."],
    ["ended without a reason", log(OVMF, GRUB), "The boot did not finish, and stopped in the boot loader."],
    ["printed nothing", "", "The console printed nothing."],
  ])("%s says so", async (_, serial, words) => {
    const root = await page(serial);
    expect(textOf(find(root, ({ name }) => name === "h1")[0]!)).toBe(words);
    expectHarmless(root);
    expectSound(root);
  });
});

describe("the colours", () => {
  const luminance = (colour: string) => {
    const [r, g, b] = [1, 3, 5]
      .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (a: string, b: string) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high! + 0.05) / (low! + 0.05);
  };

  test.each(["light", "dark"] as const)("of the %s scheme tell text from what is behind it (WCAG 2.2, 1.4.3)", (scheme) => {
    const palette: Palette = PALETTES[scheme];
    for (const ink of ["ink", "muted", "link", "success", "fatal", "error", "warning", "info"] as const) {
      for (const paper of ["paper", "inset"] as const)
        expect(contrast(palette[ink], palette[paper]), `${ink} on ${paper}`).toBeGreaterThanOrEqual(4.5);
    }
    for (const ink of ["ink", "muted"] as const)
      expect(contrast(palette[ink], palette.target), `${ink} on target`).toBeGreaterThanOrEqual(4.5);
    for (const stage of ["firmware", "bootloader", "kernel", "initramfs", "userspace", "login"] as const) {
      expect(contrast(palette.onStage, palette[stage]), stage).toBeGreaterThanOrEqual(4.5);
    }
  });
});
