import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseManifest } from "../../src/bootstrap/manifest.ts";
import { checkOptions, hasPayload, type RawOptions } from "../../src/bootstrap/options.ts";
import { parseSources, type SourceLine } from "../../src/bootstrap/source-list.ts";
import { splitSources } from "../../src/bootstrap/split.ts";

const sum = (name: string): string => Buffer.from(name.padEnd(32, "-")).toString("hex").slice(0, 64);

/** Packages with the names of their files. */
function treeOf(manifest: string, packages: Readonly<Record<string, readonly string[]>>) {
  const sources = new Map<string, readonly SourceLine[]>(
    Object.entries(packages).map(([name, files]) => {
      const text = files.map((file) => `f http://x/${file} ${sum(file)}\n`).join("");
      return [name, parseSources(text, `steps/${name}/sources`)];
    }),
  );
  return { manifest: parseManifest(manifest, "steps/manifest"), sources };
}

const options = (raw: RawOptions) => checkOptions({ mirrors: ["http://m"], ...raw });
const names = (files: readonly { readonly name: string }[]): readonly string[] => files.map(({ name }) => name);

const MANIFEST = `build: a
build: b ( CHROOT == True )
jump: fiwix
improve: import_payload
build: c
improve: get_things # not the network: a comment counts, as in the original
build: a
improve: get_network
build: d
`;
const TREE = treeOf(MANIFEST, { a: ["a1", "a2"], b: ["b1"], c: ["c1", "a2"], d: ["d1"] });

describe("the split", () => {
  test("with a payload is at the import; predicates are not looked at", () => {
    const { early, late, network, boundary } = splitSources(TREE, options({ qemu: true, externalSources: true }));
    expect([names(early), names(late), names(network)]).toEqual([["a1", "a2", "b1"], ["c1", "d1"], []]);
    expect(boundary).toEqual({ line: 4, step: "improve: import_payload" });
    expect(early[2]!.because).toBe('wanted in line 2 by b, before line 4, "improve: import_payload"');
    expect(late[1]!.because).toBe('wanted in line 9 by d, behind line 4, "improve: import_payload"');
    expect(early[1]!.wantedBy).toEqual(["a", "c"]);
  });

  test.each<[string, RawOptions, readonly string[], readonly string[], readonly string[]]>([
    ["without external sources", { qemu: true }, ["a1", "a2", "b1", "c1"], [], ["d1"]],
    ["with a repo", { qemu: true, repo: "r" }, ["a1", "a2", "b1", "c1"], [], ["d1"]],
    ["with a repo and external sources", { qemu: true, repo: "r", externalSources: true }, ["a1", "a2", "b1", "c1"], ["d1"], []],
    ["of a chroot", { chroot: true }, ["a1", "a2", "b1", "c1"], [], ["d1"]],
    ["of a chroot with external sources", { chroot: true, externalSources: true }, ["a1", "a2", "b1", "c1", "d1"], [], []],
    ["of a given kernel with both", { qemu: true, kernel: "k", externalSources: true, repo: "r" }, ["a1", "a2", "b1", "c1", "d1"], [], []],
  ])("%s", (_, raw, early, late, network) => {
    const tree = treeOf(MANIFEST.replace(" not the network: a comment counts, as in the original", ""), {
      a: ["a1", "a2"],
      b: ["b1"],
      c: ["c1", "a2"],
      d: ["d1"],
    });
    const split = splitSources(tree, options(raw));
    expect([names(split.early), names(split.late), names(split.network)]).toEqual([early, late, network]);
  });

  test("an improve with network in its comment is where the network begins, as in the original", () => {
    const { early, boundary } = splitSources(TREE, options({ qemu: true }));
    expect(boundary).toEqual({ line: 6, step: "improve: get_things" });
    expect(names(early)).toEqual(["a1", "a2", "b1", "c1"]);
  });

  test("without a network everything is early", () => {
    const { early, network, boundary } = splitSources(treeOf("build: a\nbuild: d\n", { a: ["a1"], d: ["d1"] }), options({ qemu: true }));
    expect([names(early), network, boundary]).toEqual([["a1", "d1"], [], undefined]);
  });

  test("brings the sources of Guix last", () => {
    const guix = { folder: "steps-guix", ...treeOf("build: g\nimprove: get_network\n", { g: ["g1", "a1"] }) };
    const split = (raw: RawOptions) => splitSources({ ...TREE, guix }, options({ buildGuixAlso: true, ...raw }));
    expect(names(split({ qemu: true, externalSources: true }).late)).toEqual(["c1", "d1", "g1"]);
    expect(split({ qemu: true, externalSources: true }).late[2]!.because).toMatch(/^wanted by steps-guix, behind line 4/);
    expect(names(split({ qemu: true }).network)).toEqual(["d1", "g1"]);
    expect(names(split({ chroot: true, externalSources: true }).early)).toEqual(["a1", "a2", "b1", "c1", "d1", "g1"]);
  });

  test("refuses two files of one name, wherever they are wanted", () => {
    const tree = treeOf("build: a\nimprove: get_network\nbuild: b\n", { a: ["x"] });
    const other = parseSources(`f http://y/x ${"0".repeat(64)}\n`, "steps/b/sources");
    expect(() => splitSources({ ...tree, sources: new Map([...tree.sources, ["b", other]]) }, options({ chroot: true }))).toThrow(
      /steps\/b\/sources:1/,
    );
  });
});

