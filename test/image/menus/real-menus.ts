/**
 * Menus in the forms that distributions give their media (Debian live and installer, Ubuntu, Fedora and its relatives, Arch Linux, openSUSE):
 * the same commands, nesting, includes and tricks, with our own words. Each as the files of its image.
 */
import { encodeFatImage } from "../../../src/formats/fat-image.ts";
import { type BuiltIso, buildBzImage, buildEfiProgram, buildIso, type Tree, text } from "../build-image.ts";

/** Files by path, as a tree. */
export function treeOf(files: Readonly<Record<string, string | Uint8Array>>): Tree {
  const root: { [name: string]: Uint8Array | Tree } = {};
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split("/").filter((part) => part !== "");
    let folder = root;
    for (const part of parts.slice(0, -1)) {
      folder[part] ??= {};
      folder = folder[part] as { [name: string]: Uint8Array | Tree };
    }
    folder[parts.at(-1)!] = typeof content === "string" ? text(content) : content;
  }
  return root;
}

const kernel = buildBzImage();
const initrd = text("070701 and so on");

/** A FAT volume with these files, long names and all. */
export const fatOf = (files: Readonly<Record<string, string | Uint8Array>>): Uint8Array =>
  encodeFatImage(
    Object.entries(files).map(([path, content]) => ({
      kind: "file",
      path: path.replace(/^\//, ""),
      mode: 0o644,
      content: typeof content === "string" ? text(content) : content,
    })),
    { label: "ESP", serial: 0x1234_abcd, mtimeS: 1_767_225_600 },
  );

/** An image with these files, and an ESP in its El Torito catalogue where `esp` is given. */
export function imageOf(
  volumeId: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  esp?: Readonly<Record<string, string | Uint8Array>>,
): BuiltIso {
  const boot =
    esp === undefined ? [] : [{ platformId: 0xef, image: fatOf({ "EFI/BOOT/BOOTX64.EFI": buildEfiProgram(), ...esp }), loadSectors: 720 }];
  return buildIso({ volumeId, rockRidge: true, tree: treeOf(files), boot: [{ platformId: 0, image: text("boot code") }, ...boot] });
}

/** GRUB's redirection beside its EFI program, then a menu that sources its looks and has entries that install behind a submenu. */
export const debianLive = (): BuiltIso =>
  imageOf(
    "D_LIVE 12",
    {
      "/.disk/info": "a live system",
      "/live/vmlinuz-6.1.0-9-amd64": kernel,
      "/live/initrd.img-6.1.0-9-amd64": initrd,
      "/install/gtk/vmlinuz": kernel,
      "/install/gtk/initrd.gz": initrd,
      "/boot/grub/config.cfg": [
        "set default=0",
        "if [ x$feature_default_font_path = xy ] ; then",
        "   font=unicode",
        "else",
        "   font=$prefix/unicode.pf2",
        "fi",
        "set color_normal=light-gray/black",
        "if loadfont $font ; then",
        "  set gfxmode=800x600",
        "  insmod efi_gop",
        "  terminal_output gfxterm",
        "fi",
        "insmod play",
        "play 960 440 1 0 4 440 1",
      ].join("\n"),
      "/boot/grub/theme.cfg": "set color_normal=cyan/blue\n",
      "/boot/grub/grub.cfg": [
        "source /boot/grub/config.cfg",
        "",
        "# The system itself",
        'menuentry "Live system (amd64)" --hotkey=l {',
        "\tlinux\t/live/vmlinuz-6.1.0-9-amd64 boot=live components quiet splash findiso=\x24{iso_path}",
        "\tinitrd\t/live/initrd.img-6.1.0-9-amd64",
        "}",
        'menuentry "Live system (amd64 fail-safe mode)" {',
        "\tlinux\t/live/vmlinuz-6.1.0-9-amd64 boot=live components memtest noapic noapm nodma nomce nosmp nosplash vga=788",
        "\tinitrd\t/live/initrd.img-6.1.0-9-amd64",
        "}",
        "submenu 'Advanced install options ...' --hotkey=a {",
        "\tsource /boot/grub/theme.cfg",
        "\tmenuentry 'Graphical expert install' {",
        "\t\tlinux\t/install/gtk/vmlinuz priority=low vga=788 --- quiet",
        "\t\tinitrd\t/install/gtk/initrd.gz",
        "\t}",
        "}",
        "submenu 'Utilities...' --hotkey=u {",
        '\tif [ "\x24{grub_platform}" = "efi" ]; then',
        "\t\tmenuentry 'Firmware setup' {",
        "\t\t\tfwsetup",
        "\t\t}",
        "\telse",
        "\t\tmenuentry 'Memory test' {",
        "\t\t\tlinux16 /live/memtest",
        "\t\t}",
        "\tfi",
        "}",
      ].join("\n"),
      "/boot/grub/x86_64-efi/grub.cfg": "configfile $prefix/grub.cfg\n",
      "/isolinux/isolinux.cfg": "include menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 0\n",
      "/isolinux/menu.cfg": "menu hshift 0\nmenu width 82\n\nmenu title Boot menu\ninclude stdmenu.cfg\ninclude live.cfg\nmenu clear\n",
      "/isolinux/stdmenu.cfg": "menu background splash.png\nmenu color title\t* #FFFFFFFF *\n",
      "/isolinux/live.cfg":
        "label live-amd64\n\tmenu label ^Live system (amd64)\n\tmenu default\n\tlinux /live/vmlinuz-6.1.0-9-amd64\n\tinitrd /live/initrd.img-6.1.0-9-amd64\n\tappend boot=live components quiet splash findiso=\n",
    },
    {
      "EFI/debian/grub.cfg": "search --file --set=root /.disk/info\nset prefix=($root)/boot/grub\nsource $prefix/x86_64-efi/grub.cfg\n",
    },
  );

/** casper: arguments behind `---`, a loop-back menu with the same entries, an `if` around whole entries. */
export const ubuntu = (): BuiltIso =>
  imageOf("U_SERVER 24", {
    "/casper/vmlinuz": kernel,
    "/casper/initrd": initrd,
    "/boot/memtest86+x64.bin": buildBzImage("memtest"),
    "/boot/grub/grub.cfg": [
      "set timeout=30",
      "",
      "loadfont unicode",
      "",
      "set menu_color_normal=white/black",
      'menuentry "Try or Install" {',
      "\tset gfxpayload=keep",
      "\tlinux\t/casper/vmlinuz  --- quiet splash",
      "\tinitrd\t/casper/initrd",
      "}",
      'menuentry "Safe graphics" {',
      "\tset gfxpayload=keep",
      "\tlinux\t/casper/vmlinuz nomodeset  --- quiet splash",
      "\tinitrd\t/casper/initrd",
      "}",
      "grub_platform",
      'if [ "$grub_platform" = "efi" ]; then',
      "menuentry 'Boot from next volume' {",
      "\texit 1",
      "}",
      "menuentry 'Firmware setup' {",
      "\tfwsetup",
      "}",
      "else",
      "menuentry 'Test memory' {",
      "\tlinux16 /boot/memtest86+x64.bin",
      "}",
      "fi",
    ].join("\n"),
    "/boot/grub/loopback.cfg": [
      'menuentry "Try or Install" {',
      "\tset gfxpayload=keep",
      "\tlinux\t/casper/vmlinuz  iso-scan/filename=\x24{iso_path} --- quiet splash",
      "\tinitrd\t/casper/initrd",
      "}",
    ].join("\n"),
  });

/** Lorax: a function, a search by label, entries of GRUB in the ISO and in its EFI folder, ISOLINUX with a submenu. */
export const fedora = (): BuiltIso => {
  const grub = [
    'set default="1"',
    "",
    "function load_video {",
    "  insmod all_video",
    "}",
    "",
    "load_video",
    "set gfxpayload=keep",
    "insmod gzio",
    "",
    "set timeout=60",
    "search --no-floppy --set=root -l 'F-WS-Live-40'",
    "",
    "menuentry 'Start the live system' --class os {",
    "\tlinux /images/pxeboot/vmlinuz root=live:CDLABEL=F-WS-Live-40 rd.live.image quiet rhgb",
    "\tinitrd /images/pxeboot/initrd.img",
    "}",
    "menuentry 'Test this media & start the live system' --class os {",
    "\tlinux /images/pxeboot/vmlinuz root=live:CDLABEL=F-WS-Live-40 rd.live.image rd.live.check quiet",
    "\tinitrd /images/pxeboot/initrd.img",
    "}",
    "submenu 'Troubleshooting -->' {",
    "\tmenuentry 'Basic graphics mode' --class os {",
    "\t\tlinux /images/pxeboot/vmlinuz root=live:CDLABEL=F-WS-Live-40 rd.live.image nomodeset vga=791",
    "\t\tinitrd /images/pxeboot/initrd.img",
    "\t}",
    "\tmenuentry 'Boot first drive' --class os {",
    "\t\tchainloader (hd0)+1",
    "\t}",
    "}",
  ].join("\n");
  return imageOf(
    "F-WS-Live-40",
    {
      "/images/pxeboot/vmlinuz": kernel,
      "/images/pxeboot/initrd.img": initrd,
      "/boot/grub2/grub.cfg": grub,
      "/EFI/BOOT/grub.cfg": grub,
      "/isolinux/vmlinuz": kernel,
      "/isolinux/initrd.img": initrd,
      "/isolinux/memtest": buildBzImage("memtest"),
      "/isolinux/isolinux.cfg": [
        "default vesamenu.c32",
        "timeout 600",
        "display boot.msg",
        "menu title Live",
        "label linux",
        "  menu label ^Start the live system",
        "  kernel vmlinuz",
        "  append initrd=initrd.img root=live:CDLABEL=F-WS-Live-40 rd.live.image quiet",
        "label check",
        "  menu label Test this ^media & start",
        "  menu default",
        "  kernel vmlinuz",
        "  append initrd=initrd.img root=live:CDLABEL=F-WS-Live-40 rd.live.image rd.live.check quiet",
        "menu separator # insert an empty line",
        "menu begin ^Troubleshooting",
        "  menu title Troubleshooting",
        "label basic",
        "  menu indent count 5",
        "  menu label Start in ^basic graphics mode.",
        "  text help",
        "\tTry this option out if you're having trouble.",
        "  endtext",
        "  kernel vmlinuz",
        "  append initrd=initrd.img root=live:CDLABEL=F-WS-Live-40 rd.live.image nomodeset quiet",
        "label memtest",
        "  menu label Run a ^memory test",
        "  kernel memtest",
        "label local",
        "  menu label Boot from ^local drive",
        "  localboot 0xffff",
        "label returntomain",
        "  menu label Return to ^main menu.",
        "  menu exit",
        "menu end",
      ].join("\n"),
    },
    { "EFI/BOOT/grub.cfg": grub },
  );
};

/** systemd-boot in the ISO and in its ESP, SYSLINUX that asks where it came from. */
export const arch = (): BuiltIso => {
  const loader = {
    "/loader/loader.conf": "timeout 15\ndefault 01-archiso-linux.conf\nbeep on\n",
    "/loader/entries/01-archiso-linux.conf":
      "title    Install medium (%ARCH%, UEFI)\nsort-key 01\nlinux    /arch/boot/x86_64/vmlinuz-linux\ninitrd   /arch/boot/x86_64/initramfs-linux.img\noptions  archisobasedir=arch archisosearchuuid=2026-01-01-00-00-00-00\n",
    "/loader/entries/02-archiso-speech-linux.conf":
      "title    Install medium with speech\nsort-key 02\nlinux    /arch/boot/x86_64/vmlinuz-linux\ninitrd   /arch/boot/x86_64/initramfs-linux.img\noptions  archisobasedir=arch accessibility=on\n",
    "/loader/entries/03-archiso-memtest86+x64.conf": "title    Memtest86+\nsort-key 03\nefi      /boot/memtest86+/memtest.efi\n",
    "/arch/boot/x86_64/vmlinuz-linux": kernel,
    "/arch/boot/x86_64/initramfs-linux.img": initrd,
  };
  return imageOf(
    "ARCH_2026",
    {
      ...loader,
      "/boot/memtest86+/memtest.efi": buildEfiProgram(),
      "/boot/memtest86+/memtest": buildBzImage("memtest"),
      "/boot/syslinux/syslinux.cfg":
        "DEFAULT select\n\nLABEL select\nCOM32 whichsys.c32\nAPPEND -pxe- pxe -sys- sys -iso- sys\n\nLABEL pxe\nCONFIG archiso_pxe.cfg\n\nLABEL sys\nCONFIG archiso_sys.cfg\n",
      "/boot/syslinux/archiso_head.cfg": "SERIAL 0 115200\nUI vesamenu.c32\nMENU TITLE Install medium\nMENU BACKGROUND splash.png\n",
      "/boot/syslinux/archiso_sys.cfg":
        "INCLUDE archiso_head.cfg\n\nDEFAULT arch\nTIMEOUT 150\n\nINCLUDE archiso_sys-linux.cfg\n\nINCLUDE archiso_tail.cfg\n",
      "/boot/syslinux/archiso_sys-linux.cfg":
        "LABEL arch\nTEXT HELP\nBoot the medium on BIOS.\nENDTEXT\nMENU LABEL Install medium (x86_64, BIOS)\nLINUX /arch/boot/x86_64/vmlinuz-linux\nINITRD /arch/boot/x86_64/initramfs-linux.img\nAPPEND archisobasedir=arch archisosearchuuid=2026-01-01-00-00-00-00\n",
      "/boot/syslinux/archiso_tail.cfg":
        "LABEL existing\nTEXT HELP\nBoot what is there.\nENDTEXT\nMENU LABEL Boot existing OS\nCOM32 chain.c32\nAPPEND hd0 0\n\nLABEL memtest\nMENU LABEL Run Memtest86+ (RAM test)\nLINUX /boot/memtest86+/memtest\n\nLABEL reboot\nMENU LABEL Reboot\nCOM32 reboot.c32\n\nLABEL poweroff\nMENU LABEL Power Off\nCOM32 poweroff.c32\n",
      "/boot/syslinux/archiso_pxe.cfg":
        "INCLUDE archiso_head.cfg\nLABEL arch_nbd\nMENU LABEL Install medium (NBD)\nLINUX ::/arch/boot/x86_64/vmlinuz-linux\nAPPEND archiso_nbd_srv=1\n",
    },
    loader,
  );
};

/** Names of commands in variables, a loader folder with ISOLINUX in it. */
export const opensuse = (): BuiltIso =>
  imageOf("O-Leap-15", {
    "/boot/x86_64/loader/linux": kernel,
    "/boot/x86_64/loader/initrd": initrd,
    "/boot/x86_64/loader/isolinux.cfg":
      "default harddisk\n\n# hard disk\nlabel harddisk\n  localboot -2\n\n# install\nlabel linux\n  kernel linux\n  append initrd=initrd splash=silent showopts\n\nimplicit\t\t1\ngfxboot\t\tbootlogo\n",
    "/EFI/BOOT/grub.cfg": [
      "insmod part_gpt",
      "set linux=linux",
      "set initrd=initrd",
      'if [ "\x24{grub_cpu}" = "x86_64" -o "\x24{grub_cpu}" = "i386" ]; then',
      '  if [ "\x24{grub_platform}" = "efi" ]; then',
      "    set linux=linuxefi",
      "    set initrd=initrdefi",
      "  fi",
      "fi",
      "export linux initrd",
      "set default=1",
      "menuentry 'Boot from Hard Disk' --class opensuse {",
      "  if search --no-floppy --file /efi/boot/fallback.efi --set ; then",
      "    for os in opensuse sles caasp ; do",
      "      if [ -f /efi/$os/grub.efi ] ; then",
      "        chainloader /efi/$os/grub.efi",
      "        boot",
      "      fi",
      "    done",
      "  fi",
      "  exit",
      "}",
      "menuentry 'Installation' --class opensuse {",
      "  set gfxpayload=keep",
      "  echo 'Loading kernel ...'",
      "  $linux /boot/x86_64/loader/linux splash=silent",
      "  echo 'Loading initial ramdisk ...'",
      "  $initrd /boot/x86_64/loader/initrd",
      "}",
      "submenu 'More ...' --class opensuse {",
      "  menuentry 'Rescue System' {",
      "    $linux /boot/x86_64/loader/linux rescue=1",
      "    $initrd /boot/x86_64/loader/initrd",
      "  }",
      "}",
    ].join("\n"),
  });

/** The installer: includes in submenus in includes, a help label that includes all of it once more. */
export const debianInstaller = (): BuiltIso => {
  const label = (name: string, title: string, folder: string, words: string) =>
    `label ${name}\n\tmenu label ${title}\n\tkernel /install.amd/vmlinuz\n\tappend ${words}initrd=/install.amd/${folder}initrd.gz --- quiet \n`;
  return imageOf("D_INST 12", {
    "/install.amd/vmlinuz": kernel,
    "/install.amd/initrd.gz": initrd,
    "/install.amd/gtk/initrd.gz": initrd,
    "/isolinux/isolinux.cfg":
      "# D-I config version 2.0\n# search path for the c32 support libraries\npath \ninclude menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 0\n",
    "/isolinux/menu.cfg": [
      "menu hshift 4",
      "menu title Installer menu",
      "include stdmenu.cfg",
      "include gtk.cfg",
      "include txt.cfg",
      "menu begin advanced",
      "    menu label ^Advanced options",
      "\tmenu title Advanced options",
      "\tinclude stdmenu.cfg",
      "\tlabel mainmenu",
      "\t\tmenu label ^Back..",
      "\t\tmenu exit",
      "\tinclude adgtk.cfg",
      "menu end",
      "label help",
      "\tmenu label ^Help",
      "\ttext help",
      "   Display help screens; type 'menu' at boot prompt",
      "\tendtext",
      "\tconfig prompt.cfg",
    ].join("\n"),
    "/isolinux/stdmenu.cfg": "menu background\n",
    "/isolinux/gtk.cfg": label("installgui", "^Graphical install", "gtk/", "vga=788 "),
    "/isolinux/txt.cfg": label("install", "^Install", "", "vga=788 "),
    "/isolinux/adgtk.cfg": label("expertgui", "G^raphical expert install", "gtk/", "priority=low vga=788 "),
    "/isolinux/prompt.cfg": "prompt 1\ndisplay f1.txt\ntimeout 0\ninclude menu.cfg\ninclude exithelp.cfg\n\nf1 f1.txt\n",
    "/isolinux/exithelp.cfg": "label menu\n\tkernel vesamenu.c32\n\tconfig isolinux.cfg\n",
    "/boot/grub/grub.cfg": [
      "if loadfont $prefix/font.pf2 ; then",
      "  set gfxmode=800x600",
      "fi",
      "if background_image /isolinux/splash.png; then",
      "  set color_normal=light-gray/black",
      "elif background_image /splash.png; then",
      "  true",
      "fi",
      "menuentry --hotkey=g 'Graphical install' {",
      "    set background_color=black",
      "    linux    /install.amd/vmlinuz vga=788 --- quiet ",
      "    initrd   /install.amd/gtk/initrd.gz",
      "}",
      "submenu --hotkey=a 'Advanced options ...' {",
      "    set theme=/boot/grub/theme/1-1",
      "    menuentry '... Expert install' {",
      "        linux    /install.amd/vmlinuz priority=low vga=788 --- ",
      "        initrd   /install.amd/initrd.gz",
      "    }",
      "}",
    ].join("\n"),
  });
};

/** A UKI: a PE image whose sections are a kernel, microcode, an initrd, a command line and a description of the system. */
export function buildUnified(sections: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const head = buildEfiProgram();
  const names = Object.keys(sections);
  const size = 4096 + Object.values(sections).reduce((sum, { length }) => sum + Math.ceil(length / 512) * 512, 0);
  const bytes = new Uint8Array(size);
  bytes.set(head);
  const view = new DataView(bytes.buffer);
  view.setUint16(70, names.length, true);
  let at = 4096;
  names.forEach((name, index) => {
    const content = sections[name]!;
    const row = 88 + 240 + index * 40;
    bytes.fill(0, row, row + 40);
    bytes.set(text(name), row);
    view.setUint32(row + 8, content.length, true);
    view.setUint32(row + 16, Math.ceil(content.length / 512) * 512, true);
    view.setUint32(row + 20, at, true);
    bytes.set(content, at);
    at += Math.ceil(content.length / 512) * 512;
  });
  return bytes;
}

export const unifiedSections = {
  ".osrel": text('ID=test\nPRETTY_NAME="Test OS 1"\n'),
  ".cmdline": text("root=/dev/sda1 quiet\n\0"),
  ".ucode": text("070701 microcode"),
  ".linux": kernel,
  ".initrd": initrd,
};
