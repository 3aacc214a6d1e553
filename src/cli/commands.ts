/** The commands of `hiperiso`. A module is loaded only when its command is called: `--help` stays as quick as Node itself. */
import type { CommandRow } from "./program.ts";

export const COMMANDS: readonly CommandRow[] = [
  { name: "boot", summary: "boot an image, record it, say what happened", load: () => import("./boot.ts") },
  { name: "rerun", summary: "boot a recorded boot again, with changes", load: () => import("./rerun.ts") },
  { name: "attach", summary: "work on the console of a running guest", load: () => import("./attach.ts") },
  { name: "send", summary: "type into a running guest's console", load: () => import("./send.ts") },
  { name: "key", summary: "press keys of a running guest's keyboard", load: () => import("./key.ts") },
  { name: "screenshot", summary: "take a picture of a running guest's screen", load: () => import("./screenshot.ts") },
  { name: "stop", summary: "end a running guest in order", load: () => import("./stop.ts") },
  { name: "test", summary: "boot a matrix of images and settings, and say which passed", load: () => import("./test.ts") },
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
  { name: "firmware", summary: "list, check and mend the firmware descriptors of this computer", load: () => import("./firmware.ts") },
  { name: "live", summary: "build live images", load: () => import("./live.ts") },
  { name: "stick", summary: "make a stick that carries images, boots one, and brings the evidence home", load: () => import("./stick.ts") },
  { name: "runtime", summary: "build what a stick boots, and say what takes its room", load: () => import("./runtime.ts") },
  { name: "onboard", summary: "the program that runs on a stick", load: () => import("./onboard.ts"), hidden: true },
];