const package_ = fc.constantFrom("a", "b", "c", "d", "e");
const line = fc.oneof(
  { weight: 4, arbitrary: package_.map((name) => `build: ${name}`) },
  { weight: 1, arbitrary: fc.constantFrom("improve: i", "improve: get_network", "jump: fiwix", "define: V = 1", "uninstall: a") },
);
const files = fc.array(fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8"), { maxLength: 4 });
const raw: fc.Arbitrary<RawOptions> = fc
  .record({
    mode: fc.constantFrom("chroot", "bwrap", "qemu", "bareMetal"),
    externalSources: fc.boolean(),
    kernel: fc.constantFrom(undefined, "k"),
    repo: fc.constantFrom(undefined, "r"),
  })
  .map(({ mode, ...rest }) => ({ ...rest, [mode]: true }));

describe("any split", () => {
  test("puts every distfile of the manifest into exactly one set, and each set is in manifest order", () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        fc.nat(12),
        fc.record({ a: files, b: files, c: files, d: files, e: files }),
        raw,
        (lines, at, packages, asked) => {
          const text = [...lines.slice(0, at), "improve: import_payload", ...lines.slice(at)].join("\n");
          const checked = options(asked);
          const tree = treeOf(text, packages);
          const { early, late, network } = splitSources(tree, checked);
          const built = tree.manifest.lines.filter(({ directive }) => directive === "build").map(({ name }) => name);
          const full = [...new Set(built.flatMap((name) => packages[name as keyof typeof packages]))];
          const all = [early, late, network].map(names);
          expect(all.flat().sort()).toEqual([...full].sort());
          for (const set of all) expect(set).toEqual(full.filter((name) => set.includes(name)));
          // What a step before the import wants is there before the import.
          if (!hasPayload(checked)) return;
          const before = new Set(
            lines.slice(0, at).flatMap((step) => (step.startsWith("build: ") ? packages[step.slice(7) as keyof typeof packages] : [])),
          );
          expect(names(early)).toEqual(full.filter((name) => before.has(name)));
        },
      ),
    );
  });

  test("looks at no predicate: it is the same whatever the lines hang on", () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        raw,
        (lines, hangs, asked) => {
          const packages = { a: ["1", "2"], b: ["2", "3"], c: ["4"], d: ["5"], e: ["1"] };
          const step = "improve: import_payload";
          const plain = treeOf([...lines, step].join("\n"), packages);
          const hanging = treeOf(
            [...lines.map((text, index) => (hangs[index] ? `${text} ( CHROOT == x )` : text)), step].join("\n"),
            packages,
          );
          expect(splitSources(hanging, options(asked))).toEqual(splitSources(plain, options(asked)));
        },
      ),
    );
  });
});
