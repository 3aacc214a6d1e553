/** The main loop against folders in the partitions' places, with a face that answers by itself. No QEMU runs: the images are not there. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Job, silentProgress } from "../../../src/contract/job.ts";
import { indexLineSchema, sessionEndedSchema, statusSchema, timingSchema } from "../../../src/contract/session.ts";
import { systemClock } from "../../../src/host/clock.ts";
import { encodeManifest } from "../../../src/stick/manifest.ts";
import { stickMenu } from "../../../src/stick/menu-maker.ts";
import { readBootLine } from "../../../src/stick/onboard/boot-line.ts";
import type { AfterChoice, BootOutcome, OnboardFace } from "../../../src/stick/onboard/face.ts";
import { runOnboard } from "../../../src/stick/onboard/main-loop.ts";
import type { PickerChoice } from "../../../src/stick/picker/facts.ts";
import type { PickWish } from "../../../src/stick/picker/pick.ts";

let root: string;
let said: string[];
let asked: PickWish[];
let outcomes: BootOutcome[];
let writable: number;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hiperiso-onboard-"));
  for (const folder of ["usb/ISOs", "usb/hiperiso/logs", "efi/EFI/BOOT", "run", "tmp"]) mkdirSync(join(root, folder), { recursive: true });
  said = [];
  asked = [];
  outcomes = [];
  writable = 0;
});
afterEach(() => rmSync(root, { recursive: true }));

const put = (path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
};

interface Answers {
  readonly picks?: readonly PickerChoice[];
  readonly afters?: readonly AfterChoice[];
  readonly nowMs?: number;
  readonly job?: Job;
}

function start(line: string, { picks = [], afters = [], nowMs, job }: Answers = {}) {
  const places = { data: join(root, "usb"), esp: join(root, "efi"), run: join(root, "run") };
  const face: OnboardFace = {
    say: (text) => void said.push(text),
    pick: async (wish) => {
      asked.push(wish);
      return picks[asked.length - 1] ?? { type: "leave", way: "poweroff" };
    },
    show: () => ({ onEvent: () => {}, stopped: new AbortController().signal, [Symbol.asyncDispose]: async () => {} }),
    after: async (outcome) => {
      outcomes.push(outcome);
      return afters[outcomes.length - 1] ?? "menu";
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return runOnboard({
    places,
    line: readBootLine(line),
    serial: false,
    makeMenu: stickMenu,
    esp: {
      path: places.esp,
      writable: async (use) => {
        writable += 1;
        return await use();
      },
    },
    face,
    env: { PATH: "/nowhere", HOME: join(root, "home"), TMPDIR: join(root, "tmp"), XDG_CACHE_HOME: join(root, "cache") },
    clock:
      nowMs === undefined
        ? systemClock
        : { ...systemClock, nowMs: () => nowMs, utc: () => new Date(nowMs).toISOString().replace(/\.\d+Z/, "Z") },
    job: job ?? { signal: new AbortController().signal, progress: silentProgress },
  });
}

const logs = () => readdirSync(join(root, "usb/hiperiso/logs")).filter((name) => name !== "index.jsonl");
const json = (path: string) => JSON.parse(readFileSync(join(root, "usb/hiperiso/logs", path), "utf8")) as unknown;

test("an image that is gone is a failed session with the stage iso_not_found, its paths those of the stick, its times from the kernel's start on", async () => {
  put(
    "run/timing.dat",
    "kernel\t0.00\t2026-11-21T10:00:00Z\ninit\t1.25\t2026-11-21T10:00:01Z\nprogram_start\t2.50\t2026-11-21T10:00:02Z\n",
  );
  expect(await start('"hiperiso_iso=/ISOs/not there.iso"')).toBe("reboot");
  const [id] = logs();
  expect(id).toMatch(/^not_there\.iso_\d{8}T\d{6}Z$/);
  const session = sessionEndedSchema.parse(json(`${id}/session.json`));
  expect(session).toMatchObject({
    status: "failed",
    result: "no_serial",
    iso_path: "/ISOs/not there.iso",
    iso_basename: "not there.iso",
    log_dir: `/hiperiso/logs/${id}`,
    kvm: "unknown",
    hw_inventory: { available: true, has_timing: true },
  });
  expect(session.host.cpu_logical_cores).toBeGreaterThan(0);
  expect(statusSchema.parse(json(`${id}/status.json`))).toMatchObject({ status: "failed", stage: "iso_not_found" });
  const { phases } = timingSchema.parse(json(`${id}/timing.json`));
  expect(phases.map(({ phase }) => phase).slice(0, 5)).toEqual(["kernel", "init", "program_start", "program", "started"]);
  expect(phases[1]).toMatchObject({ uptime_s: 1.25, since_previous_ms: 1250 });
  const [line] = readFileSync(join(root, "usb/hiperiso/logs/index.jsonl"), "utf8").trim().split("\n");
  expect(indexLineSchema.parse(JSON.parse(line!))).toMatchObject({ session_id: id, status: "failed" });
  const folder = join(root, "usb/hiperiso/logs", id!);
  expect(readFileSync(join(folder, "FAILURE.txt"), "utf8")).toMatch(/not there\.iso.*no file of that name/);
  expect(readdirSync(folder)).toContain("SESSION_COMPLETE");
  expect(readFileSync(join(folder, "env.txt"), "utf8")).toContain("hiperiso_iso=/ISOs/not there.iso\n");
  expect(readdirSync(join(root, "tmp"))).toEqual([]);
  expect(outcomes).toMatchObject([{ type: "failed", recorded: { session: { session_id: id } } }]);
});

test("one that cannot be booted here is a failed session with the stage fatal_error", async () => {
  put("usb/ISOs/a.iso", "no image");
  await start("hiperiso_iso=/ISOs/a.iso");
  const [id] = logs();
  expect(statusSchema.parse(json(`${id}/status.json`))).toMatchObject({ status: "failed", stage: "fatal_error" });
});

test("without an image in the line the person is asked, also after a boot; the way out is what is done", async () => {
  const pick = { type: "boot", path: "/ISOs/gone.iso", settings: { fallback: true } } as const;
  expect(await start("hiperiso_guest_ram=512", { picks: [pick, pick], afters: ["another", "another"] })).toBe("poweroff");
  expect(asked).toHaveLength(3);
  expect(asked[0]).toMatchObject({ facts: { said: { guestRam: 512 }, sessions: [] } });
  expect(asked[2]).toMatchObject({ marked: "/ISOs/gone.iso" });
  expect(asked[2]?.facts.sessions).toHaveLength(2);
  const uptimes = logs().map((id) => timingSchema.parse(json(`${id}/timing.json`)).phases[0]?.phase);
  expect(uptimes.sort()).toEqual(["program", "started"]); // the start of the computer is told by its first boot
});

test.each([
  ["menu", "reboot", 0],
  ["poweroff", "poweroff", 0],
  ["next", "poweroff", 1],
] as const)("hiperiso_after=%s asks nobody", async (after, next, picks) => {
  expect(await start(`hiperiso_iso=/x.iso hiperiso_after=${after}`)).toBe(next);
  expect(outcomes).toEqual([]);
  expect(asked).toHaveLength(picks);
});

test("the same again is the same image with the same words", async () => {
  await start("hiperiso_iso=/x.iso hiperiso_guest_cpus=1", { afters: ["again", "poweroff"] });
  const all = logs().map((id) => sessionEndedSchema.parse(json(`${id}/session.json`)));
  expect(all.map(({ iso_path, guest_cpus }) => [iso_path, guest_cpus])).toEqual([
    ["/x.iso", 1],
    ["/x.iso", 1],
  ]);
});

test("the menu is written anew where images or configuration have changed, and the partition is not touched where they have not", async () => {
  put("usb/ISOs/new.iso", "x");
  await start("hiperiso_iso=/x.iso hiperiso_after=menu");
  expect(said).toEqual([expect.stringContaining("written anew")]);
  const menuPart = () => readFileSync(join(root, "efi/EFI/hiperiso/grub/menu.cfg"), "utf8");
  const menu = menuPart();
  expect(menu).toContain("new.iso");
  await start("hiperiso_iso=/x.iso hiperiso_after=menu");
  expect(writable).toBe(1);
  put("usb/hiperiso/hiperiso.json", '{ "control": { "timeout": 33 } }');
  await start("hiperiso_iso=/x.iso hiperiso_after=menu");
  expect(writable).toBe(2);
  expect(menuPart()).toMatch(/timeout.*33/);
  expect(readdirSync(join(root, "efi/EFI/BOOT"))).toEqual(["grub.cfg"]);
});

test("a configuration that is broken is told by line and column, in the session too, and the rest of it holds", async () => {
  put("usb/hiperiso/hiperiso.json", '{ "control": { "default_cpus": 1, "colour": "red", }, // a comment\n "iso_overrides": [] }');
  await start("hiperiso_iso=/x.iso hiperiso_after=menu");
  const session = sessionEndedSchema.parse(json(`${logs()[0]}/session.json`));
  expect(session.guest_cpus).toBe(1);
  expect(String(session["warnings"])).toMatch(/hiperiso\.json:1:\d+: .*colour/);
  expect(said.join("\n")).toMatch(/hiperiso\.json:2:/);
});

test("a session that a cut of power left is closed at the next start", async () => {
  const id = "old.iso_20261120T101112Z";
  const folder = `usb/hiperiso/logs/${id}`;
  put(
    `${folder}/owner.json`,
    JSON.stringify({ pid: 7, pid_start_ticks: "1", boot_id: "11111111-1111-4111-8111-111111111111", scratch_dir: "/tmp/gone" }),
  );
  put(
    `${folder}/session.json`,
    JSON.stringify({
      session_id: id,
      status: "started",
      iso_path: "/ISOs/old.iso",
      iso_basename: "old.iso",
      log_dir: `/hiperiso/logs/${id}`,
      start_time_utc: "2026-11-20T10:11:12Z",
      kvm: "unknown",
      trace_level: "none",
      guest_ram_mb: 1,
      guest_cpus: 1,
    }),
  );
  put(`${folder}/serial.log`, "[    0.000000] Linux version 6.1.0\n");
  await start("");
  expect(json(`${id}/session.json`)).toMatchObject({ status: "failed", analysis: { boot_stage_final: "kernel" } });
  expect(said.join("\n")).toContain(id);
});

test("a clock that is twenty years behind the stick's writing is told, and the session has its times by it", async () => {
  const span = { guid: "x", offset_bytes: 0, size_bytes: 0 };
  const manifest = {
    hiperiso_version: "1",
    written_utc: "2026-11-21T00:00:00Z",
    disk_guid: "x",
    data: span,
    esp: { ...span, serial: "00000000" },
    files: [],
  };
  put("efi/ventoy/ventoy.cpio", encodeManifest({ version: 1, ...manifest }));
  await start("hiperiso_iso=/x.iso hiperiso_after=menu", { nowMs: Date.UTC(2006, 0, 2, 3, 4, 5) });
  expect(logs()).toEqual(["x.iso_20060102T030405Z"]);
  const session = sessionEndedSchema.parse(json(`${logs()[0]}/session.json`));
  expect(String(session["warnings"])).toMatch(/clock is wrong.*2006-01-02.*2026-11-21/);
  await start("hiperiso_iso=/x.iso hiperiso_after=menu", { nowMs: Date.UTC(2006, 0, 2, 3, 4, 5) });
  expect(logs().sort()).toEqual(["x.iso_20060102T030405Z", "x.iso_20060102T030405Z-2"]); // a clock that begins anew at each start
});

test("Ctrl-Alt-Del ends it in order", async () => {
  const stop = new AbortController();
  stop.abort();
  expect(await start("", { job: { signal: stop.signal, progress: silentProgress } })).toBe("reboot");
});
