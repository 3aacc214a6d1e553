/**
 * The shape of `hiperiso.json` (CONTRACT section 3). `schema/hiperiso.schema.json` is generated from it.
 * Names and limits of settings come from the table in `contract/parameters.ts`.
 */
import * as z from "zod";
import { PARAMETERS, type Parameter } from "../contract/parameters.ts";
import { expectedOf, isPlainText } from "./setting-value.ts";

/** Seconds; more would be a slip of the hand. GRUB counts in whole seconds. */
const MENU_TIMEOUT_S_MAX = 3600;

/** Folders in each other that the menu goes into. */
export const MENU_DEPTH_MAX = 8;

const says = (expected: string) => ({ error: () => `expected ${expected}` });

const NOT_PLAIN = "text that is not empty, without control characters";
const plainText = (expected: string = NOT_PLAIN) => z.string(says(expected)).refine(isPlainText, says(expected));

const FOLDER = "the path of a folder from the data partition's root: /ISOs";
const folderPath = z
  .string(says(FOLDER))
  .refine(
    (text) => isPlainText(text) && text.startsWith("/") && !text.split("/").some((part) => part === "." || part === ".."),
    says(FOLDER),
  );

/** What the menu's keyboard has, as GRUB reads it. */
const PASSWORD = "a password of ASCII letters, or what `hiperiso stick password` prints";
const passwordText = z.string(says(PASSWORD)).regex(/^[ -~]{1,1200}$/, says(PASSWORD));

const DEPTH = `a whole number from 0 to ${MENU_DEPTH_MAX}`;

/** A conf_replace pair is carried as `org=…;new=…` and joined by `;;`: a semicolon in a path would end it. */
const confReplacePath = plainText().refine((text) => !text.includes(";"), says("a path without a semicolon"));

/** The JSON form of a setting's value. */
function valueSchema(parameter: Parameter): z.ZodType {
  const expected = jsonExpectedOf(parameter);
  if (parameter.setting === "cpuFeatures") return z.union([plainText(), z.array(plainText())], says(expected));
  if (parameter.setting === "confReplace")
    return z.array(section({ org: confReplacePath, new: confReplacePath }, ["org", "new"]), says(expected));
  switch (parameter.value.type) {
    case "integer":
      return z.int(says(expected)).min(parameter.value.min, says(expected)).max(parameter.value.max, says(expected));
    case "choice":
      return z.enum(parameter.value.values as [string, ...string[]], says(expected));
    case "switch":
      return z.boolean(says(expected));
    case "text":
    case "path":
      return plainText(expected);
  }
}

function jsonExpectedOf(parameter: Parameter): string {
  if (parameter.setting === "cpuFeatures") return 'a list of processor features, ["vmx"] or "vmx,svm"';
  if (parameter.setting === "confReplace") return 'a list of { "org": path in the image, "new": path on the data partition }';
  return parameter.value.type === "switch" ? "true or false" : expectedOf(parameter);
}

/** An object of which every key may be absent, but those in `required`, and none may be unknown. */
function section<Shape extends z.ZodRawShape>(shape: Shape, required: readonly string[] = []) {
  const parts = Object.entries(shape).map(([key, schema]) => [key, required.includes(key) ? schema : (schema as z.ZodType).optional()]);
  return z.strictObject(Object.fromEntries(parts) as z.ZodRawShape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? undefined : "expected an object { … }"),
  });
}

function settingsSection(key: "control" | "override"): Record<string, z.ZodType> {
  return Object.fromEntries(
    PARAMETERS.flatMap((row) => {
      const name = row[key];
      return name === undefined ? [] : [[name, valueSchema(row).describe(row.help)] as const];
    }),
  );
}

export const overrideSchema = section(settingsSection("override"));

export const configSchema = section({
  $schema: z.string().describe("for editors"),
  control: section({
    ...settingsSection("control"),
    fallback_no_kvm: z
      .boolean(says("true or false"))
      .describe("on the stick, without KVM: true boots the image directly, or under emulation where the image allows no direct boot"),
    timeout: z
      .int(says(`a whole number of seconds from 0 to ${MENU_TIMEOUT_S_MAX}`))
      .min(0, says(`a whole number of seconds from 0 to ${MENU_TIMEOUT_S_MAX}`))
      .max(MENU_TIMEOUT_S_MAX, says(`a whole number of seconds from 0 to ${MENU_TIMEOUT_S_MAX}`))
      .describe("seconds until the menu boots its default entry"),
    image_folders: z
      .array(folderPath, says("a list of folders"))
      .describe("folders whose images the menu of a stick shows, with what is below them; /ISOs unless given"),
    image_depth: z
      .int(says(DEPTH))
      .min(0, says(DEPTH))
      .max(MENU_DEPTH_MAX, says(DEPTH))
      .describe(`how many folders in each other the menu goes into; ${MENU_DEPTH_MAX} unless given`),
    default_image: plainText().describe("path or glob of the image that the menu boots by itself; the first one unless given"),
    hidden_images: z.array(plainText(), says("a list of globs")).describe("images that the menu does not show"),
    menu_serial: z
      .boolean(says("true or false"))
      .describe("the menu on the first serial port by GRUB's own driver: for firmware that does not put its console there itself"),
    menu_password: passwordText.describe("asked for before anything is started: as text, or as `hiperiso stick password` prints it"),
    image_passwords: z
      .array(section({ iso: plainText(), password: passwordText }, ["iso", "password"]), says("a list of { iso, password }"))
      .describe("asked for before an image is started; iso is a path or a glob, and the first that matches holds"),
  }).describe("defaults and menu behaviour"),
  theme: section({
    file: plainText().describe("theme.txt on the data partition"),
    gfxmode: plainText().describe("as GRUB's gfxmode: 1024x768"),
    gfxpayload: plainText().describe("as GRUB's gfxpayload: keep, text"),
  }).describe("looks of the boot menu"),
  menu_alias: z
    .array(section({ iso: plainText(), alias: plainText() }, ["iso", "alias"]), says("a list of { iso, alias }"))
    .describe("names shown instead of file names; iso is a path or a glob"),
  menu_tip: z
    .array(section({ iso: plainText(), tip: plainText() }, ["iso", "tip"]), says("a list of { iso, tip }"))
    .describe("a line of help for an entry; iso is a path or a glob"),
  iso_overrides: z
    .record(plainText(), overrideSchema, says("an object of globs and their settings"))
    .describe("settings by image: the first glob that matches the path (or, without a slash, the file name) wins"),
  choices: z
    .array(
      section({ iso: plainText(), entries: z.array(section({ name: plainText(), settings: overrideSchema }, ["name", "settings"])) }, [
        "iso",
        "entries",
      ]),
      says("a list of { iso, entries }"),
    )
    .describe(
      "more entries of an image's menu, each with settings of its own beside those of iso_overrides; the first glob that matches holds",
    ),
});
