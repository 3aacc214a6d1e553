/** The boot menu of a live medium as a value; `grub-menu.ts`, `isolinux-menu.ts` and `systemd-boot-menu.ts` write it for each loader. */
import { z } from "zod";
import { encodeKernelCommandLine } from "../../formats/kernel-command-line.ts";
import { type LiveMedium, liveWords, modeWords } from "./live-arguments.ts";

/** Entries that the program knows. */
export const STANDARD_ENTRIES = ["live", "toram", "serial", "persistence", "memtest", "firmware"] as const;
export type StandardEntry = (typeof STANDARD_ENTRIES)[number];

const ID = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected lower-case letters, digits and -, at most 63");
const WORD = z
  .string()
  .min(1)
  .refine((text) => !/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text), "expected text without control characters");
export const MENU_TEXT = WORD.max(200);

const OwnEntrySchema = z.strictObject({
  id: ID.describe("Names the entry for `default`."),
  title: MENU_TEXT,
  like: z.enum(["live", "toram", "serial", "persistence"]).default("live").describe("The entry whose arguments come first."),
  arguments: z.array(WORD).default([]).describe("Put behind them."),
  without: z.array(WORD).default([]).describe("Arguments of the medium or of kernel_arguments that this entry leaves out."),
});

type OwnEntry = z.infer<typeof OwnEntrySchema>;

/** Keys of every stage that writes a menu. */
export const MenuOptions = {
  title: MENU_TEXT.describe("Name of the system, as the menu shows it."),
  timeout: z.int().min(0).max(3600).default(1).describe("Seconds until the default entry is booted."),
  default: ID.optional().describe("Id of the entry that boots by itself; the first unless given."),
  entries: z
    .array(
      z.union([z.enum(STANDARD_ENTRIES), OwnEntrySchema], { error: `expected one of ${STANDARD_ENTRIES.join(", ")}, or { id, title, … }` }),
    )
    .min(1)
    .default(["live"])
    .describe("What the menu offers, in this order."),
  kernel_arguments: z.array(WORD).default([]).describe("Of every entry."),
  extra_arguments: z.array(WORD).default([]).describe("Of every entry, behind all others."),
  serial_menu: z.boolean().default(true).describe("The menu on the first serial port too."),
};
const MenuSchema = z.strictObject(MenuOptions);
export type MenuOptions = z.infer<typeof MenuSchema>;

export interface LinuxEntry {
  readonly kind: "linux";
  readonly id: string;
  readonly title: string;
  /** Arguments of the kernel, one each. */
  readonly words: readonly string[];
}

export type MenuEntry =
  | LinuxEntry
  | { readonly kind: "memtest"; readonly id: string; readonly title: string }
  | { readonly kind: "firmware"; readonly id: string; readonly title: string };

export interface Menu {
  readonly title: string;
  readonly timeoutS: number;
  /** Index of the entry that boots by itself. */
  readonly standard: number;
  /** The menu on the first serial port too. */
  readonly serial: boolean;
  readonly entries: readonly MenuEntry[];
}

/** Where the files that entries start stand on the medium, from its root. Undefined: there is none. */
export interface BootPaths {
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly memtestBios: string | undefined;
  readonly memtestEfi: string | undefined;
}

const TITLES: Readonly<Record<StandardEntry, (title: string) => string>> = {
  live: (title) => title,
  toram: (title) => `${title} (copied to memory)`,
  serial: (title) => `${title} (serial console)`,
  persistence: (title) => `${title} (changes are kept)`,
  memtest: () => "Memory test",
  firmware: () => "Firmware settings",
};

/** What is wrong with the menu that these options ask for; empty where nothing is. */
export function menuFaults(
  options: Pick<MenuOptions, "entries" | "default">,
): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const ids = options.entries.map((entry) => (typeof entry === "string" ? entry : entry.id));
  const twice = ids.flatMap((id, index) =>
    ids.indexOf(id) < index ? [{ path: ["entries", index], message: `there is an entry "${id}" already` }] : [],
  );
  const standard =
    options.default !== undefined && !ids.includes(options.default)
      ? [{ path: ["default"], message: `there is no entry "${options.default}"; entries are ${ids.join(", ")}` }]
      : [];
  return [...twice, ...standard];
}

/** Throws a usage error where a line of arguments is longer than the kernel reads. */
export function planMenu(options: MenuOptions, medium: LiveMedium): Menu {
  const entries = options.entries.map((entry): MenuEntry => {
    if (entry === "memtest" || entry === "firmware") return { kind: entry, id: entry, title: TITLES[entry](options.title) };
    const own = typeof entry === "string" ? { id: entry, title: TITLES[entry](options.title), like: entry } : entry;
    const { like, arguments: more, without }: Omit<OwnEntry, "id" | "title"> = { arguments: [], without: [], ...own };
    const common = like === "serial" ? onSerialPort(options.kernel_arguments) : options.kernel_arguments;
    const mode = like === "toram" || like === "persistence" ? modeWords(medium, like) : [];
    const base = [...liveWords(medium), ...common, ...mode].filter((word) => !without.includes(word));
    const words = [...base, ...more, ...options.extra_arguments];
    kernelLine(words);
    return { kind: "linux", id: own.id, title: own.title, words };
  });
  const standard = options.default === undefined ? 0 : entries.findIndex(({ id }) => id === options.default);
  return { title: options.title, timeoutS: options.timeout, standard, serial: options.serial_menu, entries };
}

/** The last console named is /dev/console: what the system says goes to the serial port, and the kernel's messages to the screen too. */
const onSerialPort = (words: readonly string[]): readonly string[] => [
  ...words.filter((word) => !word.startsWith("console=")),
  "console=tty0",
  "console=ttyS0,115200",
];

/** The arguments as one line, for loaders that take it as it is. Throws as `encodeKernelCommandLine`. */
export const kernelLine = (words: readonly string[]): string => encodeKernelCommandLine(words.map((name) => ({ name })));
