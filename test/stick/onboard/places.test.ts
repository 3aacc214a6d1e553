import fc from "fast-check";
import { expect, test } from "vitest";
import { onHost, onStick } from "../../../src/stick/onboard/places.ts";

const places = { data: "/mnt/usb" };

test("a path of the stick is one below its mount, whatever is in it, and comes back as it was", () => {
  expect(onHost(places, "/ISOs/a b.iso")).toBe("/mnt/usb/ISOs/a b.iso");
  expect(onHost(places, "ISOs/a.iso")).toBe("/mnt/usb/ISOs/a.iso");
  expect(onHost(places, "/../../etc/shadow")).toBe("/mnt/usb/etc/shadow");
  expect(onStick(places, "/mnt/usb/hiperiso/logs/x")).toBe("/hiperiso/logs/x");
  expect(onStick(places, "/mnt/usb")).toBe("/");
  expect(onStick(places, "/mnt/usb2/x")).toBe("/mnt/usb2/x");
});

test("no path leads out of the partition", () => {
  const part = fc.constantFrom("..", ".", "", "a", "…", "b c", "...", "~");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const path = onHost(places, parts.join("/"));
      expect(path === "/mnt/usb" || path.startsWith("/mnt/usb/")).toBe(true);
      expect(path.split("/")).not.toContain("..");
    }),
  );
});
