import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeCpuinfo, decodeMeminfo, hostFacts } from "../../src/host/host-facts.ts";

const processor = (number: number, flags: string) =>
  `processor\t: ${number}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 7 PRO 5850U with Radeon Graphics\nflags\t\t: ${flags}\nbugs\t\t: spectre_v1\n`;

test("processors, their name, and whether they say that they run guests", () => {
  const two = [processor(0, "fpu vme svm"), processor(1, "fpu vme svm")].join("\n");
  expect(decodeCpuinfo(two)).toEqual({
    cpu_model: "AMD Ryzen 7 PRO 5850U with Radeon Graphics",
    cpu_logical_cores: 2,
    virt_supported: true,
  });
  expect(decodeCpuinfo(processor(0, "fpu vmxnet svm_lock")).virt_supported).toBe(false);
  expect(decodeCpuinfo(`${processor(0, "fpu")}vmx flags\t: vnmi preemption_timer\n`).virt_supported).toBe(false);
  expect(decodeCpuinfo("")).toEqual({ cpu_model: "", cpu_logical_cores: 0, virt_supported: false });
});

test("memory in MB, also of kernels that do not tell what is available", () => {
  expect(decodeMeminfo("MemTotal:       16303344 kB\nMemFree:         1024000 kB\nMemAvailable:    8192000 kB\n")).toEqual({
    totalMb: 15921,
    availableMb: 8000,
  });
  expect(decodeMeminfo("MemTotal:  2048 kB\nMemFree:   1024 kB\n")).toEqual({ totalMb: 2, availableMb: 1 });
  expect(decodeMeminfo("no such thing")).toEqual({ totalMb: 0, availableMb: 0 });
});

test("this computer, as Node sees it too", async () => {
  const facts = await hostFacts();
  expect(facts.kernel_version).toBe(release());
  expect(facts.cpu_logical_cores).toBe(cpus().length);
  expect(facts.total_ram_mb).toBe(Math.floor(totalmem() / 1_048_576));
  expect(facts.available_ram_mb).toBeGreaterThan(0);
  expect(facts.available_ram_mb).toBeLessThanOrEqual(facts.total_ram_mb);
  expect(facts.boot_id).toMatch(/^[0-9a-f-]{36}$/);
  expect(facts.uptime_s).toBeGreaterThan(0);
});

let proc: string;
beforeAll(async () => {
  proc = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  await mkdir(join(proc, "sys/kernel/random"), { recursive: true });
  await writeFile(join(proc, "sys/kernel/random/boot_id"), "11111111-2222-3333-4444-555555555555\n");
  await writeFile(join(proc, "uptime"), "350735.47 234388.90\n");
});
afterAll(() => rm(proc, { recursive: true }));

test("a kernel that was named after its computer or its owner does not tell", async () => {
  await writeFile(join(proc, "sys/kernel/osrelease"), "6.9.1-lovelace-ada+\n");
  const facts = await hostFacts(proc, { hostname: "lovelace", users: ["ada"], homes: [] });
  expect(facts.kernel_version).toBe("6.9.1-<host>-<user>+");
  await rm(join(proc, "sys/kernel/osrelease"));
});

test("what the kernel does not tell is empty, and no error", async () => {
  expect(await hostFacts(proc)).toEqual({
    kernel_version: "",
    cpu_model: "",
    cpu_logical_cores: 0,
    virt_supported: false,
    total_ram_mb: 0,
    available_ram_mb: 0,
    boot_id: "11111111-2222-3333-4444-555555555555",
    uptime_s: 350735.47,
  });
});
