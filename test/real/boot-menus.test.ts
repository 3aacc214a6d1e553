import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { bootWords, demoImage, onlySession, qemusNaming, run, workplace } from "./harness.ts";

describe("a kernel out of the image's own menu", () => {
  it("gives a console to an image that prints none: started directly, the image attached, and nothing of it stays", async () => {
    const image = await demoImage("silent");
    const digest = () => createHash("sha256").update(readFileSync(image)).digest("hex");
    const before = digest();
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(image, place.logs, "--kernel-from-iso", "--append", "hiperiso.test=1"), {
      TMPDIR: place.root,
    });
    expect(status, stderr).toBe(0);
    const { directory, session, report, serial } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "success", firmware: "bios" });
    expect(session).toMatchObject({ menu_entry: { number: 1, id: "live", menu: "/boot/grub/grub.cfg", kernel: "/boot/vmlinuz" } });
    expect(serial).toContain("hiperiso-demo login:");
    expect(serial).toMatch(/Command line: hiperiso\.medium=\S+ console=tty0 console=ttyS0,115200 hiperiso\.test=1\r?\n/);
    expect(report.stages.map(({ stage }) => stage)).toEqual(["firmware", "kernel", "initramfs", "userspace", "login"]);
    const plan: unknown = JSON.parse(readFileSync(join(directory, SESSION_FILES.plan), "utf8"));
    expect(plan).toMatchObject({
      image: { attach: "cd" },
      kernel: {
        path: expect.stringMatching(/\/kernel$/),
        because: expect.stringMatching(/entry 1, "hiperiso demo", of \/boot\/grub\/grub\.cfg/),
      },
    });
    expect(digest()).toBe(before);
    expect(qemusNaming(place.logs)).toEqual([]);
  });
});
