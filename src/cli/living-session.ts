/** Which running session a person means, for the commands that reach into one. */
import { HiperisoError } from "../contract/error.ts";
import { findSession, listSessions } from "../session/catalogue.ts";
import { findLivingGuest, type LivingGuest } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { logDirectoryOf } from "./log-directory.ts";

export const SESSION_ARGUMENT = ["[session]", "its id, the beginning of it, or its directory; the one that runs without it"] as const;
export const LOG_DIR_OPTION = [
  "--log-dir <path>",
  "folder that holds the sessions (default: hiperiso/logs in the XDG state folder)",
] as const;

/** Throws (kind `usage`) where there is no such session, where its guest does not run, and where none is named and not just one runs. */
export async function livingGuestOf(cli: Cli, reference: string | undefined, logDir: string | undefined): Promise<LivingGuest> {
  const directory = logDirectoryOf(logDir, cli.env);
  if (reference !== undefined) return await findLivingGuest((await findSession(directory, reference)).directory);
  const running = (await listSessions(directory)).filter(({ state }) => state === "running");
  const [only] = running;
  if (only !== undefined && running.length === 1) return await findLivingGuest(only.directory);
  throw new HiperisoError({
    what: "find the session",
    where: directory,
    expected: "one session that runs",
    found: running.length === 0 ? "none" : `${running.length}: ${running.map(({ id }) => id).join(", ")}`,
    hint: running.length === 0 ? "`hiperiso boot IMAGE --until never` starts one to work with." : "Name the one that you mean.",
    kind: "usage",
  });
}
