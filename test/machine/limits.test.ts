import { expect, test } from "vitest";
import { planLimits } from "../../src/machine/limits.ts";

const nothingAsked = { timeLimitS: undefined, hangLimitS: undefined };

test("every default but QEMU's own end is three times as long under emulation", () => {
  const kvm = planLimits("kvm", nothingAsked);
  const tcg = planLimits("tcg", nothingAsked);
  for (const name of ["bootMs", "stillMs", "stepMs", "settleMs", "powerdownMs"] as const) expect(tcg[name], name).toBe(3 * kvm[name]);
  expect(tcg.quitMs).toBe(kvm.quitMs);
});

test("in a computer that is emulated itself every default is longer still, and no timer is longer than one counts", () => {
  const usual = planLimits("tcg", nothingAsked);
  const inside = planLimits("tcg", nothingAsked, "boot", true);
  for (const name of ["bootMs", "stillMs", "stepMs", "settleMs", "powerdownMs", "quitMs"] as const)
    expect(inside[name], name).toBe(5 * usual[name]);
  expect(planLimits("tcg", { timeLimitS: 7, hangLimitS: 3 }, "boot", true)).toMatchObject({ bootMs: 7_000, stillMs: 3_000 });
  expect(planLimits("tcg", nothingAsked, "build", true).bootMs).toBeLessThan(2 ** 31);
});

test.each(["kvm", "tcg"] as const)("what a person gives in seconds is taken as given (%s)", (accelerator) => {
  const limits = planLimits(accelerator, { timeLimitS: 7, hangLimitS: 3 });
  expect(limits).toMatchObject({ bootMs: 7_000, stillMs: 3_000 });
  const { bootMs: _, stillMs: __, ...others } = limits;
  expect(planLimits(accelerator, nothingAsked)).toMatchObject(others);
});

test("what the steps of a script ask for is added to the boot's own limit, and no limit is longer than a timer counts", () => {
  const { bootMs, ...others } = planLimits("tcg", nothingAsked);
  expect(planLimits("tcg", { ...nothingAsked, scriptLimitS: 100 })).toEqual({ bootMs: bootMs + 100_000, ...others });
  expect(planLimits("tcg", { ...nothingAsked, scriptLimitS: 1e9 }).bootMs).toBe(2 ** 31 - 1);
  expect(planLimits("tcg", { timeLimitS: 7, hangLimitS: undefined, scriptLimitS: 100 }).bootMs).toBe(7_000);
});

test("one asked limit leaves the other at its default", () => {
  expect(planLimits("tcg", { timeLimitS: 7, hangLimitS: undefined }).stillMs).toBe(planLimits("tcg", nothingAsked).stillMs);
});

test("a guest that builds for days is not taken for one that hangs, and may end by itself behind its goal", () => {
  for (const accelerator of ["kvm", "tcg"] as const) {
    const [boot, build] = (["boot", "build"] as const).map((waiting) => planLimits(accelerator, nothingAsked, waiting));
    expect(boot).toEqual(planLimits(accelerator, nothingAsked));
    expect(boot!.leaveMs).toBe(0);
    expect(build!.leaveMs).toBeGreaterThan(60_000);
    expect(build!.stillMs).toBeGreaterThan(100 * boot!.stillMs);
    expect(build!.bootMs).toBeGreaterThan(24 * 3_600_000);
    expect(build!.bootMs, "what a timer of Node can count").toBeLessThan(2 ** 31);
    expect(build).toMatchObject({ settleMs: boot!.settleMs, powerdownMs: boot!.powerdownMs, quitMs: boot!.quitMs });
  }
  expect(planLimits("tcg", { timeLimitS: 7, hangLimitS: 3 }, "build")).toMatchObject({ bootMs: 7_000, stillMs: 3_000 });
});
