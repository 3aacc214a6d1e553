import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Ending, endingSchema, type ScriptFile, SESSION_FILES, scriptFileSchema } from "../contract/session.ts";
import { withoutMessageTimes } from "../formats/qemu-messages.ts";
import { STEP_DIRECTIVES } from "./build-marks.ts";
import type { ExpectedStep } from "./build-notes.ts";
import { type ArrivalTimes, decodeSerialTimes } from "./serial-times.ts";

/** What a session directory holds for the analyser, read whole but for `serial.log`. A missing file is an empty one. */
export interface SessionEvidence {
  readonly ending: Ending | undefined;
  readonly times: ArrivalTimes;
  /** The guest's text screen when the boot ended. */
  readonly screen: string;
  /** SeaBIOS' debug port. */
  readonly firmwareLog: string;
  readonly qemuErrors: string;
  readonly hasTrace: boolean;
  /** The steps of the build that was to run in the guest; empty for any other boot. */
  readonly steps: readonly ExpectedStep[];
  /** What the script did that drove the guest. */
  readonly script?: ScriptFile | undefined;
}

/** A console log without anything beside it. */
export const NO_EVIDENCE: SessionEvidence = {
  ending: undefined,
  times: { offsets: [], times: [] },
  screen: "",
  firmwareLog: "",
  qemuErrors: "",
  hasTrace: false,
  steps: [],
};

/** Of each text file no more than this is read: they are small unless something is wrong. */
const TEXT_BYTES_MAX = 4 * 1024 * 1024;

export async function readSessionEvidence(directory: string): Promise<SessionEvidence> {
  const text = (name: string) => readStart(join(directory, name));
  const [ending, times, screen, firmwareLog, qemuErrors, hasTrace, steps, script] = await Promise.all([
    readEnding(join(directory, SESSION_FILES.ending)),
    readFile(join(directory, SESSION_FILES.serialTimes), "latin1").catch(onlyMissing("")),
    text(SESSION_FILES.screenText),
    text(SESSION_FILES.firmwareLog),
    text(SESSION_FILES.qemuErrors),
    stat(join(directory, SESSION_FILES.trace)).then(({ size }) => size > 0, onlyMissing(false)),
    readSteps(join(directory, SESSION_FILES.buildSteps)),
    readScriptFile(join(directory, SESSION_FILES.script)),
  ]);
  return {
    ending,
    times: decodeSerialTimes(times),
    screen,
    firmwareLog,
    qemuErrors: withoutMessageTimes(qemuErrors),
    hasTrace,
    steps,
    script,
  };
}

async function readStart(path: string): Promise<string> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "r");
  } catch (error) {
    return onlyMissing("")(error);
  }
  try {
    const buffer = Buffer.alloc(Math.min(TEXT_BYTES_MAX, (await file.stat()).size));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** A damaged one counts as none: a session that died with its recorder is judged by its log. */
async function readEnding(path: string): Promise<Ending | undefined> {
  const text = await readFile(path, "utf8").catch(onlyMissing(""));
  if (text === "") return undefined;
  try {
    return endingSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

const stepsSchema = z.array(
  z.object({
    number: z.int().min(1),
    directive: z.enum(STEP_DIRECTIVES),
    name: z.string(),
    pass: z.int().min(1).optional(),
    weight: z.number().min(0).optional(),
  }),
);

/** A damaged one counts as none: the console tells the steps too, but for their numbers. */
async function readSteps(path: string): Promise<readonly ExpectedStep[]> {
  const text = await readFile(path, "utf8").catch(onlyMissing(""));
  try {
    return stepsSchema.safeParse(JSON.parse(text)).data ?? [];
  } catch {
    return [];
  }
}

/** A damaged one counts as none. */
async function readScriptFile(path: string): Promise<ScriptFile | undefined> {
  const text = await readFile(path, "utf8").catch(onlyMissing(""));
  try {
    return scriptFileSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function onlyMissing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return instead;
    throw new HiperisoError({ what: "read a file of the session", found: reasonOf(error), cause: error });
  };
}
