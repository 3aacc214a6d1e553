/** The boot menu of a stick as a value: decided from its images and its configuration, written as a script of GRUB by `menu-script.ts`. */
import { bootParameterWords } from "../../config/boot-parameters.ts";
import type { BootChoice, Config, ConfigFinding } from "../../config/hiperiso-json.ts";
import { firstMatch, matchesPath } from "../../config/overrides.ts";
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";
import { encodeKernelCommandLine, KERNEL_COMMAND_LINE_BYTES_MAX } from "../../formats/kernel-command-line.ts";
import { menuPassword } from "./grub-password.ts";
import type { ImageLook } from "./image-look.ts";

export interface MenuImage {
  /** From the data partition's root. */
  readonly path: string;
  readonly sizeBytes: bigint;
  /** What was found in it; undefined where nobody looked: the recorder will see. */
  readonly look?: ImageLook | undefined;
}

export interface StickMenuWish {
  readonly images: readonly MenuImage[];
  readonly config: Config;
  /** What is wrong in `hiperiso.json`, the first of all. */
  readonly findings: readonly ConfigFinding[];
  /** The configuration is broken as a whole, and `config` is the last good one. */
  readonly keepsLastGood: boolean;
  readonly diskGuid: string;
}

export interface StickMenu {
  readonly timeoutS: number;
  /** Ids from the main menu down to the entry that starts by itself; empty: the first entry. */
  readonly standard: readonly string[];
  /** GRUB's own driver for the serial port. */
  readonly serial: boolean;
  readonly users: readonly { readonly name: string; readonly hash: string }[];
  /** Asked for before anything is started. */
  readonly locked: boolean;
  readonly theme: { readonly file?: string; readonly gfxmode?: string; readonly gfxpayload?: string };
  /** A line that says what is wrong with the configuration. */
  readonly problem: string | undefined;
  /** Of the main menu: what stands in the image folders, and what was added elsewhere. */
  readonly nodes: readonly MenuNode[];
  readonly folders: readonly string[];
  readonly depth: number;
  /** What holds of images that the script finds itself. */
  readonly rules: MenuRules;
  /** All that the menu was made with, hidden ones too: what the script finds besides is new. By folder. */
  readonly known: ReadonlyMap<string, readonly string[]>;
}

export interface MenuRules {
  readonly alias: readonly { readonly pattern: string; readonly text: string }[];
  readonly tip: readonly { readonly pattern: string; readonly text: string }[];
  readonly hidden: readonly string[];
  readonly users: readonly { readonly pattern: string; readonly text: string }[];
  readonly choices: readonly { readonly pattern: string; readonly entries: readonly MenuChoice[] }[];
}

export interface MenuChoice {
  readonly title: string;
  /** Of the menu's script (CONTRACT section 1, `HISO_…`). */
  readonly variables: readonly { readonly name: string; readonly value: string }[];
  /** Why it is not offered. */
  readonly refusal: string | undefined;
}

export type MenuNode = FolderNode | ImageNode;

export interface FolderNode {
  readonly kind: "folder";
  readonly path: string;
  readonly title: string;
  readonly nodes: readonly MenuNode[];
}

export interface ImageNode {
  readonly kind: "image";
  readonly path: string;
  readonly title: string;
  readonly tip: string | undefined;
  /** Whose password is asked for; undefined: nobody's of its own. */
  readonly user: string | undefined;
  /** Why the recorder will not boot it; undefined where it can, or nobody knows. */
  readonly refusal: string | undefined;
  /** Entries of the configuration, by their place in `rules.choices`; undefined: none. */
  readonly choices: number | undefined;
  readonly look: ImageLook | undefined;
}

/** Text from outside for GRUB's screen and the serial line; tabs, which `printable` leaves, have no width there. */
const shown = (text: string): string => printable(text).replaceAll("\t", " ");

/** Who may do everything where a menu has a password. */
export const MENU_USER = "menu";
/** The entry of an image's menu that starts by itself. */
export const RECORDED_ID = "recorded";

