import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentProgress } from "../../src/contract/job.ts";
import { endingSchema, sessionEndedSchema } from "../../src/contract/session.ts";
import { systemClock } from "../../src/host/clock.ts";
import { identityOf } from "../../src/host/process-identity.ts";
import { readJson } from "../../src/session/finalise.ts";
import { recordProgram } from "../../src/session/record-program.ts";
import type { SessionEvent } from "../../src/session/recording.ts";

let root: string;
let person: AbortController;
let events: SessionEvent[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  await mkdir(join(root, "private"));
  person = new AbortController();
  events = [];
});
afterEach(() => rm(root, { recursive: true }));

const record = (script: string) =>
  recordProgram(
    {
      command: ["/bin/sh", "-c", script],
      typed: false,
      subject: join(root, "target"),
      logDir: join(root, "logs"),
      rules: [],
      steps: [{ number: 1, directive: "build", name: "sum-1.0" }],
    },
    {
      env: { ...process.env, TMPDIR: join(root, "private") },
      clock: systemClock,
      job: { signal: person.signal, progress: silentProgress },
      onEvent: (event) => {
        events.push(event);
        if (event.type === "serial" && Buffer.from(event.bytes).includes("stop me")) person.abort();
      },
    },
  );

async function ended() {
  const [id] = (await readdir(join(root, "logs"))).filter((name) => name !== "index.jsonl");
  const file = (name: string) => join(root, "logs", id!, name);
  expect(await readdir(join(root, "private"))).toEqual([]);
  expect(await readdir(join(root, "logs", id!))).toContain("SESSION_COMPLETE");
  return {
    file,
    session: sessionEndedSchema.parse(await readJson(file("session.json"))),
    ending: endingSchema.parse(await readJson(file("ending.json"))),
  };
}

test("a program that ends well is a success, with all it said and each step", async () => {
  const { session: told } = await record("echo ' +> pkg=sum-1.0 '; echo on stderr >&2; exit 0");
  const { file, session, ending } = await ended();
  expect(told).toEqual(session);
  expect(session).toMatchObject({ status: "complete", result: "success", kvm: "unknown", iso_basename: "target" });
  expect(ending).toMatchObject({ reason: "goal", goal: "exit status 0", qemu_exit_code: 0, firmware: null });
  expect(await readFile(file("serial.log"), "utf8")).toBe(" +> pkg=sum-1.0 \non stderr\n");
  expect(await readFile(file("command.txt"), "utf8")).toContain("/bin/sh -c");
  expect(await readJson(file("report.json"))).toMatchObject({
    build: { total: 1, steps: [{ number: 1, name: "sum-1.0" }], stopped: null },
  });
  expect(events.filter(({ type }) => type === "console")).not.toEqual([]);
  expect(events.at(-1)?.type).toBe("verdict");
});

test("one that fails is a failure, with the step and the last lines, also where it says nothing itself", async () => {
  await record("echo ' +> pkg=sum-1.0 '; echo 'cc: no room'; exit 3");
  const { file, session, ending } = await ended();
  expect(session.result).toBe("failure");
  expect(ending).toMatchObject({ reason: "program_failed", detail: "it ended with status 3", qemu_exit_code: 3 });
  expect(await readFile(file("report.txt"), "utf8")).toMatch(/^FAILURE.*failed in step 1 of 1, package sum-1\.0: /);
  expect(await readFile(file("FAILURE.txt"), "utf8")).toContain("step 1 of 1");
  expect((await readJson(file("report.json"))) as object).toMatchObject({
    build: { stopped: { last_lines: [" +> pkg=sum-1.0", "cc: no room"] } },
  });
});

test("what the program started ends with it when the person stops it", async () => {
  const children = join(root, "child");
  await writeFile(children, "");
  await record(`sh -c 'echo $$ > ${children}; echo stop me; sleep 1000' & wait`);
  const { session, ending } = await ended();
  expect(ending.reason).toBe("interrupted");
  expect(session.result).toBe("incomplete");
  expect(identityOf(Number(await readFile(children, "utf8")))).toBeUndefined();
});

test("a program that cannot be started is a failed session", async () => {
  const failing = recordProgram(
    { command: ["/nowhere/program"], typed: false, subject: join(root, "t"), logDir: join(root, "logs"), rules: [], steps: [] },
    {
      env: { ...process.env, TMPDIR: join(root, "private") },
      clock: systemClock,
      job: { signal: person.signal, progress: silentProgress },
      onEvent: () => {},
    },
  );
  expect((await failing).session.result).toBe("failure");
  const { ending } = await ended();
  expect(ending).toMatchObject({ reason: "program_failed", qemu_exit_code: 127 });
});
