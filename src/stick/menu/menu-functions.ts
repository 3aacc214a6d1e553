/**
 * The part of the menu's script that is the same on each stick of one version: it finds the data partition, offers what can be done with an image,
 * and looks for images itself. `menu-script.ts` writes the part that differs. GRUB manual 2.06, "Writing GRUB configuration files directly".
 *
 * Its variables begin with `hiso_`; what a person changes for one boot stands in `HISO_…` (CONTRACT section 1). GRUB keeps variables by menu: one that a
 * submenu changes has its old value again when it is left, and only those that are exported are seen in it. So a menu of settings opens itself anew, one
 * level deeper, with each choice.
 *
 * A title or name that begins with `-` is taken for an option: so options come first and `--` ends them, and expressions are asked of paths, which begin
 * with a slash.
 */
import { DISPLAYS, environmentNameOf, FIRMWARES, PARAMETERS, type Parameter, TRACE_LEVELS } from "../../contract/parameters.ts";
import { STICK_ESP, STICK_PARAMETERS } from "../../contract/stick.ts";
import { grubWord } from "../../formats/escape-grub.ts";
import { IMAGE_EXTENSIONS } from "../image-sources.ts";
import { DIRECT_FAMILIES, type DirectFamily, LOOPBACK_CONFIG } from "./direct-boot.ts";
import { RECORDED_ID, TOO_LONG } from "./stick-menu.ts";

/** Where the menu's own files and the runtime stand, and how the kernel is told. */
export interface MenuPlace {
  /** Folder on the partition that GRUB reads the menu from; empty: laid out from its root, as on our own boot partition. */
  readonly folder: string;
  /** That partition is the data partition itself: a stick that was adopted. */
  readonly onData: boolean;
  /** For the kernel, before all that a person changes. */
  readonly words: readonly string[];
}

/** A stick of ours. The GPT's GUID tells init which disk it came from. */
export const ownPlace = (diskGuid: string): MenuPlace => ({
  folder: "",
  onData: false,
  words: [`${STICK_PARAMETERS.disk}=${diskGuid.toLowerCase()}`],
});

/** The kernel's own words come first: behind ours, quotes in a name could reach them. */
const KERNEL_WORDS = ["quiet", "console=tty0", "console=ttyS0,115200"];

/** What the menu changes for one boot. */
const CHANGEABLE: readonly { readonly setting: Parameter["setting"]; readonly title: string; readonly choices: readonly string[] }[] = [
  { setting: "traceLevel", title: "Trace level", choices: TRACE_LEVELS },
  { setting: "guestRam", title: "Memory, MB", choices: ["512", "1024", "2048", "4096", "8192", "16384"] },
  { setting: "guestCpus", title: "Processors", choices: ["1", "2", "4", "8"] },
  { setting: "firmware", title: "Firmware", choices: FIRMWARES },
  { setting: "display", title: "Display", choices: DISPLAYS },
  { setting: "netDump", title: "Record the network", choices: ["1", "0"] },
  { setting: "secureBoot", title: "Secure Boot in the guest", choices: ["1", "0"] },
  { setting: "tpm", title: "TPM in the guest", choices: ["1", "0"] },
];

interface Changeable {
  readonly title: string;
  readonly variable: string;
  readonly choices: readonly { readonly value: string; readonly title: string }[];
}

const changeable: readonly Changeable[] = CHANGEABLE.flatMap(({ setting, title, choices }) => {
  const row = PARAMETERS.find((parameter) => parameter.setting === setting);
  const variable = row === undefined ? undefined : environmentNameOf(row);
  if (row?.kernel === undefined || variable === undefined) return [];
  const titleOf = (value: string) => (row.value.type === "switch" ? { 0: "no", 1: "yes" }[value] : undefined) ?? value;
  return [{ title, variable, choices: choices.map((value) => ({ value, title: titleOf(value) })) }];
});

/** `IMG` as a person may write it, too. */
const anyCase = (text: string): string => text.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
const IMAGE_PATTERN = `\\.(${IMAGE_EXTENSIONS.map(anyCase).join("|")})$`;
/** What people take for images, and has to be unpacked. */
const PACKED_PATTERN = `\\.(${IMAGE_EXTENSIONS.map(anyCase).join("|")})\\.(${["gz", "xz", "zst", "bz2", "lz4", "zip", "7z"].map(anyCase).join("|")})$`;

