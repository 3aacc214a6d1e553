/** Passwords as GRUB keeps them (GRUB manual 2.06, `password_pbkdf2`): `grub.pbkdf2.sha512.<iterations>.<salt>.<hash>`, both in upper-case hexadecimal. */
import { createHash, pbkdf2Sync } from "node:crypto";

/** As `grub-mkpasswd-pbkdf2` has them unless told otherwise. */
const ITERATIONS = 10_000;
const HASH_BYTES = 64;

const HASHED = /^grub\.pbkdf2\.sha512\.[1-9]\d{0,6}\.(?:[0-9A-F]{2}){8,512}\.(?:[0-9A-F]{2}){64}$/i;

export const isPasswordHash = (text: string): boolean => HASHED.test(text);

export function hashPassword(password: string, salt: Uint8Array): string {
  const hash = pbkdf2Sync(password, salt, ITERATIONS, HASH_BYTES, "sha512");
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex").toUpperCase();
  return `grub.pbkdf2.sha512.${ITERATIONS}.${hex(salt)}.${hex(hash)}`;
}

/**
 * What the menu gets of a password in the configuration: one that is hashed already as it is. A new salt for each writing would make the menu another
 * one each time; so it follows from what is not the same on two sticks (`of`) and in two places of one, and not from the password, which it must not tell.
 */
export function menuPassword(password: string, of: readonly string[]): string {
  if (isPasswordHash(password)) return password;
  return hashPassword(password, createHash("sha512").update(JSON.stringify(of)).digest());
}
