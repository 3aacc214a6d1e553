/** The menu of one stick as GRUB's script: what `hiperiso.json` and the images say. `menu-functions.ts` has what is the same on each. */
import { isPlainText } from "../../config/setting-value.ts";
import { STICK_ESP } from "../../contract/stick.ts";
import { grubWord } from "../../formats/escape-grub.ts";
import { grubPattern } from "./grub-pattern.ts";
import { type MenuPlace, templateWord } from "./menu-functions.ts";
import type { FolderNode, ImageNode, MenuChoice, MenuNode, MenuRules, StickMenu } from "./stick-menu.ts";

/** `theme`: the theme's file from the root of the partition that GRUB reads; undefined where it has none. */
export function menuScript(menu: StickMenu, place: MenuPlace, theme: string | undefined): string {
  const writer = new MenuWriter(menu);
  const nodes = writer.nodes(menu.nodes, menu.depth);
  const scans = menu.folders.map((folder) => `hiso_folder ${grubWord(folder)} ${writer.known(folder)} ${"x".repeat(menu.depth) || "-"}`);
  return [
    `set timeout=${menu.timeoutS}`,
    ...(menu.standard.length === 0 ? [] : [`set default=${grubWord(menu.standard.map(escapedId).join(">"))}`]),
    ...terminalLines(menu, place, theme),
    ...userLines(menu),
    ...rulesLines(menu.rules),
    ...writer.functions(),
    ...(menu.problem === undefined ? [] : [`menuentry ${grubWord(menu.problem)} --unrestricted --id problem { true; }`]),
    ...nodes,
    ...scans,
    "hiso_tools",
    // The last word: a script that was cut off does not say it.
    "set hiso_menu=whole",
    "",
  ].join("\n");
}

/** A `>` in an id stands for itself when it is there twice. */
const escapedId = (id: string): string => id.replaceAll(">", ">>");

function terminalLines({ theme, serial }: StickMenu, { folder }: MenuPlace, file: string | undefined): readonly string[] {
  const graphic = file !== undefined || theme.gfxmode !== undefined;
  const usesSerial = serial || graphic;
  const graphics = graphic
    ? [
        // Under lockdown a font comes from GRUB's own image alone.
        "set hiso_font=n",
        `if loadfont "($hiso_boot)"${grubWord(`${folder}${STICK_ESP.menuFont}`)}; then set hiso_font=y; elif loadfont unicode; then set hiso_font=y; fi`,
        'if [ "$hiso_font" = y ]; then',
        `  set gfxmode=${grubWord(theme.gfxmode ?? "auto")}`,
        ...(theme.gfxpayload === undefined ? [] : [`  set gfxpayload=${grubWord(theme.gfxpayload)}`, "  export gfxpayload"]),
        "  insmod all_video",
        "  terminal_output gfxterm $hiso_serial",
        ...(file === undefined ? [] : [`  set theme="($hiso_boot)"${grubWord(file)}`, "  export theme"]),
        "fi",
      ]
    : [];
  return [
    "set hiso_serial=",
    // A computer without a serial port has the screen.
    ...(usesSerial ? ["if serial --unit=0 --speed=115200; then set hiso_serial=serial; fi"] : []),
    ...(serial ? ["terminal_input console $hiso_serial", "terminal_output console $hiso_serial"] : []),
    ...graphics,
    ...(usesSerial ? ['if [ -n "$hiso_serial" ]; then terminfo -u serial vt100; fi'] : []),
  ];
}

function userLines({ users, locked }: StickMenu): readonly string[] {
  const own = users.filter(({ name }) => name !== "menu").map(({ name }) => name);
  return [
    `set hiso_locked=${locked ? "y" : ""}`,
    `set hiso_pickers=${own.length === 0 ? "" : grubWord(own.join(" "))}`,
    "export hiso_locked hiso_pickers",
    ...(users.length === 0
      ? []
      : [
          // Without a name here nothing is ever asked for; one without a password opens nothing.
          `set superusers=${grubWord(locked ? "menu" : "nobody")}`,
          "export superusers",
          ...users.map(({ name, hash }) => `password_pbkdf2 ${grubWord(name)} ${hash}`),
        ]),
  ];
}

