/**
 * Tests of images: the file that a person writes (a matrix of boots), and the results that programs read. `docs/testing-images.md`
 * explains both; JSON Schemas are generated from here.
 */
import * as z from "zod";
import { flagOf, PARAMETERS, type Parameter } from "./parameters.ts";
import { scriptSchema, variablesSchema } from "./script.ts";
import { BOOT_RESULTS, BOOT_STAGES, FAILURE_DOMAINS, FINDING_KINDS } from "./verdict.ts";

/** What a key of a test says to `hiperiso boot`. */
export interface TestKey {
  readonly key: string;
  /** `--as`. */
  readonly flag: string;
  readonly takes: "text" | "path" | "disk" | "number" | "switch";
  /** Of a setting: its row, with the limits of its values. */
  readonly parameter?: Parameter;
  /** The flag may be given several times: a list inside the list of values is given together. */
  readonly several?: true;
}

const OWN_KEYS: readonly TestKey[] = [
  { key: "as", flag: "--as", takes: "text" },
  { key: "accel", flag: "--accel", takes: "text" },
  { key: "network", flag: "--network", takes: "text" },
  { key: "machine", flag: "--machine", takes: "text" },
  { key: "kernel", flag: "--kernel", takes: "path" },
  { key: "initrd", flag: "--initrd", takes: "path", several: true },
  { key: "entry", flag: "--entry", takes: "text" },
  { key: "append", flag: "--append", takes: "text" },
  { key: "disk", flag: "--disk", takes: "disk", several: true },
  { key: "share", flag: "--share", takes: "path", several: true },
  { key: "tpm_state", flag: "--tpm-state", takes: "path" },
  { key: "rules", flag: "--rules", takes: "path" },
  { key: "config", flag: "--config", takes: "path" },
  { key: "until", flag: "--until", takes: "text" },
  { key: "time_limit", flag: "--time-limit", takes: "number" },
  { key: "hang_limit", flag: "--hang-limit", takes: "number" },
  { key: "qemu_arg", flag: "--qemu-arg", takes: "text", several: true },
];

/** The settings by the names of CONTRACT section 3, and the flags of `boot` that are no settings. */
export const TEST_KEYS: readonly TestKey[] = [
  ...PARAMETERS.flatMap((parameter): TestKey[] => {
    const { override: key, value } = parameter;
    if (key === undefined || key === "log_dir") return [];
    const takes = value.type === "switch" ? "switch" : value.type === "integer" ? "number" : value.type === "path" ? "path" : "text";
    return [{ key, flag: flagOf(parameter), takes, parameter }];
  }),
  ...OWN_KEYS,
];

const TEXT_MAX = 2_000;
export const VALUES_MAX = 100;
const scalar = z.union([z.string().max(TEXT_MAX), z.number(), z.boolean(), z.null()]);
const several = z.array(z.string().max(TEXT_MAX)).max(VALUES_MAX);
export const testValueSchema = z.union([
  scalar,
  z
    .array(z.union([scalar, several]))
    .min(1)
    .max(VALUES_MAX),
]);

const imageSchema = z.string().min(1).max(TEXT_MAX);
const oneScriptSchema = z.union([z.string().min(1).max(TEXT_MAX), scriptSchema, z.null()]);

/** What a boot must come to for its test to pass. */
export const expectationSchema = z.strictObject({
  result: z.enum(BOOT_RESULTS).optional().describe("success unless given."),
  stage: z.enum(BOOT_STAGES).optional().describe("How far the boot came in the end."),
  finding: z.enum(FINDING_KINDS).optional().describe("A kind of finding that the report must hold."),
});

const testFields = {
  name: z.string().min(1).max(200),
  image: z.union([
    imageSchema,
    z.null(),
    z
      .array(z.union([imageSchema, z.null()]))
      .min(1)
      .max(VALUES_MAX),
  ]),
  script: z.union([oneScriptSchema, z.array(oneScriptSchema).min(1).max(VALUES_MAX)]),
  variables: variablesSchema,
  expect: expectationSchema,
  exclude: z
    .array(z.record(z.string(), scalar))
    .max(1_000)
    .describe("Combinations that are left out: those of which all keys have these values."),
  ...Object.fromEntries(TEST_KEYS.map(({ key, flag }) => [key, testValueSchema.describe(`${flag}: a value, or a list of values.`)])),
};
export const testSchema = z.strictObject(testFields).partial();

/** A test file. What stands beside `tests` holds for each of them; without `tests` it is the one test. */
export const suiteSchema = z.strictObject({ ...testFields, tests: z.array(testSchema).min(1).max(1_000) }).partial();

export const SUITE_FIELDS: readonly string[] = Object.keys(suiteSchema.shape);
export const TEST_FIELDS: readonly string[] = Object.keys(testSchema.shape);
/** Combinations of one file. More would take days, and were hardly meant. */
export const JOBS_MAX = 10_000;

const text = z.string();
const count = z.int().min(0);

/** One boot of a job. */
export const suiteRunSchema = z.looseObject({
  /** `error`: hiperiso or a tool it needs failed, so that nothing is known of the image. */
  status: z.enum(["passed", "failed", "error"]),
  /** Why it did not pass; empty where it did. Text from the guest in it is not escaped. */
  why: text,
  /** The session's directory; null where none was made. */
  session: text.nullable(),
  result: z.enum(BOOT_RESULTS).nullable(),
  stage: z.enum(BOOT_STAGES).nullable(),
  domain: z.enum(FAILURE_DOMAINS).nullable(),
  /** From the job's begin to its end, on the computer that ran it. */
  duration_ms: count,
});

export const suiteResultSchema = z.looseObject({
  name: text,
  started_utc: text,
  duration_ms: count,
  passed: count,
  failed: count,
  errors: count,
  not_run: count,
  /** Of the passed those that needed more than one boot. */
  flaky: count,
  jobs: z.array(
    z.looseObject({
      id: text,
      test: text,
      image: text.nullable(),
      /** What tells this job from the others of its test. */
      settings: z.record(text, text),
      /** The words of `hiperiso boot` behind the image. */
      words: z.array(text),
      script: text.nullable(),
      status: z.enum(["passed", "failed", "error", "not_run"]),
      flaky: z.boolean(),
      runs: z.array(suiteRunSchema),
    }),
  ),
});

export type WrittenTest = z.infer<typeof testSchema>;
export type Expectation = z.infer<typeof expectationSchema>;
export type SuiteRun = z.infer<typeof suiteRunSchema>;
export type SuiteResult = z.infer<typeof suiteResultSchema>;
