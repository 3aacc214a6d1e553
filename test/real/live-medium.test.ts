import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bootWords, onlySession, run, workplace } from "./harness.ts";
import { built, demoWith, FAT_KERNEL, LOG_IN } from "./live-medium-spec.ts";

it("a disk image starts by BIOS, and what is written there is there after a reboot", async () => {
  await using place = await workplace();
  const spec = await demoWith(
    place.root,
    { stage: "disk", file: "demo.img" },
    `${FAT_KERNEL}  disk:
    kind: disk
    inputs: { root: image, kernel: fat-kernel, initramfs: fat-initramfs, payloads: loaders }
    file: demo.img
    title: demo on a disk
    persistence: 64M
    entries: [live, persistence]
    default: persistence
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
`,
  );
  const image = await built(spec);
  const script = join(place.root, "script.yaml");
  const steps = [
    ...LOG_IN,
    { run: "grep ' / ' /proc/mounts", output: "overlay" },
    { run: "echo it-stays >/root/note && sync" },
    { reboot: "reboot" },
    ...LOG_IN,
    { run: "cat /root/note", output: "it-stays" },
  ];
  await writeFile(script, JSON.stringify({ fail_on: ["Kernel panic"], within: 600, steps }));
  const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "bios", "--as", "usb", "--script", script));
  expect(status, stderr).toBe(0);
  expect(onlySession(place.logs)).toMatchObject({
    session: { result: "success", firmware: "bios" },
    report: { script: { result: "passed" } },
  });
});
