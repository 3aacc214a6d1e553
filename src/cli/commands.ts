/** The commands of `hiperiso`. A module is loaded only when its command is called: `--help` stays as quick as Node itself. */
import type { CommandRow } from "./program.ts";

export const COMMANDS: readonly CommandRow[] = [
  { name: "boot", summary: "boot an image, record it, say what happened", load: () => import("./boot.ts") },
  { name: "inspect", summary: "say what an image is and what can boot it", load: () => import("./inspect.ts") },
  { name: "sessions", summary: "list, show and remove recorded boots", load: () => import("./sessions.ts") },
  { name: "report", summary: "show the report of a recorded boot", load: () => import("./report.ts") },
  { name: "compare", summary: "show two recorded boots side by side", load: () => import("./compare.ts") },
  { name: "rules", summary: "list and show the rules of the analyser, test your own", load: () => import("./rules.ts") },
  { name: "config", summary: "check a hiperiso.json", load: () => import("./config.ts") },
  { name: "doctor", summary: "say what this computer has and lacks for hiperiso", load: () => import("./doctor.ts") },
  { name: "bootstrap", summary: "make media for live-bootstrap and boot them", load: () => import("./bootstrap.ts") },
  { name: "payload", summary: "make, list, extract and check payload disks", load: () => import("./payload.ts") },
  { name: "disk", summary: "look into disks and images, copy files in and out, check and repair them", load: () => import("./disk.ts") },
  { name: "live", summary: "build live images", load: () => import("./live.ts") },
];
