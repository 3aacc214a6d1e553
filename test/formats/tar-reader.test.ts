import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type ByteText, byteText, fromBytes, pathInside, readable } from "../../src/formats/byte-text.ts";
import { completeTree } from "../../src/formats/file-tree.ts";
import { encodeTar, TAR_END, tarEntryOf, writeTar } from "../../src/formats/tar.ts";
import { type Extent, storedBytes, type TarEntry, type TarMember, wholeContent } from "../../src/formats/tar-entry.ts";
import { type ReadTarOptions, readTar } from "../../src/formats/tar-reader.ts";
import { anyTree } from "./tree-arbitrary.ts";

/** In pieces of `pieceBytes`, as a pipe may bring them. */
async function* pieces(bytes: Uint8Array, pieceBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function collected(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of source) all.push(piece);
  return Buffer.concat(all);
}

interface Read {
  readonly entry: TarEntry;
  readonly content: Buffer;
}

async function read(bytes: Uint8Array, pieceBytes?: number, options: Partial<ReadTarOptions> = {}): Promise<readonly Read[]> {
  const all: Read[] = [];
  for await (const member of readTar(pieces(bytes, pieceBytes), { where: "archive", ...options })) {
    all.push({ entry: member.entry, content: await collected(wholeContent(member)) });
  }
  return all;
}

const common = { mode: 0o644, uid: 0, gid: 0, mtimeS: 1_767_225_600, xattrs: new Map(), records: new Map() } as const;
const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const member = (entry: TarEntry, content: Uint8Array = new Uint8Array()): TarMember => ({ entry, content: pieces(content) });
const written = (members: readonly TarMember[]): Promise<Buffer> => collected(writeTar(members));
const names = (all: readonly Read[]) => all.map(({ entry }) => readable(entry.path));

const byteName = fc
  .uint8Array({ minLength: 1, maxLength: 150 })
  .map((bytes) => pathInside(fromBytes(bytes).replaceAll("\0", "x")))
  .filter((path): path is ByteText => path !== undefined && path !== "");
const attributes = fc
  .array(fc.tuple(fc.constantFrom("user.a=b", "security.capability", "user.100%", "user.\xff"), fc.uint8Array({ maxLength: 700 })), {
    maxLength: 3,
  })
  .map((pairs) => new Map(pairs.map(([name, bytes]): [ByteText, Uint8Array] => [name as ByteText, Buffer.from(bytes)])));
const anyCommon = fc.record({
  path: byteName,
  mode: fc.nat({ max: 0o7777 }),
  uid: fc.oneof(fc.nat({ max: 70_000 }), fc.constantFrom(2_097_151, 2_097_152, 4_294_967_294)),
  gid: fc.oneof(fc.nat({ max: 70_000 }), fc.constantFrom(2_097_152)),
  mtimeS: fc.oneof(fc.nat(), fc.constantFrom(-1, 0o777_7777_7777, 0o777_7777_7777 + 1)),
  xattrs: attributes,
  records: fc.constantFrom(new Map(), new Map([["SCHILY.acl.access" as ByteText, Buffer.from("user::rwx\nuser:7:r--")]])),
});
const block = fc.constantFrom(512, 1024).chain((bytes) => fc.uint8Array({ minLength: bytes, maxLength: bytes }));
/** Extents with their bytes, and a hole behind the last or none. */
const anySparse = fc
  .tuple(fc.array(fc.tuple(fc.nat({ max: 5000 }), block), { maxLength: 5 }), fc.nat({ max: 3000 }))
  .map(([parts, hole]) => {
    let at = 0;
    const extents: Extent[] = parts.map(([gap, bytes]) => {
      const offset = at + gap + 1;
      at = offset + bytes.length;
      return { offset, bytes: bytes.length };
    });
    return { extents, sizeBytes: at + hole, content: Buffer.concat(parts.map(([, bytes]) => bytes)) };
  });
