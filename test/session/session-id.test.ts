import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sanitiseImageName, sessionId } from "../../src/session/session-id.ts";

describe("an image's name in a session id", () => {
  test.each([
    ["ubuntu-24.04.iso", "ubuntu-24.04.iso"],
    ["a b  c.iso", "a_b_c.iso"],
    ["Größe äöü.iso", "Gro_e_aou.iso"],
    ["образ.iso", "iso"],
    ["образ", "image"],
    ["", "image"],
    [".", "image"],
    ["..", "image"],
    ["../../etc/passwd", "etc_passwd"],
    [".hidden", "hidden"],
    ["-rf", "rf"],
    ["$(touch x)`id`;'\".iso", "touch_x_id_.iso"],
    ["a\nb\0c\x1b[31m", "a_b_c_31m"],
    ["C:\\x?*|<>.iso", "C_x_.iso"],
    ["trailing. ", "trailing"],
    ["x".repeat(300), "x".repeat(80)],
    ["ﬁle①.iso", "file1.iso"],
  ])("%j becomes %j", (name, expected) => {
    expect(sanitiseImageName(name)).toBe(expected);
  });

  test("whatever the name: letters, digits, dots, lines; neither hidden nor an option nor a way up; bounded", () => {
    const name = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.string({ unit: "grapheme", maxLength: 100 }),
      fc.stringMatching(/^[._\-/ a]{0,200}$/),
    );
    fc.assert(
      fc.property(name, (text) => {
        const sanitised = sanitiseImageName(text);
        expect(sanitised).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
        expect(sanitised).toMatch(/[A-Za-z0-9]$/);
        expect(sanitised.length).toBeLessThanOrEqual(80);
        expect(sanitiseImageName(sanitised)).toBe(sanitised);
      }),
      { numRuns: 500 },
    );
  });
});

test("name, UTC without what exFAT forbids, and a number from the second on", () => {
  expect(sessionId("a b.iso", "2026-11-21T09:08:07Z", 1)).toBe("a_b.iso_20261121T090807Z");
  expect(sessionId("a b.iso", "2026-11-21T09:08:07Z", 2)).toBe("a_b.iso_20261121T090807Z-2");
});
