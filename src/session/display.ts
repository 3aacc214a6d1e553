/** Where a guest's screen can be looked at: asked of QEMU, which may have taken another port than the first. */
import { resolve } from "node:path";
import * as z from "zod";
import type { QmpClient } from "../host/qmp.ts";
import type { MachinePlan } from "../machine/plan.ts";

export interface DisplayPlace {
  readonly kind: "gtk" | "vnc";
  /** VNC: `127.0.0.1:5901`, or `unix:` and an absolute path; null for a window. */
  readonly address: string | null;
}

const vncSchema = z.object({ host: z.string(), service: z.string(), family: z.string() });

/** Null where there is none to look at. `directory`: QEMU's working directory. */
export async function displayPlace(
  { display }: Pick<MachinePlan, "display">,
  qmp: Pick<QmpClient, "execute">,
  directory: string,
): Promise<DisplayPlace | null> {
  if (display.kind === "none") return null;
  if (display.kind === "gtk") return { kind: "gtk", address: null };
  const { host, service, family } = vncSchema.parse(await qmp.execute("query-vnc"));
  return { kind: "vnc", address: family === "unix" ? `unix:${resolve(directory, service)}` : `${host}:${service}` };
}