const anyMember: fc.Arbitrary<{ readonly entry: TarEntry; readonly stored: Uint8Array }> = fc.oneof(
  fc
    .tuple(anyCommon, fc.uint8Array({ maxLength: 2000 }))
    .map(([shared, stored]) => ({ entry: { ...shared, kind: "file" as const, sizeBytes: stored.length }, stored })),
  fc.tuple(anyCommon, anySparse).map(([shared, { extents, sizeBytes, content }]) => ({
    entry: { ...shared, kind: "file" as const, sizeBytes, extents },
    stored: content,
  })),
  fc
    .tuple(anyCommon, byteName, fc.constantFrom("symlink" as const, "hard-link" as const))
    .map(([shared, target, kind]) => ({ entry: { ...shared, kind, target }, stored: new Uint8Array() })),
  fc
    .tuple(anyCommon, fc.nat({ max: 4095 }), fc.constantFrom("character-device" as const, "block-device" as const))
    .map(([shared, major, kind]) => ({ entry: { ...shared, kind, major, minor: 0o777_7777 }, stored: new Uint8Array() })),
  fc
    .tuple(anyCommon, fc.constantFrom("directory" as const, "fifo" as const))
    .map(([shared, kind]) => ({ entry: { ...shared, kind }, stored: new Uint8Array() })),
);

describe("a tar archive of ours", () => {
  test("is read back as it was: owners, attributes, links, devices, holes, names that are no text", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyMember, { maxLength: 6 }), fc.integer({ min: 1, max: 5000 }), async (members, pieceBytes) => {
        const archive = await written(members.map(({ entry, stored }) => member(entry, stored)));
        const all: Read[] = [];
        for await (const one of readTar(pieces(archive, pieceBytes), { where: "archive" })) {
          all.push({ entry: one.entry, content: await collected(one.content) });
        }
        expect(all.map(({ entry }) => entry)).toEqual(members.map(({ entry }) => entry));
        expect(all.map(({ content }) => content)).toEqual(members.map(({ stored }) => Buffer.from(stored)));
      }),
      { numRuns: 150 },
    );
  });

  test("holds a tree of files as the tree says", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        const all = await read(Buffer.concat([...encodeTar(tree, { mtimeS: 7 })]));
        expect(all.map(({ entry }) => entry)).toEqual(completeTree(tree).map((entry) => tarEntryOf(entry, { mtimeS: 7 })));
      }),
      { numRuns: 50 },
    );
  });

  test("says where each content stands, so that it can be read later", async () => {
    const archive = await written([
      member({ ...common, kind: "fifo", path: byteText("p") }),
      member({ ...common, kind: "file", path: byteText("é".repeat(60)), sizeBytes: 5 }, text("hello")),
    ]);
    const places: string[] = [];
    for await (const { contentOffset, entry } of readTar(pieces(archive), { where: "archive" })) {
      places.push(archive.subarray(contentOffset, contentOffset + storedBytes(entry)).toString());
    }
    expect(places).toEqual(["", "hello"]);
  });

  test("skips a content that nobody reads, and refuses it afterwards", async () => {
    const archive = await written([
      member({ ...common, kind: "file", path: byteText("a"), sizeBytes: 3000 }, new Uint8Array(3000)),
      member({ ...common, kind: "file", path: byteText("b"), sizeBytes: 1 }, text("b")),
    ]);
    const all: TarMember[] = [];
    for await (const one of readTar(pieces(archive), { where: "archive" })) all.push(one);
    expect(all).toHaveLength(2);
    await expect(collected(all[0]!.content)).rejects.toThrow(/before the next entry/);
  });

  test("is not written where a content is not as long as it says", async () => {
    const entry: TarEntry = { ...common, kind: "file", path: byteText("a/b"), sizeBytes: 3 };
    await expect(written([member(entry, text("four"))])).rejects.toThrow(/a\/b: expected 3 bytes, found more/);
    await expect(written([member(entry, text("me"))])).rejects.toThrow(/a\/b: expected 3 bytes, found 2/);
  });

  test("keeps the bytes of a file whose holes begin within a block, if not the holes", async () => {
    const extents = [
      { offset: 1, bytes: 1 },
      { offset: 700, bytes: 2 },
    ];
    const [one] = await read(
      await written([member({ ...common, kind: "file", path: byteText("s"), sizeBytes: 1000, extents }, text("abc"))]),
    );
    expect(one!.entry).not.toHaveProperty("extents");
    expect(one!.content.toString()).toBe(`\0a${"\0".repeat(698)}bc${"\0".repeat(298)}`);
  });

  test("does not take device numbers that its fields cannot hold", async () => {
    const entry: TarEntry = { ...common, kind: "block-device", path: byteText("sda"), major: 8, minor: 1 << 21 };
    await expect(written([member(entry)])).rejects.toThrow(/device numbers up to 2097151/);
  });
});

