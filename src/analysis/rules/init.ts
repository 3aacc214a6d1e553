import type { Rule } from "../rule.ts";

/** initramfs programs and init systems. */
export const INIT_RULES: readonly Rule[] = [
  {
    id: "initramfs/no-root",
    kind: "no_root",
    severity: "fatal",
    stage: "initramfs",
    domain: "userspace",
    pattern:
      /Gave up waiting for (?:root file system|root|suspend\/resume) device|ALERT! {1,3}(?<device>\S{1,200}) does not exist|Unable to find a medium containing a live file system/,
    explanation: "The initramfs did not find the root file system.",
    hint: "Check root= on the kernel's command line, and that the initramfs holds the driver of that disk.",
    matches: [
      "Gave up waiting for root file system device.  Common problems:",
      "ALERT!  UUID=0000-0000 does not exist.  Dropping to a shell!",
    ],
    ignores: ["Begin: Waiting for root file system ... done."],
  },
  {
    id: "init/emergency-shell",
    kind: "emergency_shell",
    severity: "fatal",
    stage: "reached",
    domain: "userspace",
    pattern:
      /^\(initramfs\)|^You are in (?:emergency|rescue) mode|^Entering emergency mode\. Exit the shell|^Give root password for maintenance|^dracut:\S{0,80}#/,
    ends: true,
    follows: ["no_root"],
    explanation: "The boot stopped at an emergency shell.",
    hint: "Read the findings above it: something that the boot needs was not there or failed.",
    matches: ["(initramfs) ", 'You are in emergency mode. After logging in, type "journalctl -xb" to view', "dracut:/# "],
    ignores: ["systemd[1]: Reached target Emergency Mode."],
  },
  {
    id: "init/service-failed",
    kind: "service_failed",
    severity: "error",
    stage: "userspace",
    domain: "userspace",
    pattern: /^\[FAILED\] Failed to start (?<unit>.{1,160}?)\.?$/,
    explanation: "systemd could not start {unit}.",
    hint: "Look at it in the running system: systemctl status, journalctl -u.",
    matches: ["[FAILED] Failed to start Network Time Synchronization."],
    ignores: ["[  OK  ] Started Network Time Synchronization."],
  },
];
