/** Whether what somebody typed is the password of an image, or that of the whole menu, which opens everything. */
import { pbkdf2, timingSafeEqual } from "node:crypto";
import type { MenuConfig } from "../../config/hiperiso-json.ts";
import { firstMatch } from "../../config/overrides.ts";
import { isPasswordHash } from "../menu/grub-password.ts";

/** True where the image has none. */
export async function passwordFits(
  { password, imagePasswords }: Pick<MenuConfig, "password" | "imagePasswords">,
  path: string,
  typed: string,
): Promise<boolean> {
  const own = firstMatch(imagePasswords, path)?.password;
  if (own === undefined) return true;
  for (const one of [own, ...(password === undefined ? [] : [password])]) if (await matches(one, typed)) return true;
  return false;
}

/** `password`: as text, or as GRUB keeps it: `grub.pbkdf2.sha512.<iterations>.<salt>.<hash>`. */
async function matches(password: string, typed: string): Promise<boolean> {
  if (!isPasswordHash(password)) return same(Buffer.from(password), Buffer.from(typed));
  const [iterations = "", salt = "", hash = ""] = password.split(".").slice(3);
  const wanted = Buffer.from(hash, "hex");
  return same(await derived(typed, Buffer.from(salt, "hex"), Number(iterations), wanted.length), wanted);
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Not on the program's own thread: the configuration says how long it takes. */
const derived = (password: string, salt: Uint8Array, iterations: number, bytes: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, bytes, "sha512", (error, key) => (error === null ? resolve(key) : reject(error)));
  });