export function planStickMenu({ images, config, findings, keepsLastGood, diskGuid }: StickMenuWish): StickMenu {
  const { menu } = config;
  const passwords = menu.imagePasswords.map(({ pattern, password }, index) => ({
    pattern,
    name: index === 0 ? "image" : `image${index + 1}`,
    hash: menuPassword(password, [diskGuid, `image ${index}`]),
  }));
  const users = [
    ...(menu.password === undefined ? [] : [{ name: MENU_USER, hash: menuPassword(menu.password, [diskGuid, MENU_USER]) }]),
    ...passwords.map(({ name, hash }) => ({ name, hash })),
  ];
  const listed = images.filter(({ path }) => !isHidden(config, path));
  const nodes = treeOf(
    listed.map((image) => imageNode(image, config, firstMatch(passwords, image.path)?.name)),
    menu.imageFolders,
    (folder) => folderAlias(config, folder),
  );
  const known = new Map<string, string[]>();
  for (const { path } of images) {
    for (const [folder, name] of stepsTo(path)) {
      const there = known.get(folder) ?? [];
      if (!there.includes(name)) known.set(folder, [...there, name]);
    }
  }
  return {
    timeoutS: config.menuTimeoutS,
    standard: standardOf(nodes, menu.defaultImage),
    serial: menu.serial,
    users,
    locked: menu.password !== undefined,
    theme: config.theme,
    problem: problemLine(findings, keepsLastGood),
    nodes,
    folders: menu.imageFolders,
    depth: menu.imageDepth,
    rules: {
      alias: config.menuAlias.map(({ pattern, alias }) => ({ pattern, text: shown(alias) })),
      tip: config.menuTip.map(({ pattern, tip }) => ({ pattern, text: shown(tip) })),
      hidden: menu.hiddenImages,
      users: passwords.map(({ pattern, name }) => ({ pattern, text: name })),
      choices: config.choices.map(({ pattern, entries }) => ({ pattern, entries: entries.map(menuChoice) })),
    },
    known,
  };
}

const isHidden = ({ menu }: Config, path: string): boolean => menu.hiddenImages.some((pattern) => matchesPath(pattern, path));

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** Each folder above a path with what leads on in it. */
function* stepsTo(path: string): Generator<readonly [folder: string, inside: string]> {
  for (let inside = path; inside !== "/" && inside !== ""; inside = folderOf(inside)) yield [folderOf(inside), inside];
}

function imageNode({ path, look }: MenuImage, config: Config, user: string | undefined): ImageNode {
  const alias = firstMatch(config.menuAlias, path)?.alias;
  const tip = firstMatch(config.menuTip, path)?.tip;
  const choices = config.choices.findIndex(({ pattern }) => matchesPath(pattern, path));
  return {
    kind: "image",
    path,
    title: shown(alias ?? baseName(path)),
    tip: tip === undefined ? undefined : shown(tip),
    user,
    refusal: refusalOf(path, look),
    choices: choices === -1 ? undefined : choices,
    look,
  };
}

/** The kernel's own words, the stick's, and every setting that the menu changes. */
const OTHER_WORDS_BYTES = 400;
/** Beside them and a path of some length. */
const CHOICE_BYTES_MAX = 1000;
export const TOO_LONG = `its path is too long: a kernel's command line has ${KERNEL_COMMAND_LINE_BYTES_MAX} bytes; shorten names or folders`;

function refusalOf(path: string, look: ImageLook | undefined): string | undefined {
  try {
    const bytes = new TextEncoder().encode(encodeKernelCommandLine([{ name: "hiperiso_iso", value: path }])).length + OTHER_WORDS_BYTES;
    if (bytes > KERNEL_COMMAND_LINE_BYTES_MAX) return TOO_LONG;
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return "its path is too long, or has characters that no command line carries: rename it";
  }
  return look?.refusal === undefined ? undefined : shown(look.refusal);
}

function menuChoice({ name, values }: BootChoice): MenuChoice {
  const words = bootParameterWords(values);
  const bytes = words.reduce((sum, word) => sum + new TextEncoder().encode(encodeKernelCommandLine([word])).length + 1, 0);
  return {
    title: shown(name),
    variables: words.map(({ name: word, value }) => ({ name: word.replace(/^hiperiso_/, "HISO_").toUpperCase(), value: value ?? "" })),
    refusal: bytes > CHOICE_BYTES_MAX ? `its settings take ${bytes} bytes of the kernel's line, ${CHOICE_BYTES_MAX} at most` : undefined,
  };
}

