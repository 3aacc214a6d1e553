import { describe, expect, test } from "vitest";
import { planTrace, type TraceOffer, type TracePlan, traceArguments, traceFloods } from "../../src/machine/trace.ts";

const OFFER: TraceOffer = {
  lists: { standard: "/t/standard.events", detailed: "/t/detailed.events", full: "/t/full.events" },
  declarations: "/usr/share/qemu/trace-events-all",
  binary: false,
};

const planned = (level: TracePlan["level"], limitMb?: number): TracePlan => {
  const plan = planTrace({ level, limitMb }, OFFER);
  if (plan === undefined || typeof plan === "string") throw new Error(`no plan: ${plan}`);
  return plan;
};

describe("the plan of a trace", () => {
  test("each level has its list; only full has a limit of its own", () => {
    expect(planTrace({ level: "none", limitMb: 5 }, OFFER)).toBeUndefined();
    expect(planned("standard")).toMatchObject({ list: "/t/standard.events", bytesMax: null, because: "trace level standard" });
    expect(planned("detailed")).toMatchObject({ list: "/t/detailed.events", bytesMax: null });
    expect(planned("full")).toMatchObject({ list: "/t/full.events", bytesMax: 1_024_000_000 });
    expect(planned("full", 5)).toMatchObject({ bytesMax: 5_000_000, because: "trace level full, at most 5 MB" });
    expect(planned("standard", 5)).toMatchObject({ bytesMax: 5_000_000 });
  });

  test("without QEMU's declarations there is none, and a person is told why", () => {
    expect(planTrace({ level: "standard", limitMb: undefined }, { ...OFFER, declarations: undefined })).toMatch(/trace-events-all/);
  });

  test("in QEMU's words commas are doubled; with a binary back-end its text log goes nowhere", () => {
    const places = { list: "/tmp/a,b/trace.list", fifo: "/tmp/a,b/trace.fifo" };
    const words = ["-msg", "timestamp=on", "-trace", "events=/tmp/a,,b/trace.list,file=/tmp/a,,b/trace.fifo"];
    expect(traceArguments({ binary: false }, places)).toEqual(words);
    expect(traceArguments({ binary: true }, places)).toEqual([...words, "-D", "/dev/null"]);
  });

  test("the floods are known by the events and what they are of", () => {
    expect(traceFloods("/tmp/s/variables.fd")).toEqual([
      { name: "firmware variables", events: ["blk_co_pwritev"], argument: "bs", is: { nodeOf: "/tmp/s/variables.fd" } },
      { name: "acpi-tmr", events: ["memory_region_ops_read", "memory_region_ops_write"], argument: "name", is: { text: "acpi-tmr" } },
    ]);
  });
});
