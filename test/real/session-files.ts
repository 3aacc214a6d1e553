/** Every file of a session's directory held to what the contract says of it; a file that nobody knows is a fault. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type * as z from "zod";
import { reportSchema } from "../../src/contract/report.ts";
import {
  endingSchema,
  guestProcessSchema,
  ownerSchema,
  SESSION_FILES,
  scriptFileSchema,
  sessionEndedSchema,
  statusSchema,
  timingSchema,
} from "../../src/contract/session.ts";
import { traceFactsSchema } from "../../src/contract/trace.ts";

type Check = (bytes: Buffer) => void;

const json =
  (schema: z.ZodType): Check =>
  (bytes) =>
    void schema.parse(JSON.parse(bytes.toString("utf8")));
const anyJson: Check = (bytes) => void JSON.parse(bytes.toString("utf8"));
const anything: Check = () => {};
const notEmpty: Check = (bytes) => expect(bytes.length).toBeGreaterThan(0);
const everyLine =
  (pattern: RegExp): Check =>
  (bytes) => {
    const text = bytes.toString("utf8");
    expect(text).toMatch(/\n$/);
    for (const line of text.slice(0, -1).split("\n")) expect(line).toMatch(pattern);
  };
const png: Check = (bytes) => expect(bytes.subarray(0, 8).toString("hex")).toBe("89504e470d0a1a0a");
/** Whole: its header, and so many bytes as whole records have. */
const simpletrace: Check = (bytes) => {
  expect(bytes.readBigUInt64LE(0)).toBe(0xffff_ffff_ffff_ffffn);
  expect(bytes.readBigUInt64LE(8)).toBe(0xf2b1_77cb_0aa4_29b4n);
  expect(bytes.readBigUInt64LE(16)).toBe(4n);
};
/** Both numbers only grow. */
const arrivals: Check = (bytes) => {
  let before: readonly number[] = [0, 0];
  for (const line of bytes.toString("utf8").split("\n").slice(0, -1)) {
    expect(line).toMatch(/^\d+\t\d+$/);
    const now = line.split("\t").map(Number);
    expect(now.every((value, index) => value >= before[index]!)).toBe(true);
    before = now;
  }
};
const keysAndValues = everyLine(/^[A-Za-z_][A-Za-z0-9_]*=/);

const CHECKS: ReadonlyMap<string, Check> = new Map([
  [SESSION_FILES.session, json(sessionEndedSchema)],
  [SESSION_FILES.status, json(statusSchema)],
  [SESSION_FILES.owner, json(ownerSchema)],
  [SESSION_FILES.qemuProcess, json(guestProcessSchema)],
  [SESSION_FILES.timingJson, json(timingSchema)],
  [SESSION_FILES.report, json(reportSchema)],
  [SESSION_FILES.ending, json(endingSchema)],
  [SESSION_FILES.script, json(scriptFileSchema)],
  [SESSION_FILES.traceFacts, json(traceFactsSchema)],
  [SESSION_FILES.plan, anyJson],
  [SESSION_FILES.display, anyJson],
  [SESSION_FILES.env, keysAndValues],
  [SESSION_FILES.analysisMeta, keysAndValues],
  [SESSION_FILES.timing, everyLine(/^[a-z_]+\t\d+\.\d{3}\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/)],
  [SESSION_FILES.serial, anything],
  [SESSION_FILES.serialTimes, arrivals],
  [SESSION_FILES.imageMap, notEmpty],
  [SESSION_FILES.trace, simpletrace],
  [SESSION_FILES.traceEvents, notEmpty],
  [SESSION_FILES.traceRest, anything],
  [SESSION_FILES.qemuCommandLine, notEmpty],
  [SESSION_FILES.qemuErrors, anything],
  [SESSION_FILES.firmwareLog, anything],
  [SESSION_FILES.screenText, notEmpty],
  [SESSION_FILES.networkCapture, notEmpty],
  [SESSION_FILES.reportText, notEmpty],
  [SESSION_FILES.reportPage, notEmpty],
  [SESSION_FILES.reportLog, anything],
  [SESSION_FILES.failure, notEmpty],
  [SESSION_FILES.heartbeat, anything],
  [SESSION_FILES.complete, anything],
]);

/** `directory`: of a session that is closed. Gives the names of its files. */
export function expectSessionFiles(directory: string): readonly string[] {
  const names = readdirSync(directory);
  for (const name of names) {
    const path = join(directory, name);
    if (name === SESSION_FILES.hardware) {
      expect(statSync(path).isDirectory()).toBe(true);
      for (const fact of readdirSync(path)) expect(fact).toMatch(/^(host|qemu|guest)_[a-z]+\.txt$/);
      continue;
    }
    const check = name.startsWith(SESSION_FILES.screenshotPrefix) && name.endsWith(".png") ? png : CHECKS.get(name);
    if (check === undefined) throw new Error(`${path}: no file of a session`);
    try {
      check(readFileSync(path));
    } catch (cause) {
      throw new Error(`${path} is not what the contract says`, { cause });
    }
  }
  const { session, status, env, complete, timing, timingJson, ending, owner } = SESSION_FILES;
  expect(names).toEqual(expect.arrayContaining([session, status, env, complete, timing, timingJson, ending, owner]));
  return names;
}
