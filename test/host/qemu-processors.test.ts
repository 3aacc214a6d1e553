import { describe, expect, test } from "vitest";
import { decodeExpansion, decodeProcessorHelp } from "../../src/host/qemu-processors.ts";

/** As QEMU 7.2 prints it, most lines left out. */
const HELP = `Available CPUs:
x86 486                   (alias configured by machine type)
x86 max                   Enables all features supported by the accelerator in the current host

Recognized CPUID flags:
  3dnow 3dnowext abm svm
  sse4.1 vmx vmx-ept

something else
`;

test("the flags of `-cpu help` are those under their heading", () => {
  expect([...decodeProcessorHelp(HELP)]).toEqual(["3dnow", "3dnowext", "abm", "svm", "sse4.1", "vmx", "vmx-ept"]);
  expect(decodeProcessorHelp("Available CPUs:\nx86 486\n").size).toBe(0);
  for (let length = 0; length < HELP.length; length += 1) expect(decodeProcessorHelp(HELP.slice(0, length)).size).toBeLessThanOrEqual(7);
});

describe("an expanded model", () => {
  const answer = { id: "expansion", return: { model: { name: "max", props: { svm: true, vmx: false, "model-id": "x", level: 13 } } } };
  const text = `{"QMP": {}}\n{"return": {}}\n${JSON.stringify(answer)}\n`;

  test("gives its switches, on or off", () => {
    expect([...decodeExpansion(text)!]).toEqual([
      ["svm", true],
      ["vmx", false],
    ]);
  });

  test("that did not come, or was cut, is no answer", () => {
    const error = '{"id": "expansion", "error": {"class": "GenericError", "desc": "no"}}\n';
    for (const other of ["", "{}", "[]\nnull\n", error, ...Array.from(text.slice(0, -2), (_, at) => text.slice(0, at))]) {
      expect(decodeExpansion(other)).toBeUndefined();
    }
  });
});
