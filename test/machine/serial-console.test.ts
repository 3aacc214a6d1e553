import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkMemoryCopy } from "../../src/machine/memory-copy.ts";
import { withSerialConsole } from "../../src/machine/serial-console.ts";
import { virtInstallCommand } from "../../src/machine/virt-install.ts";

const SERIAL = "console=ttyS0,115200";

describe("a console on the serial port", () => {
  it.each([
    ["quiet", "", `quiet console=tty0 ${SERIAL}`],
    ["", "", `console=tty0 ${SERIAL}`],
    ["a console=tty1 b", "", `a console=tty1 b ${SERIAL}`],
    ["console=ttyS0 quiet", "", "console=ttyS0 quiet"],
    [`console=tty0 ${SERIAL}`, "", `console=tty0 ${SERIAL}`],
    [`${SERIAL} console=tty0`, "", `${SERIAL} console=tty0 ${SERIAL}`],
    ["console=ttyS1", "", `console=ttyS1 console=tty0 ${SERIAL}`],
    ["a --- quiet splash", "", `a console=tty0 ${SERIAL} --- quiet splash`],
    ["a -- single", " x=1 y ", `a console=tty0 ${SERIAL} x=1 y -- single`],
    ['dyndbg="file a.c +p -- x" b', "", `dyndbg="file a.c +p -- x" b console=tty0 ${SERIAL}`],
    ["a", "debug", `a console=tty0 ${SERIAL} debug`],
  ])("%j and %j", (line, append, expected) => {
    expect(withSerialConsole(line, append)).toBe(expected);
  });

  it("keeps every word of the line, in order, and doing it twice changes nothing", () => {
    const word = fc.constantFrom("a", "b=c", "console=tty0", "console=ttyS0", SERIAL, "--", "---", "quiet", 'x="y z"');
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), (words) => {
        const line = withSerialConsole(words.join(" "));
        const rest = [...line.matchAll(/x="y z"|\S+/g)].map(([one]) => one);
        for (const one of words) {
          const at = rest.indexOf(one);
          expect(at).toBeGreaterThanOrEqual(0);
          rest.splice(0, at + 1);
        }
        expect(withSerialConsole(line)).toBe(line);
      }),
    );
  });
});

describe("a copy of the image in memory", () => {
  const question = { image: "/x.iso", imageBytes: 100n << 20n, guestRamMb: 1000 };

  it("wants room for image, guest and 512 MB, to the megabyte", () => {
    expect(() => checkMemoryCopy({ ...question, availableRamMb: 1612 })).not.toThrow();
    expect(() => checkMemoryCopy({ ...question, availableRamMb: 1611 })).toThrow(
      /1612 MB free: 100 for the image, 1000 for the guest and 512/,
    );
    expect(() => checkMemoryCopy({ ...question, imageBytes: (100n << 20n) + 1n, availableRamMb: 1612 })).toThrow(/1613 MB/);
    expect(() => checkMemoryCopy({ ...question, availableRamMb: 0 })).toThrow(/does not say what is free/);
  });
});

describe("virt-install", () => {
  const part = (path: string, volume = "iso9660@0") => ({ volume, path });

  it("takes kernel and initrd out of the ISO, with a console; words are for a shell", () => {
    const entry = { kernel: part("/casper/vmlinuz"), initrds: [part("/casper/initrd")], arguments: "--- quiet" };
    expect(virtInstallCommand("/isos/my image.iso", "my image", entry)).toEqual({
      command:
        "virt-install --name my-image --memory 2048 --vcpus 2 --osinfo detect=on,require=off --disk none --location '/isos/my image.iso,kernel=casper/vmlinuz,initrd=casper/initrd' --extra-args 'console=tty0 console=ttyS0,115200 --- quiet' --graphics none --console pty,target_type=serial",
    });
  });

  it.each([
    [{ kernel: part("/k"), initrds: [], arguments: "" }, /has none/],
    [{ kernel: part("/k"), initrds: [part("/a"), part("/b")], arguments: "" }, /has 2/],
    [{ kernel: part("/k", "fat16@512"), initrds: [part("/a")], arguments: "" }, /ISO 9660 alone/],
    [{ kernel: part("/k,x"), initrds: [part("/a")], arguments: "" }, /comma/],
  ])("says what it cannot do", (entry, expected) => {
    const answer = virtInstallCommand("/x.iso", "x", entry);
    expect("whyNot" in answer ? answer.whyNot : "").toMatch(expected);
  });
});
