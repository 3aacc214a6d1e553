/** The stick's first process where it cannot go on: what it says on the console, and where it keeps that. Its kernel is started directly: no menu, no second QEMU. */
import { copyFile, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stickCreatedSchema } from "../../src/contract/stick-answers.ts";
import { onlySession, run, workplace } from "./harness.ts";
import { done, runtimeWords } from "./stick-guest.ts";

const WITHIN_S = 600;

interface Start {
  readonly sticks: readonly string[];
  readonly line: string;
}

/** Boots until the first process has said that it cannot go on, and turns the computer off by the key that it offers. What the console showed. */
async function failedStart(place: { readonly root: string; readonly logs: string }, { sticks, line }: Start): Promise<string> {
  const script = join(place.root, "script.yaml");
  const steps = [
    { expect: "hiperiso could not go on", within: WITHIN_S },
    { expect: "Keys: r restarts", within: 60 },
    { shutdown: "p", within: 120 },
  ];
  await writeFile(script, JSON.stringify({ ignore_fatal: true, steps }));
  const [first = ""] = sticks;
  const kernel = ["--kernel", join(place.root, "vmlinuz"), "--initrd", join(place.root, "initrd"), "--append", `console=ttyS0 ${line}`];
  for (const [name, path] of [
    ["vmlinuz", "vmlinuz"],
    ["initrd", "initramfs.cpio.gz"],
  ])
    await done(["disk", "cp", `${first}:2/EFI/hiperiso/${path}`, join(place.root, name!)]);
  const disks = sticks.flatMap((stick) => ["--disk", `${stick},keep,bus=usb`]);
  const { status, stderr } = await run([
    "boot",
    ...kernel,
    ...disks,
    "--ram",
    "1024",
    "--fallback",
    "--trace-level",
    "none",
    "--script",
    script,
    "--log-dir",
    place.logs,
  ]);
  expect(status, stderr).toBe(0);
  return onlySession(place.logs).serial;
}

async function newStick(root: string): Promise<{ readonly image: string; readonly guid: string }> {
  const image = join(root, "stick.img");
  const words = ["stick", "create", image, "--size", "160M", "--json", ...runtimeWords()];
  const { diskGuid: guid } = stickCreatedSchema.parse(JSON.parse(await done(words)));
  expect(guid).toMatch(/^[0-9A-F-]{36}$/i);
  return { image, guid };
}

const DATA_START = 1 << 20;

describe("the first process of a stick", () => {
  it("says on the boot partition why it could not go on, where the data partition holds no file system", async () => {
    await using place = await workplace();
    const { image, guid } = await newStick(place.root);
    const file = await open(image, "r+");
    await file.write(new Uint8Array(12 << 10), 0, 12 << 10, DATA_START);
    await file.close();
    const console_ = await failedStart(place, { sticks: [image], line: `hiperiso_stick=${guid}` });
    expect(console_).toMatch(
      /data partition \/dev\/sda1 cannot be mounted[\s\S]*What to do: .*stick verify[\s\S]*FAILURE\.txt on the boot partition/,
    );
    expect(await done(["disk", "cat", `${image}:2/FAILURE.txt`])).toMatch(/data partition \/dev\/sda1 cannot be mounted/);
    expect(await done(["disk", "cat", `${image}:2/FAILURE-kernel.txt`])).toContain("Linux version");
    expect((await run(["disk", "check", `${image}:2`])).status).toBe(0);
  });

  it("says it on the data partition, where the runtime is not there", async () => {
    await using place = await workplace();
    const { image, guid } = await newStick(place.root);
    await done(["disk", "rm", `${image}:2/EFI/hiperiso/runtime.squashfs`]);
    const console_ = await failedStart(place, { sticks: [image], line: `hiperiso_stick=${guid}` });
    expect(console_).toMatch(
      /no EFI\/hiperiso\/runtime\.squashfs in the boot partition[\s\S]*stick update[\s\S]*\/hiperiso\/FAILURE\.txt on the data partition/,
    );
    expect(await done(["disk", "cat", `${image}:1/hiperiso/FAILURE.txt`])).toContain("runtime.squashfs");
    expect((await run(["disk", "check", image])).status, "all was unmounted").toBe(0);
  });

  it("takes no other stick than the one that the menu names, and says which ones are there", async () => {
    await using place = await workplace();
    const { image, guid } = await newStick(place.root);
    const other = "11111111-2222-4333-8444-555555555555";
    const console_ = await failedStart(place, { sticks: [image], line: `hiperiso_stick=${other} hiperiso_wait=1` });
    expect(console_).toContain("The stick was not found");
    expect(console_.toLowerCase()).toContain(`sda (${guid.toLowerCase()})`);
    expect(console_).toContain("It could not be written anywhere");
  });

  it("does not guess between two sticks", async () => {
    await using place = await workplace();
    const { image } = await newStick(place.root);
    const second = join(place.root, "second.img");
    await copyFile(image, second);
    expect(await failedStart(place, { sticks: [image, second], line: "" })).toMatch(/More than one disk has a runtime: sda sdb/);
  });
});
