/** Secure Boot, a TPM, the network's packets, a forwarded port and shared folders: one boot through a signed chain shows them all. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { lookForTool } from "../../src/host/tools.ts";
import {
  callGuest,
  codeDisk,
  featuresGuest,
  freePort,
  guestDisk,
  packetsOf,
  readBanner,
  signedChain,
  startBroadway,
  takenPort,
} from "./features-guest.ts";
import { demoImage, onlySession, qemusNaming, run, start, workplace } from "./harness.ts";

/** GTK's own server of windows, which draws them in a browser: a desktop for a computer that has none. */
const broadway = await lookForTool("broadwayd", process.env);

test("a signed chain boots under Secure Boot to a login; the guest finds its TPM, its network, a forwarded port and shared folders", async () => {
  await using place = await workplace();
  const guest = await featuresGuest();
  const image = await guestDisk(join(place.root, "signed.img"), await signedChain(guest), guest, "tpm,shares,network");
  const [read, written] = [join(place.root, "read, only"), join(place.root, "written")];
  await mkdir(read);
  await mkdir(written);
  await writeFile(join(read, "hello"), "from the host\n");
  const port = await freePort();
  const machine = ["--secure-boot", "--tpm", "--net-dump", "--forward", `${port}:7777`, "--share", read, "--share-writable", written];
  const boot = start(["boot", image, "--ram", "512", "--log-dir", place.logs, "--as", "virtio", "--serial", ...machine]);
  await boot.lineMatching(/guest: waits for a call/);
  expect(await callGuest(port)).toBe("hello from the guest\n");
  const { status, stderr } = await boot.finished;
  expect(status, stderr).toBe(0);

  const { session, report, serial, directory } = onlySession(place.logs);
  expect(session).toMatchObject({
    result: "success",
    firmware: "uefi",
    secure_boot: true,
    tpm: true,
    network: "restricted",
    forwards: [`tcp:127.0.0.1:${port}:7777`],
    shares: [
      { tag: "share0", writable: false },
      { tag: "share1", writable: true },
    ],
    hw_inventory: { has_network_pcap: true },
  });
  expect(report.findings.filter(({ severity }) => severity === "error" || severity === "fatal")).toEqual([]);
  expect(serial).toContain("guest: SecureBoot=1");

  expect(serial).toContain("guest: TPM version 2");
  // Tag TPM_ST_NO_SESSIONS, 20 bytes, success, 8 random bytes.
  expect(serial).toContain("guest: TPM answers 800100000014000000000008");
  // Firmware measures the Secure Boot keys into it.
  expect(serial).toMatch(/guest: PCR 7 (?!0{64})[0-9A-F]{64}/);

  expect(serial).toContain("guest: share0 ./hello: from the host");
  expect(serial).toContain("guest: share0 is read-only");
  expect(serial).toContain("guest: share1 was written");
  expect(await readFile(join(written, "from the guest"), "utf8")).toBe("written by the guest\n");

  expect(serial).toContain("guest: the gateway answers");
  const packets = packetsOf(readFileSync(join(directory, SESSION_FILES.networkCapture)));
  expect(packets.filter(({ protocol }) => protocol === "icmp").length).toBeGreaterThanOrEqual(2);
  expect(packets.some(({ protocol, destinationPort }) => protocol === "tcp" && destinationPort === 7777)).toBe(true);
  expect(qemusNaming(place.logs)).toEqual([]);
});

test("a boot loader that nobody signed is refused under Secure Boot, and the verdict says so", async () => {
  await using place = await workplace();
  const { status } = await run(["boot", await demoImage(), "--ram", "512", "--log-dir", place.logs, "--secure-boot"]);
  expect(status).toBe(1);
  const { session, report } = onlySession(place.logs);
  expect(session.analysis).toMatchObject({ boot_result: "failure", boot_stage_final: "firmware", failure_domain: "firmware" });
  expect(report.findings.find(({ cause }) => cause)).toMatchObject({
    kind: "secure_boot_violation",
    stage: "firmware",
    domain: "firmware",
    text: expect.stringContaining("Access Denied"),
  });
});