/** `$1`: path of an image that the script found. The first pattern that matches holds. */
function rulesLines({ alias, tip, hidden, users, choices }: MenuRules): readonly string[] {
  const chain = (rows: readonly { readonly pattern: string; readonly text: string }[], variable: string): readonly string[] => {
    const known = rows.flatMap(({ pattern, text }) => {
      const expression = grubPattern(pattern);
      return expression === undefined ? [] : [{ expression, text }];
    });
    if (known.length === 0) return [];
    return [
      ...known.map(
        ({ expression, text }, index) =>
          `  ${index === 0 ? "if" : "elif"} regexp ${grubWord(expression)} "$1"; then set ${variable}=${grubWord(text)}`,
      ),
      "  fi",
    ];
  };
  return [
    "function hiso_rules {",
    "  true",
    ...chain(alias, "hiso_title"),
    ...chain(tip, "hiso_tip"),
    ...chain(
      hidden.map((pattern) => ({ pattern, text: "y" })),
      "hiso_hidden",
    ),
    ...chain(users, "hiso_user"),
    ...chain(
      choices.map(({ pattern }, index) => ({ pattern, text: choicesName(index) })),
      "hiso_choices",
    ),
    "}",
    ...choices.flatMap(({ entries }, index) => [`function ${choicesName(index)} {`, ...entries.map(choiceLine), "  true", "}"]),
  ];
}

const choicesName = (index: number): string => `hiso_choices_${index}`;

/** The variables are as before when the kernel has its words: another entry of the menu must not see them. */
function choiceLine({ title, variables, refusal }: MenuChoice): string {
  if (refusal !== undefined) return `  menuentry --unrestricted -- ${grubWord(`${title}  [not offered: ${refusal}]`)} { true; }`;
  const set = variables.map(({ name, value }) => `set ${name}=${grubWord(value)};`).join(" ");
  const unset = variables.map(({ name }) => `set ${name}=;`).join(" ");
  return `  menuentry --unrestricted -- ${grubWord(`Boot recorded: ${title}`)} { ${set} hiso_start "$hiso_path"; ${unset} }`;
}

class MenuWriter {
  readonly #menu: StickMenu;
  readonly #functions: string[] = [];
  #count = 0;

  constructor(menu: StickMenu) {
    this.#menu = menu;
  }

  /** What the lines of `nodes` call; asked for last. */
  functions(): readonly string[] {
    return this.#functions;
  }

  nodes(nodes: readonly MenuNode[], depth: number): readonly string[] {
    return nodes.map((node) => {
      if (!isPlainText(node.path))
        return `menuentry --unrestricted -- ${grubWord(`${node.title}  [cannot be booted: rename it]`)} { true; }`;
      return node.kind === "folder" ? this.#folder(node, depth) : this.#image(node);
    });
  }

  /** Name of a function that says whether `$1`, in this folder, was listed or is hidden. */
  known(folder: string): string {
    const paths = (this.#menu.known.get(folder) ?? []).filter(isPlainText);
    if (paths.length === 0) return "hiso_none";
    const name = this.#name("known");
    this.#functions.push(`function ${name} { test ${paths.map((path) => `"$1" = ${grubWord(path)}`).join(" -o ")}; }`);
    return name;
  }

  #name(what: string): string {
    this.#count += 1;
    return `hiso_${what}_${this.#count}`;
  }

  #folder({ path, title, nodes }: FolderNode, depth: number): string {
    const name = this.#name("in");
    const inside = this.nodes(nodes, depth - 1);
    const scan =
      depth > 0 && this.#isScanned(path) ? [`  hiso_folder ${grubWord(path)} ${this.known(path)} ${"x".repeat(depth - 1) || "-"}`] : [];
    this.#functions.push([`function ${name} {`, ...inside.map((line) => `  ${line}`), ...scan, "  hiso_back", "}"].join("\n"));
    return `submenu --class folder --id ${grubWord(path)} --unrestricted -- ${grubWord(`${title}/`)} { ${name}; }`;
  }

  #isScanned(path: string): boolean {
    return this.#menu.folders.some((folder) => folder === "/" || path.startsWith(`${folder}/`));
  }

  #image({ path, title, tip, refusal, user, look, choices }: ImageNode): string {
    const words = [
      path,
      title,
      tip ?? "",
      this.#direct(look),
      refusal ?? "",
      user ?? "",
      choices === undefined ? "" : choicesName(choices),
    ];
    return `hiso_entry ${words.map((word) => grubWord(word)).join(" ")}`;
  }

  /** Name of a function with the entry that starts the image's own kernel; empty where the script shall look itself. */
  #direct(look: ImageNode["look"]): string {
    if (look === undefined) return "";
    const name = this.#name("direct");
    const { direct } = look;
    const lines = direct.can
      ? [
          "menuentry 'Directly, without QEMU (its initramfs has to read exFAT)' --unrestricted {",
          `  ${["linux", `(hisoloop)${grubWord(direct.kernel)}`, ...direct.words.map(templateWord)].join(" ")}`,
          ...(direct.initrds.length === 0 ? [] : [`  initrd ${direct.initrds.map((initrd) => `(hisoloop)${grubWord(initrd)}`).join(" ")}`]),
          "}",
        ]
      : [`menuentry ${grubWord(`Directly, without QEMU: no, ${direct.because}`)} --unrestricted { true; }`];
    this.#functions.push([`function ${name} {`, ...lines.map((line) => `  ${line}`), "}"].join("\n"));
    return name;
  }
}
