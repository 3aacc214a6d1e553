import { expect, test } from "vitest";
import { withoutMessageTimes } from "../../src/formats/qemu-messages.ts";

test("QEMU's messages are the same whenever they came; what only looks like a time stays", () => {
  expect(
    withoutMessageTimes("2026-01-31T12:00:00.123456Z qemu: a\n2026-01-31T12:00:00Z qemu: b\nqemu: at 2026-01-31T12:00:00Z it was\n\n"),
  ).toBe("qemu: a\nqemu: b\nqemu: at 2026-01-31T12:00:00Z it was\n\n");
});
