import type { StageMark } from "./rule.ts";

/**
 * The lines by which a boot shows how far it has come, in the order in which it passes them. A stage is reached when one
 * of its marks is seen; marks that `begin` a program also tell a second boot in the same log from the first.
 */
export const STAGE_MARKS: readonly StageMark[] = [
  // Firmware
  {
    id: "stage/seabios",
    stage: "firmware",
    program: "SeaBIOS",
    pattern: /^SeaBIOS \(version /,
    begins: true,
    matches: ["SeaBIOS (version 1.16.2-debian-1.16.2-1)"],
    ignores: ["DMI: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014"],
  },
  {
    id: "stage/bios-boots",
    stage: "firmware",
    program: "SeaBIOS",
    pattern: /^Booting from (?:Hard Disk|DVD\/CD|Floppy|ROM|USB|CBFS|[0-9A-F]{4}:[0-9A-F]{4})/,
    matches: ["Booting from DVD/CD...", "Booting from Hard Disk...", "Booting from ROM.."],
    ignores: ["Booting from a disk image is slow"],
  },
  {
    id: "stage/ipxe-rom",
    stage: "firmware",
    program: "iPXE",
    pattern: /^iPXE \(https?:\/\/ipxe\.org\) [0-9a-f]{2}:/i,
    begins: true,
    matches: ["iPXE (http://ipxe.org) 00:03.0 CA00 PCI2.10 PnP PMM+7EFC6A30+7EF06A30 CA00"],
    ignores: ["iPXE 1.21.1 -- Open Source Network Boot Firmware"],
  },
  {
    id: "stage/ovmf",
    stage: "firmware",
    program: "UEFI",
    pattern:
      /BdsDxe: (?:loading|starting|failed|No bootable)|^UEFI Interactive Shell v|^Loading (?:PEIM|driver) at 0x|^\[Bds\]|^UEFI firmware \(version /,
    begins: true,
    matches: [
      'BdsDxe: loading Boot0001 "UEFI QEMU DVD-ROM QM00001 " from PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)',
      "UEFI Interactive Shell v2.2",
    ],
    ignores: ["efi: EFI v2.70 by EDK II"],
  },
  {
    id: "stage/coreboot",
    stage: "firmware",
    program: "coreboot",
    pattern: /\bcoreboot-\S+ .*\b(?:bootblock|verstage|romstage|ramstage|postcar)\b.* starting/,
    begins: true,
    matches: ["coreboot-4.20 Thu Jan  1 00:00:00 UTC 1970 x86_32 bootblock starting (log level: 7)..."],
    ignores: ["coreboot table at 0x7fffd000"],
  },
  {
    id: "stage/board-firmware",
    stage: "firmware",
    program: "board firmware",
    pattern:
      /^(?: {0,4}\d{1,4}\.\d\d )?RPi: BOOT(?:SYS|LOADER) |^Raspberry Pi Bootcode|^HELLO! BOOT0 is starting|^DDR Version V\d|^U-Boot (?:SPL|TPL) \d|^OpenSBI v\d|^(?:NOTICE|INFO): {1,4}BL(?:1|2|31|33)\b|^>{0,4}SecStartup/,
    begins: true,
    matches: [
      "U-Boot SPL 2024.01 (Jan 01 2024 - 00:00:00 +0000)",
      "OpenSBI v1.3",
      "NOTICE:  BL31: v2.9(release):v2.9.0",
      "  1.96 RPi: BOOTSYS release VERSION:00000000 DATE: 2024/09/23 TIME: 14:02:56",
    ],
    ignores: ["U-Boot 2024.01 (Jan 01 2024 - 00:00:00 +0000)"],
  },

  {
    id: "stage/open-firmware",
    stage: "firmware",
    program: "Open Firmware",
    pattern: /^SLOF \*{10}|^(?:>> )?OpenBIOS \d|^Welcome to OpenBIOS|^(?: {2})?Welcome to Open Firmware/,
    begins: true,
    matches: ["SLOF **********************************************************************", ">> OpenBIOS 1.1 [Dec 16 2025 06:10]"],
    ignores: ["OF stdout device is: /vdevice/vty@71000000", "Quiescing Open Firmware ..."],
  },

  // Boot loaders
  {
    id: "stage/grub",
    stage: "bootloader",
    program: "GRUB",
    pattern:
      /^GRUB loading|^ ?Welcome to GRUB!|\bGNU GRUB +version \d|will be executed automatically in \d+ ?s\.|^ *Booting (?:`|a command list)|^Loading Linux \S+ \.\.\.|^Loading initial ramdisk \.\.\.|^grub(?: rescue)?>|^GRUB version \d/,
    begins: true,
    matches: [
      "Welcome to GRUB!",
      "                             GNU GRUB  version 2.06",
      "  Booting `Debian GNU/Linux'",
      "Loading Linux 6.1.0-18-amd64 ...",
      "grub rescue>",
    ],
    ignores: ["Booting Linux on physical CPU 0x0", "grub-common.service"],
  },
  {
    // It says something only where it refuses, or was built to be talkative.
    id: "stage/shim",
    stage: "bootloader",
    program: "shim",
    pattern:
      /Verification failed: \(0x[0-9A-F]{1,16}\) (?:Security Violation|Access Denied)|^(?:Bootloader|Loader) has not verified loaded image|^System is compromised\. +halting|^shim\.c:\d{1,5}:/,
    matches: ["Verification failed: (0x1A) Security Violation", "shim.c:873:load_image() attempting to load \\EFI\\BOOT\\grubx64.efi"],
    ignores: ["EFI stub: UEFI Secure Boot is enabled."],
  },
  {
    id: "stage/syslinux",
    stage: "bootloader",
    program: "syslinux",
    pattern: /^(?:SYS|ISO|PXE|EXT)LINUX \d+\.\d+ |^Loading \S+\.\.\. ?(?:ok|ready)\b|^boot: /,
    begins: true,
    matches: [
      "ISOLINUX 6.04 20200816 ETCD Copyright (C) 1994-2015 H. Peter Anvin et al",
      "SYSLINUX 6.04 EDD 6.04-pre2",
      "Loading /boot/vmlinuz... ok",
    ],
    ignores: ["Loading keymap: ok"],
  },
  {
    id: "stage/systemd-boot",
    stage: "bootloader",
    program: "systemd-boot",
    pattern: /^ *Boot in \d+ ?s\.|^systemd-boot \d/,
    matches: ["Boot in 3 s."],
    ignores: ["Boot in progress"],
  },
  {
    id: "stage/ipxe",
    stage: "bootloader",
    program: "iPXE",
    pattern: /^iPXE initialising devices|^iPXE \d+\.\d+\.\d+|^iPXE \(PCI [0-9a-f:.]{1,16}\) starting execution|^iPXE>/i,
    matches: [
      "iPXE (PCI 00:03.0) starting execution...ok",
      "iPXE initialising devices...ok",
      "iPXE 1.21.1+ (g4e456) -- Open Source Network Boot Firmware -- https://ipxe.org",
    ],
    ignores: ["iPXE (http://ipxe.org) 00:03.0 CA00 PCI2.10 PnP PMM+7EFC6A30+7EF06A30 CA00"],
  },
  {
    id: "stage/u-boot",
    stage: "bootloader",
    program: "U-Boot",
    pattern: /^U-Boot \d{4}\.\d\d|^Hit any key to stop autoboot: |^Starting kernel \.\.\.|^## (?:Booting kernel|Loading kernel) from /,
    begins: true,
    matches: ["U-Boot 2024.01 (Jan 01 2024 - 00:00:00 +0000)", "Hit any key to stop autoboot:  3", "Starting kernel ..."],
    ignores: ["U-Boot SPL 2024.01 (Jan 01 2024 - 00:00:00 +0000)", "Starting kernel event tracing"],
  },
  {
    id: "stage/barebox",
    stage: "bootloader",
    program: "barebox",
    pattern: /^barebox \d{4}\.\d\d\.\d/,
    begins: true,
    matches: ["barebox 2024.01.0 #1 Mon Jan 1 00:00:00 UTC 2024"],
    ignores: ["barebox@Board:/ "],
  },
  {
    id: "stage/depthcharge",
    stage: "bootloader",
    program: "depthcharge",
    pattern: /^Starting depthcharge on /,
    begins: true,
    matches: ["Starting depthcharge on Board..."],
    ignores: ["depthcharge: ok"],
  },
  {
    id: "stage/bsd-loader",
    stage: "bootloader",
    program: "BSD loader",
    pattern: /^FreeBSD\/\S+ (?:EFI|bootstrap|EFI bootstrap) loader, Revision |^>> (?:OpenBSD|NetBSD)\/\S+ .*(?:BOOT|Boot)/,
    begins: true,
    matches: ["FreeBSD/amd64 EFI loader, Revision 3.0", ">> OpenBSD/amd64 BOOT 3.65", ">> NetBSD/x86 BIOS Boot, Revision 5.11"],
    ignores: ["FreeBSD/amd64 (host) (ttyu0)"],
  },
  {
    // A bootstrap from hand-readable code goes from kernel to kernel: each begins a boot of its own.
    id: "stage/small-kexec",
    stage: "bootloader",
    program: "kexec",
    pattern: /^kexec-fiwix: jumping to trampoline\.\.\.|^kexec_linux: jumping to linux_trampoline\(\)/,
    begins: true,
    matches: ["kexec-fiwix: jumping to trampoline...", "kexec_linux: jumping to linux_trampoline() ..."],
    ignores: ["kexec-fiwix: Reading kernel...", "kexec_core: Starting new kernel"],
  },

  // Kernels
  {
    id: "stage/fiwix",
    stage: "kernel",
    program: "Fiwix",
    pattern: /^ *Fiwix kernel v\d/,
    begins: true,
    matches: ["                    Fiwix kernel v1.5.0 for i386 architecture"],
    ignores: ["a Fiwix kernel v1 was built"],
  },
  {
    id: "stage/efi-stub",
    stage: "kernel",
    program: "Linux",
    pattern: /^EFI stub: /,
    matches: ["EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path"],
    ignores: ["efi: EFI stub not in use"],
  },
  {
    id: "stage/linux",
    stage: "kernel",
    program: "Linux",
    pattern: /^Linux version \d+\.\d+\S* \(/,
    begins: true,
    matches: [
      "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP",
      "Linux version 3.10.0 (user@host) (gcc version 4.8.5) #1 SMP",
    ],
    ignores: ["Loading modules backported from Linux version v5.8.0-0-gbcf876870b95", "Linux version 6.1.0 is installed"],
  },
  {
    // Arm and RISC-V say this before their version: another mark, or each boot would count twice.
    id: "stage/linux-first-processor",
    stage: "kernel",
    program: "Linux",
    pattern: /^Booting Linux on (?:physical CPU|hart) /,
    begins: true,
    matches: ["Booting Linux on physical CPU 0x0000000000 [0x410fd034]"],
    ignores: ["Booting Linux on your board"],
  },
  {
    id: "stage/linux-early",
    stage: "kernel",
    program: "Linux",
    pattern:
      /^(?:Kernel command line|Command line): |^Preparing to boot Linux version \d|^Booting Linux via __start\(\) |^Decompressing Linux\.\.\.|^Uncompressing Linux\.\.\.|^early console in /,
    matches: [
      "Kernel command line: BOOT_IMAGE=/vmlinuz console=ttyS0",
      "Decompressing Linux... Parsing ELF... done.",
      // PowerPC's first words, while the firmware still holds the console.
      "Preparing to boot Linux version 6.1.0 (user@host) (gcc 12.2.0) #1 SMP",
    ],
    ignores: ["Command line tools are installed"],
  },
  {
    id: "stage/bsd-kernel",
    stage: "kernel",
    program: "BSD",
    pattern: /^Copyright \(c\) \d{4}-\d{4} The FreeBSD Project\.|^(?:OpenBSD|NetBSD) \d+\.\S+ \((?:GENERIC|RAMDISK|INSTALL|XEN)\S*\)/,
    begins: true,
    matches: [
      "Copyright (c) 1992-2023 The FreeBSD Project.",
      "OpenBSD 7.4 (GENERIC.MP) #1397: Tue Oct 10 09:02:37 MDT 2023",
      "NetBSD 10.0 (GENERIC) #0: Thu Mar 28 08:33:33 UTC 2024",
    ],
    ignores: ["Welcome to FreeBSD!"],
  },
  {
    // A hypervisor that starts before its first Linux, and prints `(XEN)` before each line.
    id: "stage/xen",
    stage: "kernel",
    program: "Xen",
    pattern: /^Xen version \d+\.\d+\S* \(/,
    begins: true,
    matches: ["Xen version 4.17.7 (Debian 4.17.7-1) (user@host) (gcc 12.2.0) debug=n Mon Jan  1 00:00:00 UTC 2024"],
    ignores: ["Xen version: 4.17.7 (preserve-AD)"],
  },
  {
    id: "stage/other-kernel",
    stage: "kernel",
    program: "another kernel",
    pattern:
      /^\*\*\* Booting Zephyr OS|^NuttShell \(NSH\)|^- RT - {1,8}Thread Operating System|^xv6 kernel is booting|^SunOS Release \d|^GNU Mach \d|^ {0,20}Memtest86\+? {1,4}v?\d/,
    matches: [
      "*** Booting Zephyr OS build v3.5.0 ***",
      "NuttShell (NSH) NuttX-12.4.0",
      "- RT -     Thread Operating System",
      "GNU Mach 1.8",
      "Memtest86+ v6.10",
    ],
    ignores: ["nsh> uname", "Booting `Memtest86+'"],
  },

  // Initramfs
  {
    id: "stage/initramfs",
    stage: "initramfs",
    program: "initramfs",
    pattern:
      /^Run \/init as init process|^Loading, please wait\.\.\.|^Begin: (?:Loading essential drivers|Running \/scripts\/|Mounting root file system|Mounting ")|dracut-\d+\S* \(Initramfs\)|^(?:systemd\[1\]: )?Running in (?:initr(?:d|amfs)|initial RAM disk)\.|^(?:systemd\[1\]: )?systemd \d+\S* running in system mode|^dracut-(?:initqueue|pre-\w+|cmdline|mount)\[\d+\]: |^dracut: |^:: running (?:early )?hook \[|^(?:systemd-)?udevd\[\d+\]: starting version |^[Ss]tarting version \d{3}\b|^Mounting boot media|^Alpine Init \d|^<<< NixOS Stage 1 >>>|^>> (?:Genkernel \d|Determining root device)|^init: init first stage started!/,
    matches: [
      "Run /init as init process",
      "Begin: Running /scripts/init-premount ... done.",
      "Welcome to Debian GNU/Linux 12 (bookworm) dracut-059-4 (Initramfs)!",
      "systemd[1]: Running in initrd.",
      // Says so in an initramfs as on the root file system: no more than the first is sure.
      "systemd[1]: systemd 252.22-1~deb12u1 running in system mode (+PAM +AUDIT)",
      ":: running early hook [udev]",
      "systemd-udevd[103]: starting version 252",
      "Alpine Init 3.8.2-r0",
      "<<< NixOS Stage 1 >>>",
      ">> Genkernel 4.3.10 (2024-01-01 00:00:00 UTC). Linux kernel 6.6.7-gentoo",
      "init: init first stage started!",
    ],
    ignores: ["Run /sbin/init as init process", "Begin: 0x1000 End: 0x2000", "Trying to unpack rootfs image as initramfs..."],
  },

  // Init systems, and what stands in their place
  {
    id: "stage/bootstrap",
    stage: "userspace",
    program: "bootstrap",
    pattern: /^ \+> \S|^\w[\w.+~-]{0,100}: beginning build using script /,
    matches: [" +> ./bootstrap-seeds/POSIX/x86/hex0-seed ./x86/hex0.hex0 ./x86/hex0 ", "make-3.82: beginning build using script pass1.sh"],
    ignores: ["a +> b", "+> x", "beginning build using script"],
  },
  {
    id: "stage/init",
    stage: "userspace",
    program: "init",
    pattern:
      /^Run \/(?:usr\/lib\/systemd\/systemd|(?:usr\/)?s?bin\/(?:init|sh|bash)|linuxrc|etc\/init) as init process|^(?:systemd\[1\]: )?Switching root\.|^INIT: version \d|^INIT: Entering runlevel|^init started: BusyBox|^procd: - (?:early|init) -|^- runit: (?:\$Id: [^$]{0,80}\$: booting|enter stage: )|^shepherd\[1\]: |^s6-rc: info: |^Trying to mount root from \w+:|^<<< NixOS Stage 2 >>>|^(?:● ){3} ?Finit v\d|^finit\[1\]:Finit v\d|^init: init second stage started!|^cloud-init\[\d+\]: Cloud-init v\. ?\d/,
    matches: [
      "Run /sbin/init as init process",
      "systemd[1]: Switching root.",
      "INIT: version 3.06 booting",
      "- runit: $Id: 0123456789abcdef0123456789abcdef01234567 $: booting.",
      "- runit: enter stage: /etc/runit/2",
      "procd: - early -",
      "init: init second stage started!",
      "cloud-init[512]: Cloud-init v. 23.4 running 'init-local' at Mon, 01 Jan 2024 00:00:00 +0000. Up 5.00 seconds.",
    ],
    ignores: ["Run /init as init process", 'INIT: cannot execute "/sbin/getty"'],
  },
  {
    id: "stage/systemd",
    stage: "userspace",
    program: "systemd",
    pattern:
      /^Welcome to (?!GRUB)(?!.{0,100}\(Initramfs\)).{3,100}!$|^systemd\[1\]: (?:Queued start job for default target (?!.{0,20}[Ii]nitrd)|Startup finished in )|^(?:\[ +OK +\]|systemd\[1\]:) (?:Reached target (?:\S{1,40} - )?(?:Multi-User System|Login Prompts|Graphical Interface)|(?:Started|Finished) (?:\S{1,40} - )?(?:Serial Getty|Getty) on|Started User Login Management|Finished Permit User Sessions|Started Permit User Sessions)/,
    matches: [
      "Welcome to Debian GNU/Linux 12 (bookworm)!",
      "[  OK  ] Reached target Multi-User System.",
      "[  OK  ] Reached target multi-user.target - Multi-User System.",
      "systemd[1]: Queued start job for default target graphical.target.",
    ],
    ignores: [
      "Welcome to GRUB!",
      "Welcome to Debian GNU/Linux 12 (bookworm) dracut-059-4 (Initramfs)!",
      "[  OK  ] Reached target Basic System.",
      "systemd[1]: Queued start job for default target initrd.target - Initrd Default Target.",
    ],
  },
  {
    // The same lines come from the systemd of an initramfs: they show more only where none was seen.
    id: "stage/systemd-unit",
    stage: "userspace",
    program: "systemd",
    pattern: /^\[ +OK +\] (?:Started|Reached target|Mounted|Created slice|Listening on|Finished|Found device) /,
    onlyBefore: "initramfs",
    matches: ["[  OK  ] Reached target Basic System.", "[  OK  ] Started Journal Service."],
    ignores: ["[FAILED] Failed to start Journal Service."],
  },
  {
    id: "stage/openrc",
    stage: "userspace",
    program: "OpenRC",
    pattern: /^ *OpenRC [\d.]+\S* is starting up /,
    matches: ["   OpenRC 0.52.1 is starting up Linux 6.6.7-0-lts (x86_64)"],
    ignores: ["OpenRC init scripts"],
  },
  {
    id: "stage/rc-scripts",
    stage: "userspace",
    program: "init scripts",
    pattern:
      /^Starting (?:syslogd|klogd|network|udev|sshd|dropbear|logging)[^:]{0,40}: OK|^(?:starting network|Starting local daemons|setting tty flags)/,
    matches: ["Starting syslogd: OK"],
    ignores: ["Starting kernel ..."],
  },

  // Login
  {
    id: "stage/login-prompt",
    stage: "login",
    program: "getty",
    pattern: /^(?!Last |last |Invalid |invalid )(?:[\w.()-]{1,64} )?login:(?: |$)|^(?:[\w.-]{1,64} )?login: root \(automatic login\)/,
    matches: [
      "debian login: ",
      "login:",
      "host login: root (automatic login)",
      "host login: [   60.489793] hv_balloon: Max. dynamic memory size",
      "(none) login: ",
    ],
    ignores: ["Last login: Mon Jan  1 00:00:00 UTC 2024 on ttyS0", "sshd[200]: too many login: attempts"],
  },
  {
    id: "stage/root-shell",
    stage: "login",
    program: "shell",
    unlessFound: "emergency_shell",
    pattern:
      /^[~/] [#$](?: |$)|^[\w.-]{1,40}:\/ [#$](?: |$)|^(?:ba|da|a)?sh-\d[\d.]{0,8}[#$]|^[\w.-]{0,64}@[\w.()-]{1,64}:[~/][\w/.-]{0,64}[#$]|^\[\w{1,32}@[\w.-]{1,64} [~/\w.-]{1,64}\][#$]|^\[\w{1,32}@[\w.-]{1,64}\][~/][\w/.-]{0,64}[#$]/,
    matches: ["/ #", "~ # ", "root@debian:~# ", "[root@localhost ~]# ", "[root@board]~# uname -a", "bash-5.2# ", "/ # ls", "console:/ $ "],
    ignores: ["# mount /dev/sda1", "root@pts/0: connected", "[rootfs ]# "],
  },
  {
    id: "stage/console-menu",
    stage: "login",
    program: "console",
    pattern: /^Please press Enter to activate this console\.|^SAC>|^Press ENTER to log ?in|^nsh> ?|^msh (?:\/\S{0,40})?>/i,
    matches: ["Please press Enter to activate this console.", "SAC>", "nsh> ", "msh />"],
    ignores: ["Press Enter for maintenance"],
  },
];
