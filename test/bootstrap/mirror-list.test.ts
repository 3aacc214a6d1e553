import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMirror, placesOf, placeText } from "../../src/bootstrap/mirror-list.ts";

describe("a mirror", () => {
  test.each([
    ["http://127.0.0.1:8080", { kind: "server", base: "http://127.0.0.1:8080" }],
    ["https://mirror.example/a b/live//", { kind: "server", base: "https://mirror.example/a b/live" }],
    ["HTTPS://Mirror.example", { kind: "server", base: "HTTPS://Mirror.example" }],
    ["file:///srv/my mirror%20", { kind: "folder", folder: "/srv/my mirror%20" }],
    ["FILE:///srv", { kind: "folder", folder: "/srv" }],
  ])("is %s", (text, mirror) => {
    expect(parseMirror(text)).toEqual(mirror);
  });

  test.each([
    ["", /http:\/\/…, https:\/\/…/],
    ["mirror.example", /http:\/\/…, https:\/\/…/],
    ["/srv/mirror", /For a folder write file:\/\/\/srv\/mirror/],
    ["ftp://mirror.example", /http:\/\/…, https:\/\/…/],
    ["file://srv/mirror", /file:\/\/ with an absolute path/],
    ["file://./mirror", /file:\/\/ with an absolute path/],
    ["file:srv", /file:\/\/ with an absolute path/],
    ["file:///srv\0", /file:\/\/ with an absolute path/],
    ["http://h/?name=", /without \? and #/],
    ["http://h/#a", /without \? and #/],
  ])("is not %j", (text, message) => {
    expect(() => parseMirror(text)).toThrow(expect.objectContaining({ kind: "usage", message: expect.stringMatching(message) }));
  });
});

describe("places of a file", () => {
  const mirrors = ["http://a", "file:///b", "https://c/d"].map(parseMirror);

  test("are the mirrors as given, then its own addresses in their order", () => {
    const file = { name: "x+1~2 #?.tar", urls: ["http://one/x", "http://two/x"] };
    expect(placesOf(file, mirrors).map(placeText)).toEqual([
      "http://a/x%2B1~2%20%23%3F.tar",
      "file:///b",
      "https://c/d/x%2B1~2%20%23%3F.tar",
      "http://one/x",
      "http://two/x",
    ]);
  });

  test("are each there once, however the mirrors are shuffled, and a name never leads out of a mirror", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 2 }),
        fc.string(),
        (numbers, name) => {
          let at = 0;
          const random = (): number => numbers[at++ % numbers.length]!;
          const safe = name.replace(/\p{Surrogate}/gu, "");
          const places = placesOf({ name: `f${safe}`, urls: ["http://own/f"] }, mirrors, random).map(placeText);
          expect(places.at(-1)).toBe("http://own/f");
          expect([...places].sort()).toEqual(
            placesOf({ name: `f${safe}`, urls: ["http://own/f"] }, mirrors)
              .map(placeText)
              .sort(),
          );
          for (const place of places.filter((text) => text.startsWith("https://c/"))) {
            expect(decodeURIComponent(new URL(place).pathname)).toBe(`/d/f${safe}`);
          }
        },
      ),
    );
  });

  test("come in every order", () => {
    const orders = new Set<string>();
    for (const first of [0, 0.4, 0.8]) {
      for (const second of [0, 0.9]) {
        const numbers = [first, second];
        orders.add(
          placesOf({ name: "x", urls: [] }, mirrors, () => numbers.shift()!)
            .map(placeText)
            .join(),
        );
      }
    }
    expect(orders.size).toBe(6);
  });

  test("are named without their passwords", () => {
    expect(placeText({ kind: "url", url: "https://me:secret@h/x" })).toBe("https://h/x");
    expect(placeText({ kind: "url", url: "no url" })).toBe("no url");
  });
});
