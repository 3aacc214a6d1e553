import { describe, expect, test } from "vitest";
import { encodePosixAcl } from "../../src/formats/posix-acl.ts";

const hex = (text: string) => Buffer.from(encodePosixAcl(text, "file")).toString("hex");

describe("an access list in text form", () => {
  test("becomes what setfacl -m u:1000:r makes of a file with mode 0644", () => {
    expect(hex("user::rw-,user:1000:r--,group::r--,mask::r--,other::r--\n")).toBe(
      "0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff",
    );
  });

  test("may have its entries in any order, comments, short words and star's ids", () => {
    const sorted = hex("u::rwx,user:0:r--,user:7:rwx,g::---,g:5:-w-,m::rwx,o::--x");
    expect(hex("o::--x\ng:5:-w-\nuser:joe:rwx:7 # joe\nm::rwx\nuser:root:r--\ng::---\nu::rwx\n")).toBe(sorted);
  });

  test.each([["user:joe:rwx"], ["user::rw"], [""], ["mask:5:rwx"], ["user:4294967295:rwx"], ["x::rwx"], ["user::rwx,nonsense"]])(
    "%j is refused",
    (text) => {
      expect(() => hex(text)).toThrow(/read an access list: file: expected .*entries/);
    },
  );
});
