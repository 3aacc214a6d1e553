import { Command } from "@commander-js/extra-typings";
import { describe, expect, test } from "vitest";
import { addSettingFlags, refuseUnbuiltFlags, settingsOf } from "../../src/cli/boot-flags.ts";
import { resolveSettings, type SettingValues } from "../../src/config/settings.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { flagOf, PARAMETERS, type Parameter } from "../../src/contract/parameters.ts";

const FLAGS = PARAMETERS.filter(({ setting }) => setting !== "iso");

function command() {
  const boot = new Command("boot").exitOverride().configureOutput({ writeErr: () => {} });
  addSettingFlags(boot);
  return boot;
}

/** What this line says of the settings. */
function said(...line: string[]): SettingValues {
  return settingsOf(command().parse(line, { from: "user" }).opts());
}

function refusal(does: () => unknown): HiperisoError {
  try {
    does();
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

/** A value that the parameter takes, as text and as a setting. */
function sample({ value }: Parameter): readonly [text: string, setting: unknown] {
  if (value.type === "integer") return [String(value.min + 1), value.min + 1];
  if (value.type === "choice") return [value.values.at(-1)!, value.values.at(-1)!];
  return value.type === "switch" ? ["", true] : ["/a b,c=d", "/a b,c=d"];
}

describe("every setting has its flag", () => {
  test.each(FLAGS.map((parameter) => [flagOf(parameter), parameter] as const))("%s", (flag, parameter) => {
    const [text, setting] = sample(parameter);
    const words = parameter.value.type === "switch" ? [flag] : [flag, text];
    expect(said(...words)).toEqual({ [parameter.setting]: setting });
    if (parameter.value.type !== "switch") expect(said(`${flag}=${text}`)).toEqual({ [parameter.setting]: setting });
    if (parameter.alias !== undefined) expect(said(`--${parameter.alias}`, text)).toEqual({ [parameter.setting]: setting });
  });

  test("the image is no flag", () => {
    expect(() => said("--iso", "x")).toThrow(/unknown option/);
  });

  test("help names each once, and not the short forms as rows of their own", () => {
    const help = command().helpInformation();
    for (const parameter of FLAGS) expect(help.match(new RegExp(`^ +${flagOf(parameter)}\\b`, "gm")), flagOf(parameter)).toHaveLength(1);
    expect(help).toMatch(/--guest-ram <n>.*default 2048.*--ram/s);
    expect(help).not.toMatch(/^ +--ram\b/m);
  });

  test("what is not said is absent", () => {
    expect(said()).toEqual({});
  });
});

describe("values", () => {
  test("the long and the short name agree, or are an error that names both", () => {
    expect(said("--ram", "512", "--guest-ram", "512")).toEqual({ guestRam: 512 });
    expect(refusal(() => said("--ram", "512", "--guest-ram", "1024"))).toMatchObject({
      kind: "usage",
      where: "--guest-ram",
      found: "1024 and 512",
      hint: expect.stringContaining("--ram"),
    });
    expect(refusal(() => said("--cpus", "1", "--guest-cpus", "2")).kind).toBe("usage");
  });

  test.each([
    ["--guest-ram", "lots"],
    ["--guest-ram", "15"],
    ["--ram", "1e3"],
    ["--cpus", "0"],
    ["--cpus", "256"],
    ["--vga", "cirrus"],
    ["--trace-level", "STANDARD"],
    ["--firmware", "coreboot"],
    ["--log-dir", "a\nb"],
    ["--log-dir", ""],
  ])("%s %j is refused with what is expected", (flag, value) => {
    expect(refusal(() => said(flag, value))).toMatchObject({
      kind: "usage",
      expected: expect.stringMatching(/\w/),
      found: expect.stringMatching(/\w/),
    });
  });
});

describe("what is not built yet", () => {
  const settle = (values: SettingValues) => resolveSettings({ flags: values, overrides: {}, control: {} }).settings;
  const unbuilt: readonly (readonly string[])[] = [
    ["--auto-install", "/x"],
    ["--persistence", "/x"],
    ["--dud", "/x"],
    ["--injection", "/x"],
    ["--conf-replace", "org=/a;new=/b"],
  ];
  test.each(unbuilt)("%s %s stops, and says that it is not built", (...line) => {
    const values = said(...line);
    const error = refusal(() => refuseUnbuiltFlags(values, settle(values)));
    expect(error).toMatchObject({ kind: "usage", found: expect.stringContaining("not built yet") });
    expect(error.what).toContain(line[0]);
  });

  test.each([
    [[]],
    [["--trace-level", "full"]],
    [["--display", "none", "--boot-mode", "normal", "--ram", "64", "--vga", "none", "--firmware", "bios"]],
  ])("%j does not", (line) => {
    const values = said(...line);
    expect(() => refuseUnbuiltFlags(values, settle(values))).not.toThrow();
  });
});
