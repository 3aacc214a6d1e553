import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { hashPassword, isPasswordHash, menuPassword } from "../../../src/stick/menu/grub-password.ts";

test("is hashed as GRUB's own tool hashes it", () => {
  const said = execFileSync("grub-mkpasswd-pbkdf2", { input: "it's $ecret\nit's $ecret\n", stdio: ["pipe", "pipe", "ignore"] }).toString();
  const theirs = /grub\.pbkdf2\S+/.exec(said)![0];
  const salt = Buffer.from(theirs.split(".")[4]!, "hex");
  expect(hashPassword("it's $ecret", salt)).toBe(theirs);
  expect(isPasswordHash(theirs)).toBe(true);
  expect(menuPassword(theirs, ["disk", "menu"])).toBe(theirs);
});

test("is the same each time on one stick, another on another, and its salt tells nothing of it", () => {
  const hash = menuPassword("secret", ["disk", "menu"]);
  expect(menuPassword("secret", ["disk", "menu"])).toBe(hash);
  expect(menuPassword("secret", ["another", "menu"])).not.toBe(hash);
  expect(menuPassword("secret", ["disk", "image 0"])).not.toBe(hash);
  expect(menuPassword("other", ["disk", "menu"]).split(".")[4]).toBe(hash.split(".")[4]);
});

test.each(["grub.pbkdf2.sha512.10000.AB", "grub.pbkdf2.sha512.0.ABCDABCDABCDABCD.00", "secret"])("%s is no hash", (text) => {
  expect(isPasswordHash(text)).toBe(false);
});
