/**
 * The script of a boot as a person writes it (YAML 1.2, core schema): the steps by which a guest is driven. `docs/testing-images.md`
 * explains each. What a step may hold besides its verb stands in `STEP_OPTIONS`; a JSON Schema is generated from here.
 */
import * as z from "zod";
import { PASSED_STAGES } from "./verdict.ts";

const TEXT_MAX = 4_000;
const text = z.string().min(1).max(TEXT_MAX);

/** Seconds. A week is the longest that a boot may take. */
export const withinSchema = z.number().positive().max(604_800).describe("Seconds until the step has failed, counted from its begin.");

/** A text that stands in a line of the console, or a regular expression of JavaScript that fits one. */
export const matcherSchema = z.union([
  text.describe("A text that stands in a line of the console."),
  z.strictObject({ text }),
  z.strictObject({ pattern: text.describe("A regular expression; named groups become variables.") }),
]);
const matchersSchema = z.union([matcherSchema, z.array(matcherSchema).min(1).max(100)]);

export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,39}$/;
export const variablesSchema = z
  .record(z.string().regex(VARIABLE_NAME), z.union([z.string().max(TEXT_MAX), z.number(), z.boolean()]))
  .describe("By name: what stands for {{name}} in the texts of the script.");

export const SCREENSHOT_NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;

/** What each verb takes, and then the options of all. */
const stepFields = {
  expect: matcherSchema.describe("Waits until this is on the console, behind what was expected before."),
  send: text.describe("Sends this to the serial console; a line feed is the Enter key."),
  key: z.union([text, z.array(text).min(1).max(100)]).describe("Presses keys of the keyboard: ctrl-alt-f2, down, ret."),
  type: text.describe("Types this on the keyboard (US layout)."),
  screenshot: z.string().regex(SCREENSHOT_NAME).describe("Keeps a picture of the screen as screen-NAME.png."),
  "wait-stage": z.enum(PASSED_STAGES).describe("Waits until the boot has come to this stage."),
  run: text.describe("Runs a command in the shell that is logged in on the serial console, and checks its exit status."),
  fail_on: matchersSchema.describe("From here on the script fails where this is seen on the console."),
  reboot: z
    .union([z.null(), text, z.strictObject({ button: z.literal("reset") })])
    .describe("Types this command (reboot unless given), or presses the reset button, and waits until the guest starts anew."),
  shutdown: z
    .union([z.null(), text, z.strictObject({ button: z.literal("power") })])
    .describe("Presses the power button, or types this command, and waits until the guest has powered itself off."),
  include: text.describe("The steps of another script, its path relative to this file."),
  within: withinSchema,
  times: z.int().min(1).max(1_000).describe("How often the keys are pressed."),
  status: z.union([z.int().min(0).max(255), z.literal("any")]).describe("The exit status that the command must have; 0 unless given."),
  output: matchersSchema.describe("What must stand in the command's output, each of them."),
  variables: variablesSchema,
} as const;

export const STEP_OPTIONS = {
  expect: ["within"],
  send: ["within"],
  key: ["times"],
  type: [],
  screenshot: [],
  "wait-stage": ["within"],
  run: ["within", "status", "output"],
  fail_on: [],
  reboot: ["within"],
  shutdown: ["within"],
  include: ["variables"],
} as const satisfies Record<string, readonly (keyof typeof stepFields)[]>;

export type Verb = keyof typeof STEP_OPTIONS;
export const VERBS = Object.keys(STEP_OPTIONS) as readonly Verb[];

const stepObjectSchema = z.strictObject(stepFields).partial();
export const stepSchema = z.union([z.enum(["reboot", "shutdown"]), stepObjectSchema]);
export type WrittenStep = z.infer<typeof stepObjectSchema>;
export const STEP_FIELDS: readonly string[] = Object.keys(stepFields);

export const STEPS_MAX = 1_000;

export const scriptSchema = z.strictObject({
  name: z.string().min(1).max(200).optional().describe("Names the script in reports; the file's name unless given."),
  variables: variablesSchema.optional(),
  within: withinSchema.optional().describe("Seconds for each step that sets no limit of its own."),
  fail_on: matchersSchema.optional().describe("The script fails where this is seen on the console, at any time."),
  ignore_fatal: z.boolean().optional().describe("True: a panic and the like do not end the boot; the script waits for them itself."),
  steps: z.array(stepSchema).min(1).max(STEPS_MAX),
});
export type WrittenScript = z.infer<typeof scriptSchema>;
export type WrittenMatcher = z.infer<typeof matcherSchema>;
