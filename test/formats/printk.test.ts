import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodePrintk, splitAtPrintk } from "../../src/formats/printk.ts";

describe("what stands before a kernel message", () => {
  test.each<[string, string, number | null]>([
    ["[    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["[    1.234567][  T123] sda: sda1", "sda: sda1", 1.234567],
    ["[    1.234567][    C0] sda: sda1", "sda: sda1", 1.234567],
    ["[    1.234567]  [0:      swapper:    1] sda: sda1", "sda: sda1", 1.234567],
    ["<6>[    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["[15:50:43.179] [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["2024-01-02T03:04:05.678Z [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["Oct  9 14:40:33 box kernel: [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["2024-10-09T14:40:33.123456+00:00 box kernel: [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["Oct  9 14:40:33 [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["Oct  9 14:40:33 box systemd[1]: Started Foo.", "systemd[1]: Started Foo.", null],
    ["Oct  9 14:40:33.123456 box kernel: sda: sda1", "sda: sda1", null],
    ["[    1.234567] box systemd[1]: Started Foo.", "systemd[1]: Started Foo.", 1.234567],
    ["[Wed Oct  9 14:40:33 2024] sda: sda1", "sda: sda1", null],
    ["Wed Oct  9 14:40:33 2024 kern.info kernel: [    1.234567] sda: sda1", "sda: sda1", 1.234567],
    ["Wed Oct  9 14:40:33 2024 daemon.notice procd: - init -", "procd: - init -", null],
    ["6,416,1234567,-;sda: sda1", "sda: sda1", 1.234567],
    ["6,416,1234567,c,caller=T1;sda: sda1", "sda: sda1", 1.234567],
    ["MESSAGE=sda: sda1", "sda: sda1", null],
    ["[    1.234567] c1      1 sda: sda1", "sda: sda1", 1.234567],
    ["c1      1 sda: sda1", "c1      1 sda: sda1", null],
    ["12:00:00 Starting syslogd: OK", "Starting syslogd: OK", null],
    ["Monday is a day", "Monday is a day", null],
    ["(XEN) sda: sda1", "sda: sda1", null],
    ["sda: sda1", "sda: sda1", null],
    ["[   10.000000]     indented", "    indented", 10],
    ["[  OK  ] Started Foo.", "[  OK  ] Started Foo.", null],
    ["[12] not a time", "[12] not a time", null],
    ["", "", null],
  ])("%j", (line, message, clock) => {
    expect(decodePrintk(line)).toMatchObject({ message, clock, copy: false });
  });

  test("a copy that dmesg printed is known as one", () => {
    expect(decodePrintk("kern  :alert : [    1.234567] sda: sda1")).toEqual({ message: "sda: sda1", clock: 1.234567, copy: true });
  });

  test("any text is taken, and what is left is its end", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (line) => {
        expect(line.endsWith(decodePrintk(line).message)).toBe(true);
        expect(splitAtPrintk(line).join("")).toBe(line);
      }),
    );
  });
});

describe("kernel messages in the midst of a line", () => {
  test("are parted from what stood there before", () => {
    expect(splitAtPrintk("box login: [   60.489793] eth0: up [   60.489800] eth1: up")).toEqual([
      "box login: ",
      "[   60.489793] eth0: up ",
      "[   60.489800] eth1: up",
    ]);
  });
  test("prefixes alone do not make a part", () => {
    expect(splitAtPrintk("[15:50:43.179] [   60.489793] eth0: up")).toEqual(["[15:50:43.179] [   60.489793] eth0: up"]);
  });
});
