/** Users and groups of a root file system: passwd(5), group(5), shadow(5), gshadow(5) as values. */
import { z } from "zod";
import { HiperisoError } from "../contract/error.ts";

const NAME = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}\$?$/, "expected a name of small letters, digits, - and _, at most 32");
const ID = z.int().min(0).max(65_533);
/** No colon and no line end can stand in a field. */
const FIELD = z.string().regex(/^[^:\n\0]*$/, "expected text without a colon or a line end");

export const UserSchema = z
  .strictObject({
    password_hash: z
      .string()
      .regex(/^(?:\$[0-9a-z]+\$[^:\n]+|[*!]{1,2})$/, "expected a hash as in /etc/shadow, such as `openssl passwd -6` prints")
      .optional()
      .describe("As in /etc/shadow (`openssl passwd -6`). Unless given, or *, no password opens the account."),
    no_password: z.boolean().default(false).describe("The account is open to everybody: an empty password."),
    uid: ID.optional().describe("The next free one from 1000 on unless given."),
    group: NAME.optional().describe("First group: one of the user's own name unless given."),
    groups: z.array(NAME).default([]).describe("Further groups; those that are missing are made."),
    home: FIELD.regex(/^\//).optional().describe("/home/NAME unless given; made with what /etc/skel holds, unless it is there."),
    shell: FIELD.regex(/^\//).optional().describe("/bin/bash where the root file system has it, else /bin/sh."),
    comment: FIELD.default(""),
    system: z.boolean().default(false).describe("An account of a service: an id below 1000, no home, no shell."),
  })
  .refine(({ password_hash, no_password }) => password_hash === undefined || !no_password, "either a password or none");
export const UsersSchema = z.record(NAME, UserSchema).describe("By name; `root` may be among them.");
export const GroupsSchema = z.record(NAME, z.strictObject({ gid: ID.optional(), system: z.boolean().default(false) }));

export type Users = z.infer<typeof UsersSchema>;
export type Groups = z.infer<typeof GroupsSchema>;

/** Contents of the four files; undefined where there is none. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
  readonly shadow?: string | undefined;
  readonly gshadow?: string | undefined;
}

export interface Home {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

export interface AccountPlan {
  readonly files: AccountFiles;
  /** To be made where there is none. */
  readonly homes: readonly Home[];
}

export interface AccountChoices {
  /** For users that name none. */
  readonly shell: string;
  /** Of the last change of a password, in days since 1970. */
  readonly day: number;
}

/** Groups first, then users, each in its order. Accounts that are there are changed where the spec says something of them. Pure. */
export function planAccounts(before: AccountFiles, users: Users, groups: Groups, { shell, day }: AccountChoices): AccountPlan {
  const accounts = new Accounts(before);
  for (const [name, { gid, system }] of Object.entries(groups)) accounts.provideGroup(name, { gid, system });
  const homes: Home[] = [];
  for (const [name, user] of Object.entries(users)) {
    const there = accounts.user(name);
    const uid = user.uid ?? there?.uid ?? accounts.freeId("uid", user.system);
    if (there !== undefined && there.uid !== uid) throw refused(name, `uid ${there.uid}, which it has`, `${uid}`);
    const gid =
      user.group === undefined && there !== undefined
        ? there.gid
        : accounts.provideGroup(user.group ?? name, {
            gid: user.group === undefined && accounts.isFree("gid", uid) ? uid : undefined,
            system: user.system,
          });
    const home = user.home ?? there?.home ?? (user.system ? "/nonexistent" : `/home/${name}`);
    const loginShell = user.shell ?? there?.shell ?? (user.system ? "/usr/sbin/nologin" : shell);
    const comment = user.comment === "" ? (there?.comment ?? "") : user.comment;
    accounts.setUser(name, { uid, gid, home, shell: loginShell, comment });
    const password = user.no_password ? "" : user.password_hash;
    accounts.setPassword(name, password ?? (there === undefined ? "*" : undefined), day);
    for (const group of user.groups) {
      accounts.provideGroup(group, { gid: undefined, system: true });
      accounts.join(name, group);
    }
    if (!user.system || user.home !== undefined) homes.push({ path: home, uid, gid });
  }
  return { files: accounts.files(), homes };
}

interface User {
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

/** Lines that are not understood (NIS, comments) stay as they are. */
class Accounts {
  readonly #passwd: string[][];
  readonly #group: string[][];
  readonly #shadow: string[][] | undefined;
  readonly #gshadow: string[][] | undefined;

  constructor({ passwd, group, shadow, gshadow }: AccountFiles) {
    this.#passwd = rowsOf(passwd);
    this.#group = rowsOf(group);
    this.#shadow = shadow === undefined ? undefined : rowsOf(shadow);
    this.#gshadow = gshadow === undefined ? undefined : rowsOf(gshadow);
  }

  user(name: string): User | undefined {
    const row = rowNamed(this.#passwd, name);
    if (row === undefined) return undefined;
    const [, , uid, gid, comment = "", home = "/", shell = ""] = row;
    return { uid: Number(uid), gid: Number(gid), comment, home, shell };
  }

  setUser(name: string, { uid, gid, comment, home, shell }: User): void {
    const taken = this.#passwd.find((row) => row[2] === `${uid}` && row[0] !== name);
    if (taken !== undefined) throw refused(name, "a uid of its own", `${uid}, which is ${taken[0]}'s`);
    const password = rowNamed(this.#passwd, name)?.[1] ?? "x";
    replaceRow(this.#passwd, [name, password, `${uid}`, `${gid}`, comment, home, shell]);
  }

  /** The password stays where none is given. shadow(5): name, hash, day of change, then limits: none, 99999 days, a week's warning. */
  setPassword(name: string, password: string | undefined, day: number): void {
    if (password === undefined) return;
    const user = rowNamed(this.#passwd, name)!;
    if (this.#shadow === undefined) {
      user[1] = password;
      return;
    }
    user[1] = "x";
    const limits = rowNamed(this.#shadow, name)?.slice(3) ?? ["0", "99999", "7", "", "", ""];
    replaceRow(this.#shadow, [name, password, `${day}`, ...limits]);
  }

  /** Its gid. One that is there stays as it is, and must have the gid that is asked for. */
  provideGroup(name: string, { gid, system }: { readonly gid: number | undefined; readonly system: boolean }): number {
    const there = rowNamed(this.#group, name);
    if (there !== undefined) {
      if (gid !== undefined && there[2] !== `${gid}`) throw refused(name, `gid ${there[2]}, which it has`, `${gid}`);
      return Number(there[2]);
    }
    const taken = this.#group.find((row) => row[2] === `${gid}`);
    if (taken !== undefined) throw refused(name, "a gid of its own", `${gid}, which is ${taken[0]}'s`);
    const id = gid ?? this.freeId("gid", system);
    this.#group.push([name, "x", `${id}`, ""]);
    this.#gshadow?.push([name, "!", "", ""]);
    return id;
  }

  join(user: string, group: string): void {
    for (const rows of [this.#group, this.#gshadow]) {
      const row = rows === undefined ? undefined : rowNamed(rows, group);
      if (row === undefined) continue;
      const members = (row[3] ?? "").split(",").filter((member) => member !== "");
      if (!members.includes(user)) row[3] = [...members, user].join(",");
    }
  }

  isFree(kind: "uid" | "gid", id: number): boolean {
    return (kind === "uid" ? this.#passwd : this.#group).every((row) => row[2] !== `${id}`);
  }

  /** Services count down from 999 (as useradd --system does), people up from 1000. */
  freeId(kind: "uid" | "gid", system: boolean): number {
    for (let id = system ? 999 : 1000; id > 99 && id < 60_000; id += system ? -1 : 1) if (this.isFree(kind, id)) return id;
    throw refused(kind, "a free id", "none");
  }

  files(): AccountFiles {
    return {
      passwd: textOf(this.#passwd),
      group: textOf(this.#group),
      shadow: this.#shadow === undefined ? undefined : textOf(this.#shadow),
      gshadow: this.#gshadow === undefined ? undefined : textOf(this.#gshadow),
    };
  }
}

const rowsOf = (text: string): string[][] => text.split("\n").flatMap((line) => (line === "" ? [] : [line.split(":")]));
const rowNamed = (rows: readonly string[][], name: string): string[] | undefined => rows.find((row) => row[0] === name && row.length > 2);
const textOf = (rows: readonly string[][]): string => rows.map((row) => `${row.join(":")}\n`).join("");

function replaceRow(rows: string[][], row: string[]): void {
  const at = rows.findIndex(([name]) => name === row[0]);
  if (at < 0) rows.push(row);
  else rows[at] = row;
}

function refused(name: string, expected: string, found: string): HiperisoError {
  return new HiperisoError({ what: "make the users and groups of the spec", where: name, expected, found, kind: "usage" });
}