/** Bytes of a path, in hundreds, that fit into the kernel's line with all that may stand beside it. */
const PATH_HUNDREDS_MAX = 16;

const indented = (lines: readonly string[]): readonly string[] => lines.map((line) => `  ${line}`);
const define = (name: string, lines: readonly string[]): readonly string[] => [`function ${name} {`, ...indented(lines), "}", ""];

/** A word of GRUB with {P}, {U} and {L} as what the script knows of them. */
export function templateWord(template: string): string {
  const variables = { P: '"$hiso_path"', U: '"$hiso_uuid"', L: '"$hiso_label"' } as const;
  return template
    .split(/\{([PUL])\}/)
    .map((part, index) => (index % 2 === 1 ? variables[part as "P" | "U" | "L"] : part === "" ? "" : grubWord(part)))
    .join("");
}

/** The whole of `grub.cfg`: it reads the other part, and without that still offers what needs none. */
export function menuFunctions(place: MenuPlace): string {
  const at = (path: string) => `"($hiso_boot)"${grubWord(`${place.folder}${path}`)}`;
  return [
    "# Written by hiperiso, and written anew with each version. The settings are in hiperiso.json on the data partition.",
    ...findPartitions(place),
    ...startFunctions(place, at),
    ...settingsFunction(),
    ...directFunctions(),
    ...imageFunctions(),
    ...backFunction(at),
    ...scanFunctions(),
    ...toolsFunction(at),
    "set hiso_menu=",
    `if [ -s ${at(STICK_ESP.menuPart)} ]; then source ${at(STICK_ESP.menuPart)}; fi`,
    'if [ "$hiso_menu" != whole ]; then',
    "  menuentry 'The list of images is damaged: this is what there is without it.' --unrestricted { true; }",
    "  hiso_folder /ISOs hiso_none xxxxxxxx",
    "  hiso_tools",
    "fi",
    "",
  ].join("\n");
}

function findPartitions({ onData }: MenuPlace): readonly string[] {
  return [
    'if [ -z "$hiso_boot" ]; then set hiso_boot="$root"; fi',
    'set hiso_data="$hiso_boot"',
    ...(onData
      ? []
      : [
          // The data partition is the first one of the same disk.
          'if regexp --set=1:hiso_disk \'^([^,]+),\' "$hiso_boot"; then set hiso_data="$hiso_disk,gpt1"; fi',
        ]),
    "set hiso_readable=n",
    'if [ -d "($hiso_data)/hiperiso" -o -d "($hiso_data)/ISOs" ]; then set hiso_readable=y; fi',
    // A GRUB that is locked down loads no module of its own build either: then the list counts that was made last.
    'if [ "$hiso_readable" = n -a "$lockdown" != y -a -e "$prefix/x86_64-efi/exfat.mod" ]; then',
    "  insmod exfat",
    '  if [ -d "($hiso_data)/hiperiso" -o -d "($hiso_data)/ISOs" ]; then set hiso_readable=y; fi',
    "fi",
    // The list may have come again out of a menu in which they were changed.
    ...PARAMETERS.flatMap((row) => environmentNameOf(row) ?? []).map((variable) => `set ${variable}=`),
    "set superusers=",
    "set hiso_uuid=",
    'if [ "$hiso_readable" = y ]; then probe --set=hiso_uuid --fs-uuid "($hiso_data)"; fi',
    "export hiso_boot hiso_data hiso_readable hiso_uuid",
    "set hiso_locked=",
    "set hiso_pickers=",
    "",
    // Without the other part nothing is known of images.
    ...define("hiso_rules", ["true"]),
    ...define("hiso_none", ["false"]),
  ];
}

