/** Secure Boot's refusals at each link of the chain, and a TPM that the guest's own tools use and that remembers. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Chain, featuresGuest, guestDisk, signedChain, tpmTools } from "./features-guest.ts";
import { bootWords, onlySession, readRecorded, run, sessionDirectories, workplace } from "./harness.ts";

/** A copy with one byte changed that its signature covers: code, behind the headers. */
function altered(program: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(program); // a Buffer's slice would be the same bytes
  const at = copy.length >> 1;
  copy[at] = copy[at]! ^ 1;
  return copy;
}

describe("a link of the chain that was changed is refused by the one before", () => {
  test.each([
    ["shim", "firmware", (chain: Required<Chain>) => ({ ...chain, loader: altered(chain.loader) })],
    ["GRUB", "bootloader", (chain: Required<Chain>) => ({ ...chain, grub: altered(chain.grub) })],
    ["the kernel", "bootloader", (chain: Required<Chain>) => ({ ...chain, kernel: altered(chain.kernel) })],
  ] as const)("%s: a violation at stage %s", async (_link, stage, change) => {
    await using place = await workplace();
    const guest = await featuresGuest();
    const image = await guestDisk(join(place.root, "changed.img"), change(await signedChain(guest)), guest, "");
    const { status, stderr } = await run(bootWords(image, place.logs, "--secure-boot", "--as", "virtio"));
    expect(status, stderr).toBe(1);
    const { session, report, serial } = onlySession(place.logs);
    expect(session.analysis, serial).toMatchObject({ boot_result: "failure", boot_stage_final: stage, failure_domain: stage });
    expect(report.findings.find(({ cause }) => cause)).toMatchObject({ kind: "secure_boot_violation", stage, domain: stage });
  });
});

test("the TPM answers tpm2-tools in the guest, and with --tpm-state it remembers in the next boot", async () => {
  await using place = await workplace();
  const guest = await featuresGuest();
  const image = await guestDisk(join(place.root, "signed.img"), await signedChain(guest), guest, "tpm2", [await tpmTools()]);
  const state = join(place.root, "state, kept");
  const words = bootWords(image, place.logs, "--secure-boot", "--as", "virtio", "--tpm-state", state);
  for (const said of ["guest: the TPM was told", "guest: the TPM remembers"]) {
    const { status, stderr } = await run(words);
    expect(status, stderr).toBe(0);
    const { session, serial } = readRecorded(sessionDirectories(place.logs).at(-1)!);
    expect(session).toMatchObject({ result: "success", tpm: true });
    expect(serial).toContain(said);
    expect(serial).toMatch(/TPM2_PT_FAMILY_INDICATOR:\s+raw: 0x322E3000\s+value: "2\.0"/);
    expect(serial).toMatch(/7 : 0x(?!0{64})[0-9A-F]{64}/);
  }
  // For their owner's eyes only.
  expect(statSync(state).mode & 0o777).toBe(0o700);
  const files = readdirSync(state).filter((name) => name !== ".lock"); // which is empty, and swtpm's own
  expect(files.length).toBeGreaterThan(0);
  for (const name of files) expect(statSync(join(state, name)).mode & 0o077, name).toBe(0);
});
