import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { distfilesOf, parseSources } from "../../src/bootstrap/source-list.ts";
import { HiperisoError } from "../../src/contract/error.ts";

const A = "a".repeat(64);
const B = "0123456789abcdef".repeat(4);
const read = (text: string) => parseSources(text, "steps/p/sources");

function refusal(run: () => unknown): HiperisoError {
  try {
    run();
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("a list of sources", () => {
  test("has files and snapshots, with or without a name", () => {
    const text =
      `f http://x/y/a.tar ${A}\n` +
      `file http://x/get?file=b.tar&v=/1 ${A} b.tar\n` +
      `g https://x/r.git~v1 http://x/v1.tar ${B} r-1.tar\n` +
      `git https://x/r.git~v2 _ ${B} r-2.tar \n` +
      `f http://x/dl.php?id=3 ${B}`;
    expect(read(text)).toEqual([
      { where: "steps/p/sources", line: 1, kind: "file", url: "http://x/y/a.tar", sha256: A, name: "a.tar" },
      { where: "steps/p/sources", line: 2, kind: "file", url: "http://x/get?file=b.tar&v=/1", sha256: A, name: "b.tar" },
      { where: "steps/p/sources", line: 3, kind: "git", gitUrl: "https://x/r.git~v1", url: "http://x/v1.tar", sha256: B, name: "r-1.tar" },
      { where: "steps/p/sources", line: 4, kind: "git", gitUrl: "https://x/r.git~v2", url: undefined, sha256: B, name: "r-2.tar" },
      { where: "steps/p/sources", line: 5, kind: "file", url: "http://x/dl.php?id=3", sha256: B, name: "dl.php?id=3" },
    ]);
    expect(read("")).toEqual([]);
  });

  test.each([
    ["too few fields", `f http://x/a\n`, "1:13", /^f URL SHA256/],
    ["too few fields of a snapshot", `g r.git~1 http://x/a\n`, "1:21", /^g GITURL URL SHA256/],
    ["too many fields", `f http://x/a ${A} a b\n`, "1:81", /^f URL SHA256/],
    ["an unknown kind", `h http://x/a ${A}\n`, "1:1", /"f", "file", "g" or "git"/],
    ["a kind that every object has", `constructor http://x/a ${A}\n`, "1:1", /"f", "file"/],
    ["a short checksum", `f http://x/a ${A.slice(1)}\n`, "1:14", /64 hexadecimal/],
    ["a checksum in capitals", `f http://x/a ${A.toUpperCase()}\n`, "1:14", /small letters/],
    ["a mirror's file without a name", `f _ ${A}\n`, "1:69", /a file name/],
    ["a URL that ends in a slash", `f http://x/ ${A}\n`, "1:3", /not a path/],
    ["a name that is a path", `f http://x/a ${A} ../a\n`, "1:79", /not a path/],
    ["the name ..", `f http://x/a ${A} ..\n`, "1:79", /not a path/],
    ["a name of 256 bytes", `f http://x/a ${A} ${"n".repeat(256)}\n`, "1:79", /not a path/],
    ["an empty line", `f http://x/a ${A}\n\nf http://x/b ${A}\n`, "2:1", /f URL SHA256/],
    ["two blanks", `f  http://x/a ${A}\n`, "1:3", /one space/],
    ["a tab between words", `f\thttp://x/a ${A}\n`, "1:2", /one space/],
    ["a carriage return", `f http://x/a ${A}\r\n`, "1:78", /one space/],
  ])("with %s is refused with line and column", (_, text, place, expected) => {
    const error = refusal(() => read(text));
    expect(error.where).toBe(`steps/p/sources:${place}`);
    expect(error.expected).toMatch(expected);
    expect(error.kind).toBe("usage");
  });

  test("cut anywhere is read or refused by an error of ours", () => {
    const text = `f http://x/a ${A}\ngit https://x/r~1 _ ${B} r.tar\n`;
    for (let end = 0; end <= text.length; end++) {
      try {
        expect(read(text.slice(0, end)).length).toBeLessThanOrEqual(2);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    }
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 0, max: 0x2ff }), (at, code) => {
        try {
          for (const { name } of read(text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1)))
            expect(name).not.toMatch(/[/\0\n]|^$/);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
    );
  });
});

describe("the distfiles of packages", () => {
  test("are one for each name, in the order in which they are first named, with all addresses and all who want them", () => {
    const one = read(`f http://x/b ${B}\nf http://x/a ${A}\nf http://y/a ${A}\n`);
    const two = read(`f http://x/a ${A}\nf _ ${A} a\nf http://z/c ${B}\n`);
    expect(
      distfilesOf([
        { package: "one", lines: one },
        { package: "two", lines: two },
        { package: "one", lines: one },
      ]),
    ).toEqual([
      { name: "b", sha256: B, urls: ["http://x/b"], wantedBy: ["one"] },
      { name: "a", sha256: A, urls: ["http://x/a", "http://y/a"], wantedBy: ["one", "two"] },
      { name: "c", sha256: B, urls: ["http://z/c"], wantedBy: ["two"] },
    ]);
  });

  test("of one name with two checksums are refused, and both lines are named", () => {
    const error = refusal(() =>
      distfilesOf([
        { package: "one", lines: parseSources(`f http://x/a ${A}\n`, "steps/one/sources") },
        { package: "two", lines: parseSources(`f http://x/b ${A}\nf http://x/a ${B}\n`, "steps/two/sources") },
      ]),
    );
    expect(error.where).toBe("steps/two/sources:2");
    expect(error.expected).toContain("steps/one/sources:1");
    expect(error.found).toBe(B);
  });
});