function startFunctions({ words }: MenuPlace, at: (path: string) => string): readonly string[] {
  const passed = PARAMETERS.flatMap((row) => {
    const variable = environmentNameOf(row);
    return row.kernel === undefined || variable === undefined || row.setting === "iso" ? [] : [{ variable, parameter: row.kernel }];
  });
  return [
    // $1: the image's path, or nothing for the picker; $2: one more word. Each value is one word of `"$@"`, whatever blanks are in it.
    ...define("hiso_start", [
      'set HISO_ISO="$1"',
      'set hiso_more="$2"',
      `setparams ${[...KERNEL_WORDS, ...words].map((word) => grubWord(word)).join(" ")}`,
      ...passed.map(({ variable, parameter }) => `if [ -n "$${variable}" ]; then setparams "$@" "${parameter}=$${variable}"; fi`),
      'if [ -n "$hiso_more" ]; then setparams "$@" "$hiso_more"; fi',
      'if [ -n "$HISO_ISO" ]; then setparams "$@" "hiperiso_iso=$HISO_ISO"; fi',
      "echo 'Starting the recorder ...'",
      `linux ${at(STICK_ESP.kernel)} "$@"`,
      `initrd ${at(STICK_ESP.initramfs)}`,
    ]),
  ];
}

/** Choosing a value opens the menu of settings anew, so that it shows what is chosen. */
function settingsFunction(): readonly string[] {
  const rows = changeable.flatMap(({ title, variable, choices }) => {
    const choose = (value: string, shown: string) =>
      `  submenu ${grubWord(shown)} --unrestricted { set ${variable}=${value}; export ${variable}; hiso_settings; }`;
    return [
      "set hiso_shown='as configured'",
      ...choices.map(({ value, title: shown }) => `if [ "$${variable}" = ${value} ]; then set hiso_shown=${grubWord(shown)}; fi`),
      `submenu ${grubWord(`${title}: `)}"$hiso_shown" --unrestricted {`,
      choose("", "as configured"),
      ...choices.map(({ value, title: shown }) => choose(value, shown)),
      "}",
    ];
  });
  return define("hiso_settings", [
    `menuentry 'Boot recorded with these settings' --unrestricted --hotkey=r --id ${RECORDED_ID} { hiso_start "$hiso_path"; }`,
    ...rows,
    "hiso_back",
  ]);
}

function directFunctions(): readonly string[] {
  const rows = DIRECT_FAMILIES.filter(({ kernels }) => kernels.length > 0);
  return [
    // The image as a disk of its own, and its label. What cannot be is said by the command itself.
    ...define("hiso_open", [
      "if [ -e (hisoloop)/ ]; then loopback -d hisoloop; fi",
      "set hiso_label=",
      'if loopback hisoloop "($hiso_data)$hiso_path"; then',
      "  probe --set=hiso_label --label (hisoloop)",
      "  export hiso_label",
      "  return 0",
      "fi",
      "return 1",
    ]),
    // $1: kernel, $2: initrd, $3: name, then the kernel's words
    ...define("hiso_direct_found", rows.flatMap(familyLines)),
    ...define("hiso_direct", [
      'if [ "$hiso_readable" != y ]; then return; fi',
      // Initramfs scripts split their words at blanks, whatever the quotes.
      'if regexp \'[] [\\\\"\'"\']" "$hiso_path"; then',
      "  menuentry 'Directly, without QEMU: not with blanks, quotes or [ ] in its name' --unrestricted { true; }",
      "  return",
      "fi",
      "if regexp '\\.[iI][sS][oO]$' \"$hiso_path\"; then true; else return; fi",
      "if hiso_open; then",
      // A foreign menu has no idea of our passwords: its entries would be locked, or its command line open.
      `  if [ -e (hisoloop)${LOOPBACK_CONFIG} -a -z "$hiso_pickers$hiso_locked" ]; then`,
      "    submenu 'Directly, without QEMU: by its own menu ...' --unrestricted --hotkey=d {",
      "      set root=hisoloop",
      '      set iso_path="$hiso_path"',
      "      export iso_path",
      "      echo 'Nothing of this boot is recorded.'",
      `      configfile ${LOOPBACK_CONFIG}`,
      "    }",
      "  fi",
      '  if [ -n "$1" ]; then $1; else hiso_direct_found; fi',
      "fi",
    ]),
  ];
}

