import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lookForTool } from "../../src/host/tools.ts";
import { type DrawnGraph, type DrawnStage, drawDot, drawText } from "../../src/live/draw.ts";
import { drawSvg } from "../../src/live/draw-svg.ts";
import { orderOf } from "../../src/live/graph.ts";
import { readPlan } from "../../src/live/plan.ts";

const graph: DrawnGraph = {
  stages: [
    { name: "seed", kind: "seed", inputs: {} },
    { name: "kernel", kind: "kernel", inputs: { root: "seed" }, note: "kept" },
    { name: "root", kind: "rootfs", inputs: { base: "seed", kernel: "kernel" } },
    { name: "spare", kind: "disk", inputs: { root: "root" } },
    { name: "iso", kind: "iso", inputs: { root: "root", kernel: "kernel" }, note: "to build" },
    { name: "boots", kind: "boot-test", inputs: { image: "iso" } },
  ],
  targets: [{ stage: "iso", file: "a.iso" }, { stage: "boots" }],
};

describe("the graph of a spec", () => {
  test("is a tree in a terminal, each stage once with all before it", () => {
    expect(drawText(graph)).toBe(`iso → a.iso  [to build]
├─ root (rootfs)
│  ├─ base: seed
│  └─ kernel  [kept]
│     └─ root: seed
└─ kernel, as above  [kept]
boots (boot-test)
└─ image: iso, as above  [to build]

Not needed: spare (disk)
`);
  });

  test("of many diamonds is as long as it has edges, and not as it has ways", () => {
    const stages = Array.from({ length: 60 }, (_, index): DrawnStage => {
      const before = `s${index - 1}`;
      return { name: `s${index}`, kind: "k", inputs: index === 0 ? {} : { left: before, right: before } };
    });
    expect(drawText({ stages, targets: [{ stage: "s59" }] }).split("\n").length).toBeLessThan(130);
  });

  test("is DOT, with what is quoted there", () => {
    const [first] = graph.stages;
    expect(drawDot({ stages: [{ ...first!, note: 'a "b" \\' }, graph.stages[1]!], targets: [{ stage: "seed" }] }, "p")).toBe(`digraph "p" {
  rankdir=LR;
  node [shape=box, style=rounded, fontname=sans];
  edge [fontname=sans, fontsize=10];
  "seed" [label="seed\\nseed\\na \\"b\\" \\\\", penwidth=2];
  "kernel" [label="kernel\\nkernel\\nkept"];
  "seed" -> "kernel" [label="root"];
}
`);
  });

  test("is an SVG document, whose text is escaped", async () => {
    const svg = drawSvg({ ...graph, stages: [...graph.stages, { name: "x", kind: "<k>", inputs: {}, note: "&" }] }, '"t" <u>');
    expect(svg).toContain('aria-label="&quot;t&quot; &lt;u&gt;"');
    expect(svg).toContain("&lt;k&gt;, &amp;");
    expect(svg).not.toContain("<k>");
    if ((await lookForTool("xmllint", process.env)) !== undefined) {
      expect(spawnSync("xmllint", ["--noout", "-"], { input: svg, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    }
  });

  test("of the demo has a box for each stage and an edge for each input", async () => {
    const plan = await readPlan(join(import.meta.dirname, "../../live/demo.yaml"));
    const stages = orderOf(plan.stages, [plan.result.stage]);
    const svg = drawSvg({ stages, targets: [plan.result] }, plan.name);
    expect(svg.match(/<rect /g)).toHaveLength(stages.length);
    const inputs = stages.flatMap(({ inputs: named }) => Object.keys(named));
    expect([...svg.matchAll(/class="input"[^>]*>([^<]*)</g)].map(([, name]) => name).sort()).toEqual(inputs.sort());
  });

  test("has no boxes upon each other, whatever it is, and stays inside its frame", () => {
    const stages = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { maxLength: 14 }).map((rows) =>
      rows.map(
        (from, index): DrawnStage => ({
          name: `stage-${"x".repeat(index % 5)}${index}`,
          kind: "kind",
          inputs: Object.fromEntries(
            index === 0 ? [] : from.map((pick, input) => [`in${input}`, `stage-${"x".repeat((pick % index) % 5)}${pick % index}`]),
          ),
        }),
      ),
    );
    fc.assert(
      fc.property(stages, (all) => {
        const svg = drawSvg({ stages: all, targets: [] }, "any");
        const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)!.map(Number) as [number, number, number];
        const boxes = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g)].map(
          ([, ...numbers]) => numbers.map(Number) as [number, number, number, number],
        );
        expect(boxes).toHaveLength(all.length);
        for (const [index, [x, y, w, h]] of boxes.entries()) {
          expect(x + w).toBeLessThanOrEqual(width);
          expect(y + h).toBeLessThanOrEqual(height);
          for (const [x2, y2, w2, h2] of boxes.slice(index + 1)) {
            expect(x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y).toBe(true);
          }
        }
        expect(svg).not.toContain("NaN");
      }),
    );
  });
});
