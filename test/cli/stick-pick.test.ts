/** `hiperiso stick pick` on a real terminal: a pseudo-terminal, and a person who presses keys when the screen shows what they wait for. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { SmallTerminal } from "../formats/small-terminal.ts";
import { TRAPS } from "../stick/picker/stick-facts.ts";
import { type BuiltProgram, buildProgram } from "./built-program.ts";
import { isoBytes, put, stick } from "./stick-commands.ts";

const NAMES = TRAPS.filter((name) => !/[\p{Cc}"]/u.test(name) && Buffer.byteLength(name) < 200);

let program: BuiltProgram;
let folder = "";
let image = "";

beforeAll(async () => {
  program = buildProgram();
  folder = mkdtempSync(join(tmpdir(), "hiperiso-pick-test-"));
  put(join(folder, "images"), Object.fromEntries(NAMES.map((name, index) => [name, isoBytes(65_536, index + 1)])));
  const config = { control: { default_ram: 777 }, menu_alias: [{ iso: "two words.iso", alias: "An alias" }] };
  put(folder, { "hiperiso.json": JSON.stringify(config) });
  image = join(folder, "stick.img");
  const words = [
    "create",
    image,
    "--iso",
    join(folder, "images"),
    "--config",
    join(folder, "hiperiso.json"),
    "--size",
    "96M",
    "--no-runtime",
  ];
  expect((await stick(words)).stderr).not.toContain("error");
});

afterAll(() => {
  program.remove();
  rmSync(folder, { recursive: true });
});

/** For a screen that no longer changes: long beyond anything that a loaded computer needs. */
const PATIENCE_MS = 30_000;

interface Sitting {
  /** To be changed where the terminal is: the size of the screen that is looked at. */
  readonly place: { size: { readonly columns: number; readonly rows: number } };
  /** Of what came until now, on a terminal of this size. */
  screen(): string;
  raw(): string;
  press(keys: string): void;
  /** Waits until the screen shows it, or it is so. */
  until(what: string | (() => boolean)): Promise<void>;
  readonly ended: Promise<number | null>;
}

const sittings: ChildProcess[] = [];
afterEach(() => {
  for (const child of sittings.splice(0)) child.kill("SIGKILL");
});