function familyLines({ kernels, initrds, markers, name, base, words, whyNot }: DirectFamily): readonly string[] {
  const look = (variable: string, patterns: readonly string[]) => [
    `set ${variable}=`,
    `for hiso_f in ${patterns.map((pattern) => `(hisoloop)${pattern}`).join(" ")}; do`,
    `  if [ -z "$${variable}" -a -f "$hiso_f" ]; then set ${variable}="$hiso_f"; fi`,
    "done",
  ];
  const there = (markers ?? []).map((marker) => ` -a -e (hisoloop)${marker}`).join("");
  const first = `if [ -n "$hiso_kernel"${there} ]; then`;
  if (whyNot !== undefined) {
    return [
      ...look("hiso_kernel", kernels),
      first,
      `  menuentry ${grubWord(`Directly, without QEMU: not ${name}: ${whyNot}`)} --unrestricted { true; }`,
      "  return",
      "fi",
    ];
  }
  return [
    ...look("hiso_kernel", kernels),
    ...look("hiso_initrd", initrds),
    `if [ -n "$hiso_kernel" -a -n "$hiso_initrd"${there} ]; then`,
    `  menuentry ${grubWord(`Directly, without QEMU, as ${name} (its initramfs has to read exFAT)`)} "$hiso_kernel" "$hiso_initrd" --unrestricted {`,
    `    ${["linux", '"$2"', ...[...base, ...words].map(templateWord)].join(" ")}`,
    '    initrd "$3"',
    "  }",
    "  return",
    "fi",
  ];
}

function imageFunctions(): readonly string[] {
  return [
    // $1: path, $2: tip, $3: function with the entries that start it directly, $4: why the recorder will not boot it, $5: function with entries of the
    // configuration
    ...define("hiso_image", [
      'set hiso_path="$1"',
      "export hiso_path",
      'if [ -n "$4" ]; then menuentry --unrestricted -- "Cannot be booted: $4" { true; }; fi',
      'if [ -n "$2" ]; then menuentry --unrestricted -- "$2" { true; }; fi',
      'set hiso_verb="Boot recorded"',
      'if [ -n "$4" ]; then set hiso_verb="Boot recorded all the same"; fi',
      `menuentry "$hiso_verb" --unrestricted --hotkey=r --id ${RECORDED_ID} { hiso_start "$hiso_path"; }`,
      `menuentry "$hiso_verb, emulated" --unrestricted --hotkey=m --id emulated { hiso_start "$hiso_path" hiperiso_fallback=1; }`,
      'if [ -n "$5" ]; then $5; fi',
      "submenu 'Change settings for this boot ...' --unrestricted --hotkey=s --id settings { hiso_settings; }",
      'hiso_direct "$3"',
      "hiso_pick",
      "hiso_back",
    ]),
    // $1: path, $2: title, $3: tip, $4: direct, $5: refusal, $6: user, $7: entries. An image that is gone is not shown, where that can be seen.
    ...define("hiso_entry", [
      'if [ "$hiso_readable" = y ]; then if [ -e "($hiso_data)$1" ]; then true; else return; fi; fi',
      'set hiso_title="$2"',
      'if [ -n "$5" ]; then set hiso_title="$2  [cannot be booted]"; fi',
      'if [ -n "$6" ]; then',
      '  submenu --class image --id "$1" --users "$6" -- "$hiso_title  [password of $6]" "$1" "$3" "$4" "$5" "$7" { hiso_image "$2" "$3" "$4" "$5" "$6"; }',
      'elif [ -n "$hiso_locked" ]; then',
      '  submenu --class image --id "$1" -- "$hiso_title" "$1" "$3" "$4" "$5" "$7" { hiso_image "$2" "$3" "$4" "$5" "$6"; }',
      "else",
      '  submenu --class image --id "$1" --unrestricted -- "$hiso_title" "$1" "$3" "$4" "$5" "$7" { hiso_image "$2" "$3" "$4" "$5" "$6"; }',
      "fi",
    ]),
  ];
}

