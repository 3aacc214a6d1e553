/** A picture of a running guest's screen that somebody asks for, kept in its session, where the report shows it. */
import { readdir } from "node:fs/promises";
import { HiperisoError } from "../contract/error.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { type LivingGuest, withMonitor } from "./living.ts";
import { saveScreenshot } from "./screen.ts";

/** Name of its file in the session's directory: `screen-asked-1.png`, counted on. */
export async function keepAskedPicture(guest: LivingGuest): Promise<string> {
  const prefix = `${SESSION_FILES.screenshotPrefix}asked-`;
  const taken = (await readdir(guest.directory)).flatMap((name) =>
    name.startsWith(prefix) ? [Number.parseInt(name.slice(prefix.length), 10)] : [],
  );
  return await pictureOf(guest, guest.directory, `${prefix}${Math.max(0, ...taken.filter(Number.isSafeInteger)) + 1}`);
}

/** Name of the file in `folder`; QEMU writes it. Throws where the guest has no screen. */
export async function pictureOf(guest: LivingGuest, folder: string, name: string): Promise<string> {
  const file = await withMonitor(guest, (qmp) => saveScreenshot(qmp, folder, name));
  if (file !== undefined) return file;
  throw new HiperisoError({
    what: "take a picture",
    where: guest.directory,
    expected: "a guest with a screen",
    found: "none, or a folder that QEMU cannot write to",
  });
}
