import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { holdsOurPart, withOurPart, withoutOurPart } from "../../../src/stick/adopt/ventoy-menu.ts";
import { hasTool } from "../../disk/disk-images.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
const bytes = (content: string) => Buffer.from(content);

describe("our part of ventoy_grub.cfg", () => {
  const ours = text(withOurPart(undefined));
  const line = fc.constantFrom(
    "menuentry 'x' {",
    "}",
    "# hiperiso begins here.",
    "# hiperiso ends here.",
    ours.split("\n")[0]!,
    "",
    "\xff",
    "a'b",
    "\r",
  );
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw)),
    fc
      .tuple(fc.array(line, { maxLength: 6 }), fc.constantFrom("\n", "\r\n"), fc.boolean())
      .map(([lines, end, last]) => bytes(lines.join(end) + (last ? end : ""))),
  );

  test("comes and goes, and every byte of the person's stays", () => {
    fc.assert(
      fc.property(content, (before) => {
        fc.pre(!holdsOurPart(before));
        const merged = withOurPart(before);
        expect(holdsOurPart(merged)).toBe(true);
        expect(Buffer.compare(withoutOurPart(merged), before)).toBe(0);
        expect(Buffer.compare(withOurPart(merged), merged)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("what the person adds around it stays when it goes", () => {
    const merged = text(withOurPart(bytes("menuentry 'a' { true; }")));
    expect(text(withoutOurPart(bytes(`# new\n${merged}menuentry 'b' { true; }\n`)))).toBe(
      "# new\nmenuentry 'a' { true; }menuentry 'b' { true; }\n",
    );
    const whole = text(withOurPart(bytes("menuentry 'a' { true; }\n")));
    expect(text(withoutOurPart(bytes(`${whole}menuentry 'b' { true; }\n`)))).toBe("menuentry 'a' { true; }\nmenuentry 'b' { true; }\n");
  });

  test("alone it brings Ventoy's own way back, beside others it does not", () => {
    expect(ours).toMatch(/--class=vtoyret VTOY_RET/);
    expect(text(withOurPart(bytes("menuentry 'a' { true; }\n")))).not.toMatch(/VTOY_RET/);
  });

  test("uses of Ventoy's variables the documented one of the disk, and leaves the root as it was", () => {
    expect([...ours.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name)).toEqual(["root", "vtoydev", "vtoydev", "hiperiso_root"]);
  });

  test.skipIf(!hasTool("grub-script-check"))("is a script to GRUB", () => {
    for (const before of [undefined, bytes("menuentry 'a' { true; }"), bytes("# a\n")])
      execFileSync("grub-script-check", { input: withOurPart(before) });
  });
});
