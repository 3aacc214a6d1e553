/**
 * Consoles and logs of systems that no recorded boot of ours shows: distributions' initramfs, other init systems, phones, boards, and what
 * dmesg, journalctl and syslog make of a kernel's messages. Composed in the form in which those programs print; the report's first line and
 * its first advice are what a person reads.
 */
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";

interface Strange {
  readonly what: string;
  readonly log: string;
  readonly first: string;
  /** Part of the first thing to try. */
  readonly advice?: string;
}

const KERNEL = "[    0.000000] Linux version 6.6.7 (user@host) (gcc 13.2.1) #1 SMP\n[    0.000000] Command line: console=ttyS0\n";

const LOGS: readonly Strange[] = [
  {
    what: "Alpine diskless without its medium: the recovery shell has the prompt of any other",
    log: `${KERNEL}[    1.901000] Run /init as init process
[    1.950000] Alpine Init 3.8.2-r0
Alpine Init 3.8.2-r0
 * Loading boot drivers: [    1.960000] Loading boot drivers...
ok.
[    2.500000] Loading boot drivers: ok.
 * Mounting boot media: [    2.510000] Mounting boot media...
[   32.600000] Mounting boot media: failed. 
failed. 
initramfs emergency recovery shell launched. Type 'exit' to continue boot
sh: can't access tty; job control turned off
~ # `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "the same with `quiet`",
    log: `${KERNEL}Mounting boot media failed. 
initramfs emergency recovery shell launched. Type 'exit' to continue boot
sh: can't access tty; job control turned off
/ # `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "Arch's live medium that does not turn up",
    log: `${KERNEL}:: running early hook [udev]
Starting systemd-udevd version 254.5-1-arch
:: running early hook [archiso_pxe_common]
:: running hook [udev]
:: Triggering uevents...
:: running hook [archiso]
:: Mounting '/dev/disk/by-label/ARCH_202401' to '/run/archiso/bootmnt'
Waiting 30 seconds for device /dev/disk/by-label/ARCH_202401 ...
ERROR: '/dev/disk/by-label/ARCH_202401' device did not show up after 30 seconds...
   Falling back to interactive prompt
   You can try to fix the problem manually, log out when you are finished
sh: can't access tty; job control turned off
[rootfs ~]# `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system /dev/disk/by-label/ARCH_202401",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "an installed Arch without its root",
    log: `${KERNEL}:: running early hook [udev]
:: running hook [udev]
:: Triggering uevents...
Waiting 10 seconds for device /dev/disk/by-uuid/0a1b2c3d-0000 ...
ERROR: device 'UUID=0a1b2c3d-0000' not found. Skipping fsck.
:: mounting 'UUID=0a1b2c3d-0000' on real root
mount: /new_root: can't find UUID=0a1b2c3d-0000.
ERROR: Failed to mount 'UUID=0a1b2c3d-0000' on real root
You are now being dropped into an emergency shell.
sh: can't access tty; job control turned off
[rootfs ~]# `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system UUID=0a1b2c3d-0000",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "NixOS' stage 1",
    log: `${KERNEL}[    1.5] stage-1-init: [Fri Nov 21 10:00:00 UTC 2025] <<< NixOS Stage 1 >>>

<<< NixOS Stage 1 >>>

loading module dm_mod...
running udev...
Starting systemd-udevd version 254.6
kbd_mode: KDSKBMODE: Inappropriate ioctl for device
starting device mapper and LVM...
waiting for device /dev/disk/by-label/nixos to appear.......................
Timed out waiting for device /dev/disk/by-label/nixos, trying to mount anyway.
mounting /dev/disk/by-label/nixos on /...
mount: mounting /dev/disk/by-label/nixos on /mnt-root/ failed: No such file or directory

An error occurred in stage 1 of the boot process, which must mount the
root filesystem on \`/mnt-root' and then start stage 2.  Press one
of the following keys:

  i) to launch an interactive shell
  f) to start an interactive shell having pid 1 (needed if you want to
     start stage 2's init manually)
  r) to reboot immediately
  *) to ignore the error and continue
`,
    first: "FAILURE at initramfs (domain userspace): The boot waits for its root device /dev/disk/by-label/nixos, which does not come",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "NixOS",
    log: `${KERNEL}
<<< NixOS Stage 1 >>>

loading module dm_mod...
running udev...
Starting systemd-udevd version 254.6
mounting /dev/disk/by-label/nixos on /...

<<< NixOS Stage 2 >>>

running activation script...
setting up /etc...
starting systemd...

Welcome to NixOS 23.11 (Tapir)!

[  OK  ] Created slice Slice /system/getty.


<<< Welcome to NixOS 23.11.2413 (x86_64) - ttyS0 >>>

Run 'nixos-help' for the NixOS manual.

nixos login: `,
    first: "SUCCESS at login: the boot reached its goal (login)",
  },
  {
    what: "a ZFS pool that is not there (Proxmox, Ubuntu)",
    log: `Loading Linux 6.8.4-2-pve ...
Loading initial ramdisk ...
[    0.000000] Linux version 6.8.4-2-pve (buildozer@build) (gcc 13.2.1) #1-Alpine SMP
[    0.000000] Command line: console=ttyS0
Loading, please wait...
Starting systemd-udevd version 252.22-1~deb12u1
Begin: Loading essential drivers ... done.
Begin: Running /scripts/init-premount ... done.
Begin: Mounting root file system ... Begin: Running /scripts/local-top ... done.
Begin: Running /scripts/local-premount ... done.
Begin: Importing ZFS root pool 'rpool' ... Begin: Importing pool 'rpool' using defaults ... cannot import 'rpool': no such pool available
Failure: 1

Command: /sbin/zpool import -N   'rpool'
Message: cannot import 'rpool': no such pool available
Error: 1

Failed to import pool 'rpool'.
Manually import the pool and exit.


BusyBox v1.35.0 (Debian 1:1.35.0-4+b3) built-in shell (ash)
Enter 'help' for a list of built-in commands.

(initramfs) `,
    first: "FAILURE at initramfs (domain userspace): The ZFS pool rpool could not be imported: no such pool available",
    advice: "`zpool import` at the shell lists the pools that are there. ",
  },
  {
    what: "an installer without its medium",
    log: `${KERNEL}Welcome to the Proxmox VE 8.1 installer
initial setup startup
mounting proc filesystem
mounting sys filesystem
boot commandline: BOOT_IMAGE=/boot/linux26 ro ramdisk_size=16777216 rw quiet splash=silent
loading drivers: ahci virtio_pci
searching for block device containing the ISO proxmox-ve-8.1-1
with ISO ID '1417249-89f2'
testing again in 5 seconds

no device with valid ISO found, please check your installation medium

unable to continue (type exit or CTRL-D to reboot)
/ # `,
    first: "FAILURE at kernel (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "casper asks for an address",
    log: `${KERNEL}Loading, please wait...
Begin: Loading essential drivers ... done.
Begin: Running /scripts/init-premount ... done.
Begin: Mounting root file system ... Begin: Running /scripts/casper-premount ... done.
done.
Unable to find a medium containing a live file system
Attempt interactive netboot from a URL?
yes no (default yes): `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "dracut's emergency shell, its prompt without a name",
    log: `${KERNEL}[    2.000000] systemd[1]: systemd 253.2-1.fc38 running in system mode (+PAM)
[    2.010000] systemd[1]: Running in initrd.

Welcome to Fedora Linux 38 (Thirty Eight) dracut-059-3.fc38 (Initramfs)!

[  OK  ] Reached target initrd-root-device.target - Initrd Root Device.
[  150.0] dracut-initqueue[400]: Warning: dracut-initqueue: timeout, still waiting for following initqueue hooks:
Warning: /dev/disk/by-uuid/0000 does not exist

Generating "/run/initramfs/rdsosreport.txt"

Entering emergency mode. Exit the shell to continue.
Type "journalctl" to view system logs.
You might want to save "/run/initramfs/rdsosreport.txt" to a USB stick or /boot
after mounting them and attach it to a bug report.

:/# `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system /dev/disk/by-uuid/0000",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "Slackware's initrd",
    log: `${KERNEL}[    2.0] Run /init as init process
/boot/initrd.gz: Loading kernel modules from initrd image:
mount: mounting /dev/sda2 on /mnt failed: No such file or directory
ERROR:  No /sbin/init found on rootdev (or not mounted).  Trouble ahead.
        You can try to fix it. Type 'exit' when things are done.

/bin/sh: can't access tty; job control turned off
/ # `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "genkernel",
    log: `${KERNEL}>> Genkernel 4.3.10 (2024-01-01 00:00:00 UTC). Linux kernel 6.6.7-gentoo
>> Activating udev ...
>> Determining root device (trying UUID=0000) ...
!! Block device UUID=0000 is not a valid root device ...
!! Could not find the root block device in UUID=0000 !!
   Please specify another value or:
   - press Enter for the same
   - type "shell" for a shell
   - type "q" to skip ...
root block device(UUID=0000) :: `,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "runit: stage 1 gives up",
    log: `${KERNEL}[    2.0] Run /sbin/init as init process
- runit: $Id: 0123 $: booting.
- runit: enter stage: /etc/runit/1
=> Welcome to Void!
=> Mounting pseudo-filesystems...
=> Loading kernel modules...
=> Mounting all non-network filesystems...
mount: /data: can't find UUID=0000.
=> Cannot continue due to errors above, starting emergency shell.
=> When ready type exit to continue booting.
/ # `,
    first: "FAILURE at userspace (domain userspace): The boot stopped at a shell for emergencies",
    advice: "The findings before it tell what was missing. At the shell: ",
  },
  {
    what: "runit: `=> ` begins its lines and is no prompt of U-Boot",
    log: `${KERNEL}- runit: $Id: 0123 $: booting.
- runit: enter stage: /etc/runit/1
=> Welcome to Void!
=> Initialization complete, running stage 2...
- runit: leave stage: /etc/runit/1
- runit: enter stage: /etc/runit/2
runsvchdir: default: current.

Void 6.6.7_1 (void) (ttyS0)

void login: `,
    first: "SUCCESS at login: the boot reached its goal (login)",
  },
  {
    what: "somebody has to type a passphrase",
    log: `${KERNEL}Loading, please wait...
Begin: Running /scripts/init-premount ... done.
Begin: Mounting root file system ... Begin: Running /scripts/local-top ... 
Please unlock disk sda3_crypt: `,
    first: "INCOMPLETE at initramfs (domain userspace): The boot waits for the passphrase of the encrypted disk sda3_crypt",
    advice: "Type it into the guest's console. Nobody is there in an unat",
  },
  {
    what: "journalctl",
    log: `Nov 21 10:00:00 myhost kernel: Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP
Nov 21 10:00:00 myhost kernel: Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1
Nov 21 10:00:01 myhost systemd[1]: systemd 252.22-1~deb12u1 running in system mode (+PAM +AUDIT)
Nov 21 10:00:01 myhost systemd[1]: Queued start job for default target graphical.target.
Nov 21 10:00:02 myhost systemd[1]: Mounted mnt.mount - /mnt.
Nov 21 10:01:32 myhost systemd[1]: dev-disk-by\\x2duuid-1234.device: Job dev-disk-by\\x2duuid-1234.device/start timed out.
Nov 21 10:01:32 myhost systemd[1]: Timed out waiting for device dev-disk-by\\x2duuid-1234.device - /dev/disk/by-uuid/1234.
Nov 21 10:01:32 myhost systemd[1]: Dependency failed for data.mount - /data.
Nov 21 10:01:32 myhost systemd[1]: Dependency failed for local-fs.target - Local File Systems.
Nov 21 10:01:33 myhost systemd[1]: Started emergency.service - Emergency Shell.
Nov 21 10:01:33 myhost systemd[1]: Reached target emergency.target - Emergency Mode.
`,
    first:
      "INCOMPLETE at userspace (domain userspace): systemd waited for the device dev-disk-by\\x2duuid-1234.device - /dev/disk/by-uuid/1234, which did not come",
    advice: "Check /etc/fstab and crypttab: the device has another name o",
  },
  {
    what: "journalctl --output=export",
    log: `__CURSOR=s=1;i=1
__REALTIME_TIMESTAMP=1700000000000000
_TRANSPORT=kernel
MESSAGE=Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
SYSLOG_IDENTIFIER=kernel

__REALTIME_TIMESTAMP=1700000000100000
MESSAGE=BUG: kernel NULL pointer dereference, address: 0000000000000008
SYSLOG_IDENTIFIER=kernel

MESSAGE=Oops: 0000 [#1] PREEMPT SMP NOPTI
SYSLOG_IDENTIFIER=kernel

MESSAGE=CPU: 1 PID: 300 Comm: modprobe Not tainted 6.1.0-18-amd64 #1
MESSAGE=RIP: 0010:foo_init+0x12/0x40 [foo]
MESSAGE=Kernel panic - not syncing: Fatal exception
`,
    first: "FAILURE at kernel (domain kernel): The kernel used a wrong address and killed the task that it happened in",
    advice: "The function in the report is where it happened: look for a ",
  },
  {
    what: "dmesg --ctime",
    log: `[Fri Nov 21 10:00:00 2025] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
[Fri Nov 21 10:00:00 2025] Command line: root=/dev/sda1
[Fri Nov 21 10:00:05 2025] EXT4-fs error (device sda1): ext4_lookup:1700: inode #2: comm init: deleted inode referenced: 12
[Fri Nov 21 10:00:06 2025] general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP PTI
[Fri Nov 21 10:00:06 2025] CPU: 1 PID: 300 Comm: modprobe Not tainted 6.1.0-18-amd64 #1
[Fri Nov 21 10:00:06 2025] RIP: 0010:foo_init+0x12/0x40 [foo]
[Fri Nov 21 10:00:06 2025] Kernel panic - not syncing: Fatal exception
`,
    first:
      "FAILURE at kernel (domain kernel): The kernel ran into a processor exception in its own code and killed the task that it happened in",
    advice: "The function in the report is where it happened: look for a ",
  },
  {
    what: "rsyslog with ISO 8601 times",
    log: `2025-11-21T10:00:00.123456+00:00 host kernel: [    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
2025-11-21T10:00:00.123460+00:00 host kernel: [    0.000000] Command line: root=/dev/sda1
2025-11-21T10:00:05.000000+00:00 host systemd[1]: Started rsyslog.service - System Logging Service.
2025-11-21T10:00:06.000000+00:00 host systemd[1]: Failed to start nginx.service - A high performance web server.
2025-11-21T10:00:06.100000+00:00 host kernel: [    9.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
`,
    first:
      "FAILURE at kernel (domain userspace): The first process ended (signal 11, segmentation fault), which the kernel does not survive",
    advice: "The lines before it are the init program's last words. Exit ",
  },
  {
    what: "OpenWrt's logread",
    log: `Fri Aug 28 08:33:06 2020 kern.notice kernel: [    0.000000] Linux version 5.4.60 (builder@buildhost) (gcc version 8.4.0 (OpenWrt GCC 8.4.0)) #0 SMP
Fri Aug 28 08:33:07 2020 kern.info kernel: [    5.000000] init: - preinit -
Fri Aug 28 08:33:07 2020 user.info kernel: [    6.000000] procd: - early -
Fri Aug 28 08:33:08 2020 kern.alert kernel: [   12.500000] CPU 0 Unable to handle kernel paging request at virtual address 00000004, epc == 8f1b0a20, ra == 8f1b0a10
Fri Aug 28 08:33:08 2020 kern.warn kernel: [   12.510000] Oops[#1]:
Fri Aug 28 08:33:08 2020 kern.warn kernel: [   12.520000] CPU: 0 PID: 600 Comm: kmodloader Not tainted 5.4.60 #0
Fri Aug 28 08:33:08 2020 kern.warn kernel: [   12.530000] epc   : 8f1b0a20 mt7603_probe+0x20/0x100 [mt7603e]
Fri Aug 28 08:33:08 2020 kern.emerg kernel: [   12.900000] Kernel panic - not syncing: Fatal exception
`,
    first: "FAILURE at userspace (domain kernel): The kernel used a wrong address and killed the task that it happened in",
    advice: "The function in the report is where it happened: look for a ",
  },
  {
    what: "/dev/kmsg",
    log: `6,0,0,-;Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
6,1,0,-;Command line: root=/dev/sda1
1,500,5000000,-;BUG: kernel NULL pointer dereference, address: 0000000000000008
 SUBSYSTEM=pci
4,501,5000100,-;Oops: 0000 [#1] PREEMPT SMP NOPTI
4,502,5000200,-;RIP: 0010:foo_init+0x12/0x40 [foo]
0,503,5000300,-;Kernel panic - not syncing: Fatal exception
`,
    first: "FAILURE at kernel (domain kernel): The kernel used a wrong address and killed the task that it happened in",
    advice: "The function in the report is where it happened: look for a ",
  },
  {
    what: "lines stamped by ts",
    log: `Nov 21 10:00:00 [    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
Nov 21 10:00:01 [    1.000000] VFS: Cannot open root device "sda1" or unknown-block(0,0): error -6
Nov 21 10:00:01 [    1.100000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
`,
    first: "FAILURE at kernel (domain kernel): The kernel could not mount a root file system from unknown-block(0,0)",
    advice: "unknown-block(0,0): the device itself was not there. Check r",
  },
  {
    what: "syslog, RFC 5424",
    log: `<6>1 2025-11-21T10:00:00.123456Z host kernel - - - [    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP
<0>1 2025-11-21T10:00:01.123456Z host kernel - - - [    1.100000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
`,
    first: "FAILURE at kernel (domain kernel): The kernel could not mount a root file system from unknown-block(0,0)",
    advice: "unknown-block(0,0): the device itself was not there. Check r",
  },
  {
    what: "an Android kernel that prints processor and process",
    log: `[    0.000000] c0      0 Booting Linux on physical CPU 0x0
[    0.000000] c0      0 Linux version 3.18.137-g72a7a64 (android-build@host) (gcc version 4.9.x) #1 SMP PREEMPT
[    2.500000] c1      1 init: init first stage started!
[    2.700000] c1      1 init: Loading SELinux policy
[    2.713781] c1      1 Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100
`,
    first: "FAILURE at initramfs (domain userspace): The first process ended (exit status 1), which the kernel does not survive",
    advice: "The lines before it are the init program's last words. Exit ",
  },
  {
    what: "Android's first stage gives up",
    log: `[    0.000000][    T0] Booting Linux on physical CPU 0x0000000000 [0x412fd050]
[    0.000000][    T0] Linux version 5.10.66-android12-9 (build-user@build-host) (Android clang) #1 SMP PREEMPT
[    1.200000][    T1] Run /init as init process
[    1.300000][    T1] init: init first stage started!
[    2.000000][    T1] init: [libfs_mgr] Failed to mount /system: No such file or directory
[    2.100000][    T1] init: Failed to mount required partitions early ...
[    2.200000][    T1] init: InitFatalReboot: signal 6
[    2.300000][    T1] init: Reboot ending, jumping to kernel
[    2.400000][    T1] reboot: Restarting system with command 'bootloader'
`,
    first: "FAILURE at initramfs (domain userspace): The initramfs did not find the root file system",
    advice: "Check root= (or the live system's medium) on the kernel's co",
  },
  {
    what: "Android's console",
    log: `[    0.000000][    T0] Booting Linux on physical CPU 0x0000000000 [0x412fd050]
[    0.000000][    T0] Linux version 5.10.66-android12-9 (build-user@build-host) (Android clang) #1 SMP PREEMPT
[    1.200000][    T1] Run /init as init process
[    1.300000][    T1] init: init first stage started!
[    2.000000][    T1] init: init second stage started!
[    8.200000][    T1] init: starting service 'console'...
console:/ $ `,
    first: "SUCCESS at login: the boot reached its goal (login)",
  },
  {
    what: "a cloud image, `quiet`",
    log: `${KERNEL}[    5.000000] cloud-init[512]: Cloud-init v. 23.4 running 'init-local' at Fri, 21 Nov 2025 10:00:00 +0000. Up 5.00 seconds.
[    9.000000] cloud-init[700]: Cloud-init v. 23.4 running 'modules:final' at Fri, 21 Nov 2025 10:00:05 +0000. Up 9.00 seconds.
`,
    first:
      "INCOMPLETE at userspace: the log ends at line 4 (\"[    9.000000] cloud-init[700]: Cloud-init v. 23.4 running 'modules:final' at F…\") without the goal and without a reason",
    advice: "Look at the last lines of serial.log: what was started last ",
  },
  {
    what: "a Raspberry Pi's EEPROM",
    log: `  1.96 RPi: BOOTSYS release VERSION:26826259 DATE: 2024/09/23 TIME: 14:02:56
  1.00 BOOTMODE: 0x06 partition 0 build-ts BUILD_TIMESTAMP=1727096576 serial 00000000 boardrev e0419
  3.99 RPi: BOOTLOADER release VERSION:26826259 DATE: 2024/09/23 TIME: 14:02:56
  5.10 Boot mode: SD (01) order f4
  5.30 SD HOST: 200000000 CTL0: 0x00800000 BUS: 400000 Hz
  6.40 Failed to open device: 'sdcard' (cmd 371a0010 status 1fff0001)
  6.50 Retry SD 1
  7.50 Failed to open device: 'sdcard' (cmd 371a0010 status 1fff0001)
  7.60 Boot mode: USB-MSD (04) order f
  27.60 USB MSD timed out after 20 seconds
  27.70 Boot mode: RESTART (0f) order 0
`,
    first: "INCOMPLETE at firmware (domain firmware): The Raspberry Pi's boot loader could not read from USB MSD",
    advice: "Check that the card or stick is in, holds a FAT partition wi",
  },
  {
    what: "barebox",
    log: `barebox 2024.01.0 #1 Mon Jan 1 00:00:00 UTC 2024


Board: Test Board
mmc0: detected SD card version 2.0
Hit m for menu or any key to stop autoboot:    3
booting 'mmc'
blspec: booting Linux from /mnt/mmc0.0
ERROR: Booting entry 'mmc' failed: No such file or directory
Nothing bootable found on 'mmc'
ERROR: Nothing bootable found
barebox@Test Board:/ `,
    first: "FAILURE at bootloader (domain bootloader): barebox found nothing that it could boot: mmc",
    advice: "`boot -l` at its prompt lists the entries that it sees; chec",
  },
  {
    what: "illumos",
    log: `SunOS Release 5.11 Version illumos-1234 64-bit
Copyright 2010-2024 illumos
panic[cpu0]/thread=fffffffffbc4a040: BAD TRAP: type=e (#pf Page fault) rp=fffffffffbc7d200 addr=8 occurred in module "unix" due to a NULL pointer dereference
`,
    first:
      'FAILURE at kernel (domain kernel): The kernel (BSD, Mach or Windows) stopped for good: BAD TRAP: type=e (#pf Page fault) rp=fffffffffbc7d200 addr=8 occurred in module "unix" due to a NULL pointer dereference',
    advice: "Look for the reason it gives, together with the kernel's ver",
  },
];

describe("the first line and the first advice", () => {
  test.each(LOGS)("$what", async ({ log, first, advice }) => {
    const { text, report } = await analyseConsole([Buffer.from(log)]);
    const lines = text.split("\n");
    expect(lines[0]).toBe(first);
    expect(lines[lines.indexOf("What to try") + 1]?.slice("  1. ".length) ?? "").toContain(advice ?? "");
    if (report.boot_result === "success") expect(report.findings.filter(({ severity }) => severity !== "info")).toEqual([]);
  });
});