/** util-linux' script(1) makes the terminal, which has no size until somebody gives it one. */
function sit(
  command: string,
  { size, term = "xterm" }: { readonly size: { readonly columns: number; readonly rows: number }; readonly term?: string },
): Sitting {
  const env = { ...process.env, TERM: term, NO_COLOR: "", LC_ALL: "C.UTF-8" };
  const child = spawn("script", ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"], env });
  let raw = "";
  let came: () => void = () => {};
  child.stdout!.setEncoding("utf8").on("data", (more: string) => {
    raw += more;
    came();
  });
  const place = { size };
  const screen = () => {
    // What was cut in the middle of a sequence comes whole with the next piece; what is printed when it is over is no part of the screen.
    const drawn = raw.split("\x1b[?7h")[0]!.replace(/\x1b(?:\[[0-9;?]*)?$/, "");
    const start = Math.max(0, drawn.lastIndexOf("\x1b[0m\x1b[2J"));
    return new SmallTerminal(place.size).write(drawn.slice(start).replaceAll("\x1b[999;999H\x1b[6n", "")).text().join("\n");
  };
  sittings.push(child);
  return {
    place,
    screen,
    raw: () => raw,
    press: (keys) => void child.stdin!.write(keys),
    until: async (wanted) => {
      const isOver = new Promise<"over">((resolve) => child.once("close", () => resolve("over")));
      while (!(typeof wanted === "string" ? screen().includes(wanted) : wanted())) {
        const more = new Promise<"more">((resolve) => {
          came = () => resolve("more");
        });
        const late = delay(PATIENCE_MS, "late" as const, { ref: false });
        const what = await Promise.race([more, isOver, late]);
        if (what !== "more") throw new Error(`waiting for ${String(wanted)}: ${what}; the screen is\n${screen()}`);
      }
    },
    ended: new Promise((resolve) => child.once("close", resolve)),
  };
}

const pickCommand = (...words: readonly string[]) =>
  [process.execPath, program.module("cli/hiperiso.js"), "stick", "pick", ...words].map((word) => `'${word}'`).join(" ");

describe("stick pick", () => {
  const size = { columns: 80, rows: 25 };
  const sized = (command: string) => `stty rows ${size.rows} cols ${size.columns}; ${command}`;

  test("is driven by keys, prints what was chosen, and leaves the terminal as it was", async () => {
    const [before, after] = [join(folder, "before"), join(folder, "after")];
    const sitting = sit(sized(`stty -a > '${before}'; ${pickCommand(image)} > '${join(folder, "chosen")}'; stty -a > '${after}'`), {
      size,
    });
    await sitting.until("An alias");
    for (const name of NAMES) if (name !== "two words.iso") expect(sitting.screen()).toContain(/^[^\p{C}]{1,7}/u.exec(name)![0].trimEnd());
    sitting.press("combined");
    await sitting.until(`1 of ${NAMES.length}`);
    sitting.press("\x15plain");
    await sitting.until("» plain.iso");
    await sitting.until("cannot boot: ");
    expect(sitting.screen()).toContain("settings: 777 MB");
    sitting.press("\x1b[C");
    await sitting.until("» Boot, recorded");
    sitting.press("\x1b[B\x1b[B\x1b[B\x1b[B\x1b[C");
    await sitting.until("detailed  for this once");
    sitting.press("\x1b[H\r");
    await sitting.until("as if it could boot");
    sitting.press("\r");
    expect(await sitting.ended).toBe(0);
    expect(readFileSync(join(folder, "chosen"), "utf8")).toBe("/ISOs/plain.iso\n--trace-level=detailed\n");
    expect(readFileSync(after, "utf8")).toBe(readFileSync(before, "utf8"));
    expect(sitting.raw().endsWith("\x1b[?7h\x1b[?25h\x1b[?1049l")).toBe(true);
  });

  test("Esc and Enter leave it: nothing was chosen, status 1", async () => {
    const sitting = sit(sized(pickCommand(image, "--json")), { size });
    await sitting.until("An alias");
    sitting.press("\x1b");
    await sitting.until("» Leave");
    sitting.press("\r");
    expect(await sitting.ended).toBe(1);
    expect(sitting.raw()).toMatch(/"image": null/);
  });

  test("a terminal that does not know its size is asked, as one at the end of a serial line is; a VT100 gets ASCII", async () => {
    const wide = { columns: 100, rows: 30 };
    const sitting = sit(pickCommand(image), { size: wide, term: "vt100" });
    await sitting.until("An alias");
    sitting.press("\x1b[30;100R");
    await sitting.until(`${"-".repeat(100)}`);
    expect(sitting.screen()).toContain("\\u{65e5}");
    expect(sitting.raw()).not.toMatch(/[^\x00-\x7f]/);
    sitting.press("\x03");
    expect(await sitting.ended).toBe(1);
  });

  test("another size of the terminal is another picture", async () => {
    const tty = join(folder, "tty");
    const sitting = sit(sized(`tty > '${tty}'; ${pickCommand(image)}`), { size });
    await sitting.until("Esc leave");
    const before = sitting.raw().length;
    // The kernel sends SIGWINCH to whoever is in the terminal's foreground.
    spawn("stty", ["-F", readFileSync(tty, "utf8").trim(), "rows", "10", "cols", "40"], { stdio: "inherit" });
    await sitting.until(() => sitting.raw().includes("\x1b[2J", before));
    sitting.place.size = { columns: 40, rows: 10 };
    await sitting.until("Esc leave");
    expect(sitting.screen().split("\n")[2]).toMatch(/^» /);
    expect(sitting.screen().split("\n").at(-1)).toMatch(/^Enter boot .*~/);
    sitting.press("\x03");
    expect(await sitting.ended).toBe(1);
  });

  test("a signal ends it, and the terminal is as it was", async () => {
    const [before, after, pid] = ["before-2", "after-2", "pid"].map((name) => join(folder, name));
    const inner = `stty -a > '${before}'; sh -c 'echo $$ > '${pid}'; exec ${pickCommand(image).replaceAll("'", '"')}'; stty -a > '${after}'`;
    const sitting = sit(sized(inner), { size });
    await sitting.until("An alias");
    process.kill(Number(readFileSync(pid!, "utf8")), "SIGTERM");
    await sitting.ended;
    expect(readFileSync(after!, "utf8")).toBe(readFileSync(before!, "utf8"));
  });

  test("where there is no terminal it says so", async () => {
    const child = spawn(process.execPath, [program.module("cli/hiperiso.js"), "stick", "pick", image], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (more: string) => {
      said += more;
    });
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(2);
    expect(said).toMatch(/expected +a terminal/);
  });
});