describe("headers that few writers make", () => {
  const firstOf = async (bytes: Uint8Array): Promise<TarEntry | undefined> => {
    for await (const { entry } of readTar(pieces(bytes), { where: "archive" })) return entry;
    return undefined;
  };
  /** A header of before POSIX: no magic, numbers as given. */
  const oldHeader = (fields: Readonly<Record<number, string>>, sum: (bytes: Uint8Array) => number = unsignedSum): Uint8Array => {
    const header = Buffer.alloc(512);
    for (const at of [100, 108, 116]) header.write("    644 ", at, "latin1");
    header.write("          0 ", 124, "latin1");
    header.write("          0 ", 136, "latin1");
    for (const [at, text] of Object.entries(fields)) header.write(text, Number(at), "latin1");
    header.fill(0x20, 148, 156);
    header.write(`${sum(header).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return header;
  };
  const unsignedSum = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + byte, 0);
  const signedSum = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + (byte > 127 ? byte - 256 : byte), 0);

  test("a file of more than 8 GiB has its size in an extended header, as GNU tar reads it", async () => {
    const entry: TarEntry = { ...common, kind: "file", path: byteText("big"), sizeBytes: 2 ** 33 + 1 };
    const headers: Uint8Array[] = [];
    for await (const piece of writeTar([{ entry, content: pieces(new Uint8Array(1)) }])) {
      headers.push(piece);
      if (Buffer.concat(headers).length >= 1536) break;
    }
    expect(await firstOf(Buffer.concat(headers))).toEqual(entry);
    const { stdout } = spawnSync("tar", ["-tvf", "-"], { input: Buffer.concat(headers), encoding: "utf8" });
    expect(stdout).toMatch(/ 8589934593 .* big\n/);
  });

  test.each([
    ["a folder is a file whose name ends with a slash", { 0: "d/" }, unsignedSum, { kind: "directory", path: "d" }],
    [
      "numbers stand between blanks, and bytes are added with their sign",
      { 0: "n\xff" },
      signedSum,
      { kind: "file", path: "n\xff", mode: 0o644 },
    ],
    ["a negative time in base 256", { 0: "x", 136: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe" }, unsignedSum, { mtimeS: -2 }],
    ["an owner in base 256", { 0: "x", 108: "\x80\0\0\0\x12\x34\x56\x78" }, unsignedSum, { uid: 0x1234_5678 }],
  ])("before POSIX: %s", async (_, fields, sum, expected) => {
    expect(await firstOf(Buffer.concat([oldHeader(fields, sum), TAR_END]))).toMatchObject(expected);
  });

  test("records for all that follow hold until another says otherwise", async () => {
    const records = Buffer.from("15 uname=alice\n17 comment=hello\n");
    const padded = Buffer.concat([records, Buffer.alloc(-records.length & 511)]);
    const archive = Buffer.concat([
      oldHeader({ 0: "pax_global", 124: `${records.length.toString(8).padStart(11, "0")} `, 156: "g" }),
      ...[padded, oldHeader({ 0: "a" }), oldHeader({ 0: "b" }), TAR_END],
    ]);
    expect((await read(archive)).map(({ entry }) => [entry.path, entry.userName])).toEqual([
      ["a", "alice"],
      ["b", "alice"],
    ]);
  });
});

describe("a damaged tar archive", () => {
  const entries: readonly TarEntry[] = [
    { ...common, kind: "directory", path: byteText("d") },
    { ...common, kind: "file", path: byteText("d/f"), sizeBytes: 5, xattrs: new Map([[byteText("user.x"), text("1")]]) },
    { ...common, kind: "file", path: byteText("s"), sizeBytes: 9000, extents: [{ offset: 8192, bytes: 3 }] },
    { ...common, kind: "symlink", path: byteText("l"), target: byteText("t".repeat(120)) },
  ];
  const small = (some = entries) => written(some.map((entry) => member(entry, text("hello".slice(0, storedBytes(entry))))));

  test("that is cut anywhere is refused", async () => {
    const archive = await small(entries.slice(1, 3));
    for (let length = 0; length <= archive.length - 1024; length += 1) {
      // What a filled block holds behind its content looks the same wherever it is cut.
      if (archive.subarray(length - 8, length + 8).every((byte) => byte === 0) && length % 512 > 8) continue;
      await expect(read(archive.subarray(0, length), 512)).rejects.toBeInstanceOf(HiperisoError);
    }
    // One block of zeros is the end already.
    await expect(read(archive.subarray(0, -512))).resolves.toHaveLength(2);
  });

  test("without its end is taken where the caller knows it to be whole", async () => {
    const archive = await small();
    expect(await read(archive.subarray(0, -1024), 512, { end: "optional" })).toHaveLength(4);
    await expect(read(archive.subarray(0, -1025), 512, { end: "optional" })).rejects.toBeInstanceOf(HiperisoError);
  });

  test("with any bit of its headers flipped is read or refused with a place, never worse", async () => {
    const flipped = await small();
    // 11 and 8 share no factor: each bit of a byte has its turn.
    for (let bit = 0; bit < flipped.length * 8; bit += 11) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        await read(flipped, 4096);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^archive@\d+$/);
      }
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("with headers of any content and a right sum is read or refused with a place", async () => {
    const numeric = fc.oneof(
      fc.stringMatching(/^[0-7]{1,11}$/),
      fc.stringMatching(/^[\x80\xff][\x00-\xff]{11}$/),
      fc.string({ maxLength: 12 }),
    );
    const header = fc.record({
      name: fc.string({ maxLength: 100 }),
      type: fc.constantFrom(..."01234567xgLKSVXD\0"),
      size: numeric,
      mtime: numeric,
      rest: fc.string({ maxLength: 155 }),
      sparse: fc.uint8Array({ maxLength: 120 }),
    });
    const body = fc.oneof(
      fc.constantFrom(
        "",
        "11 path=a/b\n",
        "30 GNU.sparse.map=1,2,5,9,100,4\n",
        "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
        "2\n0\n1\n5\n1\n",
      ),
      fc.string({ maxLength: 600 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(header, body, fc.boolean()), { minLength: 1, maxLength: 4 }), async (parts) => {
        const blocks = parts.flatMap(([{ name, type, size, mtime, rest, sparse }, content, isRight]) => {
          const bytes = Buffer.from(content, "latin1");
          const block = Buffer.alloc(512);
          block.write(name, 0, 100, "latin1");
          for (const at of [100, 108, 116, 329, 337]) block.write("0000644", at, "latin1");
          block.write(!isRight ? size : bytes.length.toString(8).padStart(11, "0"), 124, 12, "latin1");
          block.write(mtime, 136, 12, "latin1");
          block.write(type, 156, "latin1");
          block.write(rest, 345, 155, "latin1");
          block.set(sparse, 386);
          block.write(type === "S" ? "ustar  \0" : "ustar\x0000", 257, "latin1");
          block.fill(0x20, 148, 156);
          block.write(
            `${block
              .reduce((sum, byte) => sum + byte, 0)
              .toString(8)
              .padStart(6, "0")}\0 `,
            148,
            "latin1",
          );
          return [block, bytes, Buffer.alloc(-bytes.length & 511)];
        });
        try {
          // Files of terabytes are fine in a header: only what is stored is read here.
          for await (const one of readTar(pieces(Buffer.concat([...blocks, TAR_END])), { where: "archive" })) await collected(one.content);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
          expect((error as HiperisoError).where).toMatch(/^archive@\d+$/);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test.each([
    ["a name that leaves it", { path: "../x" }, /expected a name inside the archive, found "..\/x"/],
    ["a name that leaves it later", { path: "a/../../x" }, /a name inside the archive/],
    ["a hard link that leaves it", { kind: "hard-link", target: "../x" }, /the name of a file in the archive, found "..\/x"/],
    ["a file that is longer than the archive", { sizeBytes: 2 ** 30 }, /1073740800 more bytes of a file/],
  ])("with %s is refused", async (_, change, message) => {
    const entry = { ...common, kind: "file", path: "x", sizeBytes: 0, ...change } as unknown as TarEntry;
    const header = (await writeTar([member(entry)]).next()).value as Uint8Array;
    await expect(read(Buffer.concat([header, TAR_END]))).rejects.toThrow(message);
  });

  test("takes names from the root and from here as names inside", async () => {
    const paths = ["/etc/passwd", "./a//b/./c", "."].map((path) => ({ ...common, kind: "directory", path: path as ByteText }) as const);
    expect(names(await read(await written(paths.map((entry) => member(entry)))))).toEqual(["etc/passwd", "a/b/c", ""]);
  });
});

describe("archives of other programs", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-tar-"));
    shell(`
      mkdir t; cd t
      printf hello > plain; ln plain linked; ln -s plain soft; mkdir -m 1777 d; mkfifo pipe
      printf x > "$(printf 'not-utf8-\\377')"
      printf long > "d/$(printf 'n%.0s' $(seq 200))"
      ln -s "$(printf 't%.0s' $(seq 150))" longlink
      truncate -s 40K sparse; printf AAAA | dd of=sparse bs=1 seek=8192 conv=notrunc status=none; printf BB | dd of=sparse bs=1 seek=36864 conv=notrunc status=none
      truncate -s 16K empty-sparse
      i=0; while [ $i -lt 40 ]; do printf P | dd of=many-holes bs=1 seek=$((i * 16384)) conv=notrunc status=none; i=$((i + 1)); done
      touch -d @-5 old; touch -d '2026-01-01 00:00:00.5 UTC' half
    `);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const shell = (script: string) => {
    const { status, stdout, stderr } = spawnSync("bash", ["-ec", script], { cwd: folder, maxBuffer: 1 << 28 });
    expect(`${stderr}`.replace(/^.*: file name '.*' .*\n/gm, "")).toBe("");
    expect(status).toBe(0);
    return stdout;
  };
  const hasBsdtar = spawnSync("bsdtar", ["--version"]).status === 0;

  const FORMS = [
    ["GNU tar's own form", "tar --format=gnu -S -cf - t"],
    ["GNU tar, pax, holes 0.0", "tar --format=pax -S --sparse-version=0.0 -cf - t"],
    ["GNU tar, pax, holes 0.1", "tar --format=pax -S --sparse-version=0.1 -cf - t"],
    ["GNU tar, pax, holes 1.0", "tar --format=pax -S --sparse-version=1.0 -cf - t"],
    ["GNU tar without holes", "tar --format=pax -cf - t"],
    ["bsdtar", "bsdtar --format=pax -cf - t"],
    ["bsdtar's ustar", "bsdtar --format=gnutar -cf - t"],
  ] as const;

  test.each(FORMS)("are read: %s", async (name, line) => {
    if (line.startsWith("bsdtar") && !hasBsdtar) return;
    const all = await read(shell(`${line} 2> err || { cat err >&2; exit 1; }`), 700);
    const byPath = new Map(all.map((one) => [one.entry.path as string, one]));
    const content = (path: string) => byPath.get(path)?.content.toString("latin1");
    expect([...byPath.keys()].sort()).toEqual(
      // Names in code unit order of bytes.
      [
        "t",
        "t/d",
        `t/d/${"n".repeat(200)}`,
        "t/empty-sparse",
        "t/half",
        "t/linked",
        "t/longlink",
        "t/many-holes",
        "t/not-utf8-\xff",
        "t/old",
        "t/pipe",
        "t/plain",
        "t/soft",
        "t/sparse",
      ],
    );
    expect(byPath.get("t/longlink")?.entry).toMatchObject({ kind: "symlink", target: "t".repeat(150) });
    expect(byPath.get("t/d")?.entry).toMatchObject({ kind: "directory", mode: 0o1777 });
    expect(byPath.get("t/pipe")?.entry.kind).toBe("fifo");
    const [first, second] = ["t/plain", "t/linked"].sort((a, b) => [...byPath.keys()].indexOf(a) - [...byPath.keys()].indexOf(b)) as [
      string,
      string,
    ];
    expect([content(first), byPath.get(second)?.entry]).toMatchObject(["hello", { kind: "hard-link", target: first }]);
    expect(content("t/sparse")).toBe(`${"\0".repeat(8192)}AAAA${"\0".repeat(28668)}BB${"\0".repeat(4094)}`);
    expect(content("t/empty-sparse")).toBe("\0".repeat(16384));
    expect(content("t/many-holes")).toBe(`${`P${"\0".repeat(16383)}`.repeat(39)}P`);
    expect(content("t/not-utf8-\xff")).toBe("x");
    // Rounded down; the oldest forms know no half seconds, and round as their writers do.
    expect(byPath.get("t/half")?.entry.mtimeS).toBe(1_767_225_600);
    if (name !== "bsdtar's ustar") expect(byPath.get("t/old")?.entry.mtimeS).toBe(-5);
    if (line.includes("-S")) expect(byPath.get("t/many-holes")?.entry).toHaveProperty("extents");
  });

  test("GNU tar takes ours apart as we mean it, holes and attributes too", async () => {
    const content = Buffer.from("AAAABB");
    const archive = await written([
      member(
        {
          ...common,
          kind: "file",
          path: byteText("ours/sparse"),
          sizeBytes: 40960,
          extents: [
            { offset: 8192, bytes: 4 },
            { offset: 36864, bytes: 2 },
          ],
        },
        content,
      ),
      member({ ...common, kind: "file", path: byteText(`ours/${"l".repeat(150)}`), uid: 3_000_000, sizeBytes: 6 }, content),
      member(
        {
          ...common,
          kind: "file",
          path: "ours/\xfe" as ByteText,
          sizeBytes: 6,
          xattrs: new Map([["user.mark" as ByteText, text("1=2\n")]]),
        },
        content,
      ),
      member({ ...common, kind: "hard-link", path: byteText("ours/z"), target: "ours/\xfe" as ByteText }),
    ]);
    const { status, stderr } = spawnSync("tar", ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--no-same-owner", "-xf", "-"], {
      cwd: folder,
      input: archive,
    });
    expect([status, `${stderr}`]).toEqual([0, ""]);
    expect(`${shell("cmp ours/sparse t/sparse && stat -c %h ours/z && cat ours/z && ls ours | wc -l")}`).toBe("2\nAAAABB4\n");
    const list = spawnSync("tar", ["--numeric-owner", "-tvf", "-"], { input: archive, encoding: "utf8" }).stdout;
    expect(list).toMatch(/ 3000000\/0 .*ours\/l{150}\n/);
    const attributes = spawnSync("tar", ["--xattrs", "--numeric-owner", "-tvvf", "-"], { input: archive, encoding: "latin1" }).stdout;
    expect(attributes).toMatch(/\n {2}x: 4 user\.mark\n/);
  });
});
