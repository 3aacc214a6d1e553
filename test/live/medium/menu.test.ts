import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { LiveMedium } from "../../../src/live/medium/live-arguments.ts";
import { type MenuEntry, MenuOptions, menuFaults, planMenu } from "../../../src/live/medium/menu.ts";

const Schema = z.strictObject(MenuOptions);
const options = (given: object = {}) => Schema.parse({ title: "Sys", ...given });
const OWN: LiveMedium = { init: "own", id: "0123456789abcdef", uuid: "2026-01-01-10-20-30-40", image: "root.squashfs", verity: undefined };
const words = (entry: MenuEntry | undefined) => (entry?.kind === "linux" ? entry.words : undefined);
const menu = (given: object = {}, medium: Partial<LiveMedium> = {}) => planMenu(options(given), { ...OWN, ...medium });

const ALL = ["live", "toram", "serial", "persistence", "memtest", "firmware"];

describe("a menu", () => {
  test("has one entry unless more are asked for, and boots it", () => {
    expect(menu()).toEqual({
      title: "Sys",
      timeoutS: 1,
      standard: 0,
      serial: true,
      entries: [{ kind: "linux", id: "live", title: "Sys", words: ["hiperiso.medium=/.disk/hiperiso-0123456789abcdef"] }],
    });
  });

  test("names every standard entry, each with its arguments", () => {
    const { entries, standard } = menu({ entries: ALL, default: "toram", kernel_arguments: ["console=ttyS0", "console=tty0", "quiet"] });
    expect(entries.map(({ id, title }) => [id, title])).toEqual([
      ["live", "Sys"],
      ["toram", "Sys (copied to memory)"],
      ["serial", "Sys (serial console)"],
      ["persistence", "Sys (changes are kept)"],
      ["memtest", "Memory test"],
      ["firmware", "Firmware settings"],
    ]);
    expect(standard).toBe(1);
    const medium = "hiperiso.medium=/.disk/hiperiso-0123456789abcdef";
    expect(words(entries[0])).toEqual([medium, "console=ttyS0", "console=tty0", "quiet"]);
    expect(words(entries[1])).toEqual([medium, "console=ttyS0", "console=tty0", "quiet", "toram"]);
    expect(words(entries[2])).toEqual([medium, "quiet", "console=tty0", "console=ttyS0,115200"]);
    expect(words(entries[3])).toEqual([medium, "console=ttyS0", "console=tty0", "quiet", "persistence"]);
  });

  test("takes entries of one's own, like another with arguments more or less", () => {
    const own = {
      id: "rescue",
      title: "Rescue",
      like: "persistence",
      arguments: ["hiperiso.persistence=/changes.img"],
      without: ["quiet", "persistence"],
    };
    const { entries } = menu({ entries: ["live", own], kernel_arguments: ["quiet"], extra_arguments: ["last"] });
    expect(words(entries[1])?.slice(1)).toEqual(["hiperiso.persistence=/changes.img", "last"]);
    expect(words(entries[0])?.slice(1)).toEqual(["quiet", "last"]);
  });

  test("speaks to each initramfs in its own words", () => {
    const all = (medium: Partial<LiveMedium>) =>
      menu({ entries: ["live", "toram", "persistence"] }, medium).entries.map((entry) => words(entry)?.join(" "));
    expect(all({ image: "root.erofs", verity: "ab12" })[0]).toBe(
      "hiperiso.medium=/.disk/hiperiso-0123456789abcdef hiperiso.image=/live/root.erofs hiperiso.verity=ab12",
    );
    const boot = "boot=live components live-media-path=/live-0123456789abcdef";
    expect(all({ init: "live-boot" })).toEqual([boot, `${boot} toram`, `${boot} persistence`]);
    const dracut =
      "root=live:UUID=2026-01-01-10-20-30-40 rd.live.dir=/live rd.live.squashimg=root.squashfs rd.live.image rd.live.overlay.overlayfs=1";
    expect(all({ init: "dracut" })).toEqual([dracut, `${dracut} rd.live.ram=1`, `${dracut} rd.live.overlay=LABEL=persistence`]);
    expect(all({ init: "none" })).toEqual(["", "", ""]);
  });

  test("refuses a line that the kernel would cut", () => {
    expect(() => menu({ kernel_arguments: ["a".repeat(2040)] })).toThrow(/at most 2047 bytes/);
  });
});

describe("what is wrong with a menu", () => {
  test("is told by place: ids that stand twice, a default that is none", () => {
    const faults = menuFaults(options({ entries: ["live", "toram", { id: "live", title: "x" }], default: "liev" }));
    expect(faults).toEqual([
      { path: ["entries", 2], message: 'there is an entry "live" already' },
      { path: ["default"], message: 'there is no entry "liev"; entries are live, toram, live' },
    ]);
    expect(menuFaults(options({ entries: ALL, default: "serial" }))).toEqual([]);
  });

  test.each([
    [{ entries: ["live", "tourm"] }, /expected one of live, toram, serial, persistence, memtest, firmware/],
    [{ entries: [] }, /entries/],
    [{ title: "" }, /title/],
    [{ title: "a\u001bb" }, /control characters/],
    [{ kernel_arguments: ["a\nb"] }, /control characters/],
    [{ timeout: -1 }, /timeout/],
  ])("%j", (given, says) => {
    const { error } = Schema.safeParse({ title: "Sys", ...given });
    expect(error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n")).toMatch(says);
  });
});
