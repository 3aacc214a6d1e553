import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { machineVersionOf, qemuFacts } from "../../src/host/qemu-facts.ts";
import { findTool } from "../../src/host/tools.ts";

let cacheDir: string;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterAll(() => rm(cacheDir, { recursive: true, force: true }));

test("the QEMU of this computer says what it can do", async () => {
  const qemu = await findTool("qemu-system-x86_64", process.env);
  const { signal } = new AbortController();
  const facts = await qemuFacts(qemu, { cacheDir, signal });
  expect(facts.version).toMatch(/^\d+\.\d+/);
  expect(machineVersionOf(facts.machines, "q35")).toMatch(/^pc-q35-\d+\.\d+/);
  expect(facts.machines.filter(({ isDefault }) => isDefault)).toHaveLength(1);
  expect(facts.devices).toEqual(
    expect.arrayContaining(["pvpanic", "isa-debugcon", "isa-debug-exit", "VGA", "usb-storage", "virtio-rng-pci"]),
  );
  expect(facts.accelerators).toContain("tcg");
  expect(facts.displays).toContain("none");
  expect(await qemuFacts(qemu, { cacheDir, signal })).toEqual(facts);
});