/** Where anybody is asked for a password, GRUB asks for one of `superusers` before Esc leaves a submenu: there the list comes again instead. */
function backFunction(at: (path: string) => string): readonly string[] {
  return define("hiso_back", [
    `if [ -n "$hiso_pickers$hiso_locked" ]; then menuentry 'Back to the list of images' --unrestricted --hotkey=b --id back { configfile ${at(STICK_ESP.menu)}; }; fi`,
  ]);
}

/** What came by a file manager since the list was made. */
function scanFunctions(): readonly string[] {
  return [
    // $1: folder, $2: function that knows what was listed already, $3: an x for each level of folders that may follow
    ...define("hiso_folder", [
      'if [ "$hiso_readable" != y ]; then return; fi',
      'set hiso_at="$1"',
      'if [ "$hiso_at" = / ]; then set hiso_at=; fi',
      'for hiso_f in "($hiso_data)$hiso_at"/*; do',
      "  set hiso_p=",
      "  if regexp --set=1:hiso_p --set=2:hiso_n '^\\([^)]*\\)(.*/([^/]*))$' \"$hiso_f\"; then true; fi",
      '  if [ -n "$hiso_p" ]; then if regexp \'/[.][^/]*$|[[:cntrl:]]\' "$hiso_p"; then true; elif $2 "$hiso_p"; then true; else hiso_new "$hiso_p" "$hiso_n" "$3"; fi; fi',
      "done",
    ]),
    ...define("hiso_new", [
      'if [ -d "($hiso_data)$1" ]; then',
      // What is our own is no image.
      '  if [ "$1" = /hiperiso ]; then return; fi',
      "  if regexp --set=1:hiso_deeper '^x(x*)$' \"$3\"; then",
      '    submenu --class folder --id "$1" --unrestricted -- "$2/" "$1" "$hiso_deeper" { hiso_folder "$2" hiso_none "$3"; hiso_back; }',
      "  fi",
      "  return",
      "fi",
      'if [ -f "($hiso_data)$1" ]; then true; else return; fi',
      'set hiso_title="$2"',
      "set hiso_tip=",
      "set hiso_user=",
      "set hiso_hidden=",
      "set hiso_because=",
      "set hiso_choices=",
      `if regexp ${grubWord(IMAGE_PATTERN)} "$1"; then`,
      "  if [ -s \"($hiso_data)$1\" ]; then true; else set hiso_because='it is empty'; fi",
      `elif regexp ${grubWord(PACKED_PATTERN)} "$1"; then`,
      "  set hiso_because='it is packed: unpack it first'",
      "else",
      "  return",
      "fi",
      `if regexp ${grubWord(`^${"(.{100})".repeat(PATH_HUNDREDS_MAX)}`)} "$1"; then set hiso_because=${grubWord(TOO_LONG)}; fi`,
      'hiso_rules "$1"',
      'if [ -n "$hiso_hidden" ]; then return; fi',
      'hiso_entry "$1" "$hiso_title" "$hiso_tip" "" "$hiso_because" "$hiso_user" "$hiso_choices"',
    ]),
  ];
}

function toolsFunction(at: (path: string) => string): readonly string[] {
  const pick = define("hiso_pick", [
    "if [ -n \"$hiso_pickers\" ]; then menuentry 'Pick on the computer' --hotkey=p --id pick --users \"$hiso_pickers\" { hiso_start ''; }",
    "elif [ -n \"$hiso_locked\" ]; then menuentry 'Pick on the computer' --hotkey=p --id pick { hiso_start ''; }",
    "else menuentry 'Pick on the computer' --hotkey=p --id pick --unrestricted { hiso_start ''; }",
    "fi",
  ]);
  const tools = define("hiso_tools", [
    "hiso_pick",
    "submenu 'More ...' --id more --unrestricted {",
    `  menuentry 'Look for images again' --id again --unrestricted { configfile ${at(STICK_ESP.menu)}; }`,
    "  if [ \"$grub_platform\" = efi ]; then menuentry 'Firmware settings' --id firmware { fwsetup; }; fi",
    "  menuentry 'Restart' --id restart --unrestricted { reboot; }",
    "  menuentry 'Power off' --id off --unrestricted { halt; }",
    "  hiso_back",
    "}",
  ]);
  return [...pick, ...tools];
}
