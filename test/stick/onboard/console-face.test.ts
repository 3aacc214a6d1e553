import { expect, test } from "vitest";
import type { SessionEnded } from "../../../src/contract/session.ts";
import { afterQuestion } from "../../../src/stick/onboard/console-face.ts";
import type { BootOutcome } from "../../../src/stick/onboard/face.ts";

const recorded = (session: { readonly status: string; readonly result: string; readonly stage: string }) => ({
  directory: "/mnt/usb/hiperiso/logs/x",
  session: {
    status: session.status,
    result: session.result,
    log_dir: "/hiperiso/logs/x",
    analysis: { boot_stage_final: session.stage },
  } as unknown as SessionEnded,
  report: undefined,
});
const wordsOf = (outcome: BootOutcome) =>
  afterQuestion(outcome, "/ISOs/a.iso", 60)
    .text.map((line) => line.map(({ text }) => text).join(""))
    .join("\n");

test("after a boot: its verdict, where the session is, and what can be done next; without a key the computer is turned off", () => {
  const outcome: BootOutcome = { type: "recorded", recorded: recorded({ status: "complete", result: "success", stage: "login" }) };
  expect(wordsOf(outcome)).toMatch(/^\nSUCCESS {2}a\.iso, last stage login\n\nThe session is on the stick: \/hiperiso\/logs\/x$/);
  const { answers, standard, timeoutS } = afterQuestion(outcome, "/ISOs/a.iso", 60);
  expect(answers.map(({ value }) => value)).toEqual(["poweroff", "menu", "another", "again"]);
  expect(new Set(answers.map(({ key }) => key)).size).toBe(4);
  expect([answers[standard]?.value, timeoutS]).toEqual(["poweroff", 60]);
});

test("a failed session is no verdict on the guest, and one that could not even be made is told", () => {
  const failed = recorded({ status: "failed", result: "no_serial", stage: "unknown" });
  expect(wordsOf({ type: "failed", recorded: failed, message: "The image is gone." })).toMatch(/^\nFAILED {2}a\.iso\nThe image is gone\./);
  expect(wordsOf({ type: "failed", recorded: undefined, message: "No room." })).toMatch(/No room\.\n\nThere is no session of it/);
});
