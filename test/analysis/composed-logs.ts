/** Console logs composed in the form in which the programs print, for tests of the analyser. */

const E = "\x1b";

export const OVMF = [
  `${E}[2J${E}[01;01H${E}[=3h${E}[2J${E}[01;01HBdsDxe: loading Boot0001 "UEFI QEMU DVD-ROM QM00001 " from PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)\r`,
  'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM QM00001 " from PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)\r',
];

export const GRUB = [
  "Welcome to GRUB!\r",
  `${E}[2J  Booting \`Example GNU/Linux'\r`,
  "\r",
  "Loading Linux 6.1.0-18-amd64 ...\r",
  "Loading initial ramdisk ...\r",
];

export const KERNEL = [
  "[    0.000000] Linux version 6.1.0-18-amd64 (build@example.org) (gcc-12 (Example 12.2.0) 12.2.0) #1 SMP\r",
  "[    0.000000] Command line: BOOT_IMAGE=/vmlinuz root=/dev/vda1 console=ttyS0 panic=-1\r",
  "[    0.104211] pid_max: default: 32768 minimum: 301\r",
  "[    0.310042] efifb: mode is 1024x768x32, linelength=4096, pages=1\r",
  "[    0.920117] Freeing unused kernel image (initmem) memory: 2660K\r",
];

export const INITRAMFS = [
  "[    1.204421] Run /init as init process\r",
  "Begin: Running /scripts/init-premount ... done.\r",
  "Begin: Mounting root file system ... \r",
];

export const SYSTEMD = [
  "[    3.500121] systemd[1]: systemd 252.22-1 running in system mode (+PAM +AUDIT)\r",
  `Welcome to ${E}[1mExample GNU/Linux 12${E}[0m!\r`,
  `[${E}[0;32m  OK  ${E}[0m] Reached target ${E}[0;1;39mLocal File Systems${E}[0m.\r`,
  `[${E}[0;32m  OK  ${E}[0m] Reached target ${E}[0;1;39mMulti-User System${E}[0m.\r`,
];

export const LOGIN = ["\r", "Example GNU/Linux 12 box ttyS0\r", "\r", "box login: "];

export const OOPS = [
  "[    4.100001] BUG: kernel NULL pointer dereference, address: 0000000000000010",
  "[    4.100002] #PF: supervisor read access in kernel mode",
  "[    4.100003] Oops: 0000 [#1] PREEMPT SMP NOPTI",
  "[    4.100004] CPU: 1 PID: 77 Comm: modprobe Not tainted 6.1.0-18-amd64 #1",
  "[    4.100005] RIP: 0010:foo_probe+0x12/0x80 [foo]",
  "[    4.100006] Call Trace:",
  "[    4.100007]  <TASK>",
  "[    4.100008]  bar_register+0x20/0x60 [foo]",
  "[    4.100009]  ? printk+0x10/0x20",
  "[    4.100010]  do_one_initcall+0x44/0x200",
  "[    4.100011]  </TASK>",
  "[    4.100012] ---[ end trace 0000000000000000 ]---",
];

export const PANIC_NO_ROOT = [
  '[    1.310001] VFS: Cannot open root device "vda1" or unknown-block(0,0): error -6',
  '[    1.310002] Please append a correct "root=" boot option; here are the available partitions:',
  "[    1.310003] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
  "[    1.310004] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-18-amd64 #1",
  "[    1.310005] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---",
];

export const HEALTHY = [...OVMF, ...GRUB, ...KERNEL, ...INITRAMFS, ...SYSTEMD, ...LOGIN].join("\n");

export const log = (...parts: readonly (readonly string[])[]): string => parts.flat().join("\n");
