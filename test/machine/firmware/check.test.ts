import { describe, expect, test } from "vitest";
import { checkDescriptor } from "../../../src/machine/firmware/check.ts";
import { DEBIAN_FILES, descriptorText, entryOf, type Lying, type MadeDescriptor, stockOf } from "./stocks.ts";

const SECURE = ["acpi-s3", "requires-smm", "secure-boot"];
const FILES: Readonly<Record<string, Lying>> = {
  ...DEBIAN_FILES,
  "/gone": "missing",
  "/locked": "unreadable",
  "/text": "text",
  "/arm": "arm4m",
  "/both": "combined",
  "/code.qcow2": { kind: "plain4m", format: "qcow2" },
};
const [CODE, SECBOOT, VARS, MS_VARS] = ["CODE_4M.fd", "CODE_4M.secboot.fd", "VARS_4M.fd", "VARS_4M.ms.fd"].map(
  (name) => `/usr/share/OVMF/OVMF_${name}`,
) as [string, string, string, string];

const found = (made: MadeDescriptor) =>
  checkDescriptor(entryOf("/etc/qemu/firmware/60-x.json", descriptorText(made)), stockOf(FILES)).map(
    ({ id, severity }) => `${severity}: ${id}`,
  );

describe("a sound descriptor has no problems", () => {
  test.each<[string, MadeDescriptor]>([
    ["code without SMM", { code: CODE, variables: VARS, machines: ["pc-q35-*", "pc-i440fx-*"] }],
    ["code with SMM, no keys", { code: SECBOOT, variables: VARS, features: SECURE }],
    [
      "enrolled keys, and code by a link",
      { code: "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", variables: MS_VARS, features: [...SECURE, "enrolled-keys"] },
    ],
    ["a 2 MiB build", { code: "/usr/share/OVMF/OVMF_CODE.fd", variables: "/usr/share/OVMF/OVMF_VARS.fd" }],
    ["both in one file", { code: "/both", mode: "combined" }],
    ["no variables kept", { code: CODE, mode: "stateless" }],
    ["another architecture", { code: "/arm", variables: VARS, architecture: "aarch64", machines: ["virt-*"] }],
  ])("%s", (_, made) => {
    expect(found(made)).toEqual([]);
  });
});

describe("what is wrong has a name", () => {
  test.each<[string, MadeDescriptor, readonly string[]]>([
    ["code that does not exist", { code: "/gone", variables: VARS }, ["error: file-missing"]],
    ["both do not exist", { code: "/gone", variables: "/gone" }, ["error: file-missing", "error: file-missing"]],
    ["a file nobody looked at", { code: "/never/seen", variables: VARS }, ["error: file-missing"]],
    ["a file that cannot be read", { code: CODE, variables: "/locked" }, ["error: file-unreadable"]],
    ["a relative path", { code: "OVMF.fd", variables: VARS }, ["error: path-relative"]],
    ["no template", { code: CODE }, ["error: no-template"]],
    ["halves swapped", { code: VARS, variables: CODE }, ["error: no-code", "error: no-variables"]],
    ["a text for code", { code: "/text", variables: VARS }, ["error: no-code"]],
    ["one half is both", { code: "/both", variables: VARS }, ["error: no-code"]],
    ["combined without variables", { code: CODE, mode: "combined" }, ["error: no-code"]],
    ["halves of two builds", { code: CODE, variables: "/usr/share/OVMF/OVMF_VARS.fd" }, ["error: sizes-differ"]],
    ["a format that it has not", { code: "/code.qcow2", variables: VARS }, ["error: format-differs"]],
    ["code for another architecture", { code: "/arm", variables: VARS }, ["error: architecture-differs"]],
    ["code that needs SMM, unsaid", { code: SECBOOT, variables: VARS }, ["error: smm-unsaid"]],
    [
      "SMM on machines without",
      { code: SECBOOT, variables: VARS, features: SECURE, machines: ["pc-q35-*", "pc-i440fx-*"] },
      ["warning: smm-machine"],
    ],
    ["keys promised and not there", { code: SECBOOT, variables: VARS, features: [...SECURE, "enrolled-keys"] }, ["error: keys-missing"]],
    ["keys there and not told", { code: SECBOOT, variables: MS_VARS, features: SECURE }, ["warning: keys-unsaid"]],
  ])("%s", (_, made, problems) => {
    expect(found(made)).toEqual(problems);
  });

  test("-bios: the file has to be there and be firmware; that of a BIOS may be anything", () => {
    const memory = (filename: string, interfaces: readonly string[]) =>
      checkDescriptor(
        entryOf(
          "/d/60-x.json",
          JSON.stringify({
            ...JSON.parse(descriptorText({ code: "/x" })),
            "interface-types": interfaces,
            mapping: { device: "memory", filename },
          }),
        ),
        stockOf(FILES),
      ).map(({ id }) => id);
    expect(memory("/both", ["uefi"])).toEqual([]);
    expect(memory("/text", ["bios"])).toEqual([]);
    expect(memory("/text", ["uefi"])).toEqual(["no-code"]);
    expect(memory("/gone", ["bios"])).toEqual(["file-missing"]);
  });

  test("no JSON, and JSON that is no descriptor", () => {
    for (const text of ["{", "{}", "[]"]) {
      expect(checkDescriptor(entryOf("/d/60-x.json", text), stockOf({}))).toMatchObject([{ id: "broken", severity: "error" }]);
    }
  });

  test("the words say which file and why", () => {
    const [problem] = checkDescriptor(
      entryOf("/d/60-x.json", descriptorText({ code: CODE, variables: "/usr/share/OVMF/OVMF_VARS.fd" })),
      stockOf(FILES),
    );
    expect(problem).toMatchObject({
      file: "/usr/share/OVMF/OVMF_VARS.fd",
      text: expect.stringContaining("3653632 and 131072 bytes do not make one flash"),
    });
  });
});