describe("what cannot be had is said before a session is made", () => {
  test.each<[string, (taken: number, file: string) => readonly string[], string]>([
    ["a port in use", (taken) => ["--forward", `${taken}:22`], "another program has it"],
    ["VNC's port in use", (taken) => ["--display", "vnc", "--vnc", `${taken}`], "another program has it"],
    ["a folder that is not there", () => ["--share", "/nowhere/at all"], "ENOENT"],
    ["a folder that is a file", (_, file) => ["--share-writable", file], "it is no folder"],
    ["a TPM's state that is a file", (_, file) => ["--tpm-state", file], "it is no folder"],
    ["a machine that hiperiso does not know", () => ["--machine", "microvm"], "microvm"],
    ["a version that QEMU has not", () => ["--machine", "pc-q35-0.1"], "pc-q35-0.1"],
    ["a processor feature that nobody has", () => ["--cpu-features", "vmxx"], "vmxx"],
    ["Secure Boot by a BIOS", () => ["--secure-boot", "--firmware", "bios"], "a BIOS checks no signatures"],
    ["packets of no network", () => ["--net-dump", "--network", "none"], "--network none"],
    ["a window on no desktop", () => ["--display", "gtk"], ""],
  ])("%s", async (_, words, found) => {
    await using place = await workplace();
    const image = await codeDisk(join(place.root, "still.img"), "still");
    await using port = await takenPort();
    const bare = { DISPLAY: "", WAYLAND_DISPLAY: "" };
    const { status, stderr } = await run(
      ["boot", image, "--firmware", "bios", "--log-dir", place.logs, ...words(port.number, image)],
      bare,
    );
    expect([2, 3], stderr).toContain(status);
    expect(stderr).toContain(found);
    expect(existsSync(place.logs)).toBe(false);
  });
});

describe("a machine for a boot sector", () => {
  test.each([
    ["svm", "1"],
    ["-svm", "0"],
  ])("with processor features %s, in another version, with words for QEMU: the guest says svm=%s", async (features, has) => {
    await using place = await workplace();
    const image = await codeDisk(join(place.root, "svm.img"), "svm");
    const machine = ["--machine", "pc-q35-6.0", "--cpu-features", features, "--qemu-arg=-name", "--qemu-arg", "a name,,with a comma"];
    const words = ["boot", image, "--firmware", "bios", "--ram", "64", "--log-dir", place.logs, "--until", `text:svm=${has}`, ...machine];
    const { status, stderr } = await run([...words, "--accel", "tcg"]);
    expect(status, stderr).toBe(0);
    const { session, directory } = onlySession(place.logs);
    expect(session).toMatchObject({ qemu_args: ["-name", "a name,,with a comma"] });
    expect(session["warnings"]).toContainEqual(expect.stringContaining("--qemu-arg"));
    const plan: unknown = JSON.parse(readFileSync(join(directory, SESSION_FILES.plan), "utf8"));
    expect(plan).toMatchObject({ machine: { name: "pc-q35-6.0" }, extraArguments: ["-name", "a name,,with a comma"] });
    expect(readFileSync(join(directory, SESSION_FILES.qemuCommandLine), "utf8")).toContain("-machine pc-q35-6.0,");
  });

  test.skipIf(broadway === undefined)("in a window: QEMU lives with it in its sandbox", async () => {
    await using place = await workplace();
    const image = await codeDisk(join(place.root, "svm.img"), "svm");
    await using desktop = await startBroadway(broadway!, place.root);
    const words = ["boot", image, "--firmware", "bios", "--ram", "64", "--log-dir", place.logs, "--until", "text:svm=", "--display", "gtk"];
    const { status, stderr } = await run(words, desktop.env);
    expect(status, stderr).toBe(0);
    expect(onlySession(place.logs).session).toMatchObject({ result: "success", display: "gtk" });
    expect(stderr).toContain("Screen: a window");
  });

  test.each(["socket", "auto"])("whose screen can be seen by VNC (%s): the address is said and in the session", async (where) => {
    await using place = await workplace();
    const image = await codeDisk(join(place.root, "still.img"), "still");
    const words = ["boot", image, "--firmware", "bios", "--ram", "64", "--log-dir", place.logs, "--until", "never", "--json"];
    const boot = start([...words, "--display", "vnc", "--vnc", where]);
    const line = await boot.lineMatching(/"type":"display"/);
    const { place: told } = JSON.parse(line) as { readonly place: { readonly address: string } };
    expect(await readBanner(told.address)).toBe("RFB 003.008\n");
    boot.child.kill("SIGINT");
    await boot.finished;
    const { session, directory, files } = onlySession(place.logs);
    expect(session).toMatchObject({ display: "vnc" });
    expect(JSON.parse(readFileSync(join(directory, SESSION_FILES.display), "utf8"))).toEqual({ kind: "vnc", address: told.address });
    expect(files).not.toContain(SESSION_FILES.vncSocket);
  });
});
