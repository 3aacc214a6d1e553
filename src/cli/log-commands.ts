import type { Program } from "./program.ts";

/** `hiperiso-log`: logs without booting anything. */
export const LOG_PROGRAM: Program = {
  name: "hiperiso-log",
  description: "Explains what a boot's console log shows.",
  commands: [
    { name: "analyze", summary: "analyse a session directory and write its reports", load: () => import("./log-analyze.ts") },
    { name: "serial", summary: "stages and findings of a console log", load: () => import("./log-serial.ts") },
    { name: "trace", summary: "decode a QEMU trace", load: () => import("./log-trace.ts") },
  ],
  examples: [
    ["hiperiso-log analyze ./session", "write report.json, report.txt and analysis.meta there"],
    ["hiperiso-log serial serial.log --stages", "how far a boot came, and where it shows"],
    ["ssh board cat /var/log/console | hiperiso-log serial -", "read a pipe"],
  ],
};