/** Of an entry that names the folder itself: globs speak of images. */
const folderAlias = ({ menuAlias }: Config, folder: string): string | undefined =>
  menuAlias.find(({ pattern }) => pattern === folder || pattern === folder.replace(/[\\*?[]/g, "\\$&"))?.alias;

/** What stands in a folder of images is shown at the top, what stands elsewhere in a folder of its own path. */
function treeOf(
  images: readonly ImageNode[],
  folders: readonly string[],
  aliasOf: (folder: string) => string | undefined,
): readonly MenuNode[] {
  const build = (inside: readonly ImageNode[], at: string): readonly MenuNode[] => {
    const below = new Map<string, ImageNode[]>();
    const here: MenuNode[] = [];
    for (const image of inside) {
      const rest = image.path.slice(at === "/" ? 1 : at.length + 1);
      const slash = rest.indexOf("/");
      if (slash === -1) here.push(image);
      else {
        const folder = `${at === "/" ? "" : at}/${rest.slice(0, slash)}`;
        below.set(folder, [...(below.get(folder) ?? []), image]);
      }
    }
    const subfolders = [...below].map(
      ([path, nodes]): FolderNode => ({
        kind: "folder",
        path,
        title: shown(aliasOf(path) ?? baseName(path)),
        nodes: build(nodes, path),
      }),
    );
    return [...subfolders.sort(byTitle), ...here.sort(byTitle)];
  };
  const rootOf = (path: string) =>
    folders.filter((folder) => folder === "/" || path.startsWith(`${folder}/`)).sort((a, b) => b.length - a.length)[0];
  const inFolders = folders.map((folder) =>
    build(
      images.filter(({ path }) => rootOf(path) === folder),
      folder,
    ),
  );
  const elsewhere = images.filter(({ path }) => rootOf(path) === undefined);
  return [...inFolders.flat().sort(foldersFirst), ...build(elsewhere, "/")];
}

const byTitle = (a: MenuNode, b: MenuNode): number => {
  const [one, other] = [a.title.toLowerCase(), b.title.toLowerCase()];
  return one < other ? -1 : one > other ? 1 : a.path < b.path ? -1 : 1;
};
const foldersFirst = (a: MenuNode, b: MenuNode): number => (a.kind === b.kind ? byTitle(a, b) : a.kind === "folder" ? -1 : 1);

/** The ids of what is passed on the way: GRUB writes them with `>` between. */
function standardOf(nodes: readonly MenuNode[], wanted: string | undefined): readonly string[] {
  const paths: { readonly image: ImageNode; readonly ids: readonly string[] }[] = [];
  const visit = (inside: readonly MenuNode[], above: readonly string[]): void => {
    for (const node of inside) {
      if (node.kind === "folder") visit(node.nodes, [...above, node.path]);
      else paths.push({ image: node, ids: [...above, node.path] });
    }
  };
  visit(nodes, []);
  const bootable = paths.filter(({ image }) => image.refusal === undefined);
  const found =
    wanted === undefined
      ? (bootable.find(({ ids, image }) => ids.length === 1 && image.user === undefined) ?? bootable[0])
      : (paths.find(({ image }) => image.path === wanted) ?? paths.find(({ image }) => matchesPath(wanted, image.path)));
  if (found !== undefined) return [...found.ids, RECORDED_ID];
  // It may have come by a file manager: then the script finds it.
  return wanted?.startsWith("/") === true ? [wanted, RECORDED_ID] : [];
}

function problemLine(findings: readonly ConfigFinding[], keepsLastGood: boolean): string | undefined {
  const errors = findings.filter(({ severity }) => severity === "error");
  const [first] = errors;
  if (first === undefined) return undefined;
  const more = errors.length === 1 ? "" : ` (and ${errors.length - 1} more)`;
  const does = keepsLastGood ? "; what stood there before holds" : "";
  const key = first.path === "" ? "" : `${first.path}: `;
  return shown(`hiperiso.json, line ${first.line}, column ${first.column}: ${key}${first.message}${more}${does}`);
}
