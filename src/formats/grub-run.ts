/**
 * What a GRUB script comes to: runs it as GRUB does until its menu would be shown, then each entry as if it were chosen, and gives what each
 * would boot. The script comes from an image and is not trusted: commands, text, files and depth are counted, and a run that reaches a limit
 * ends with what was found until then.
 */
import { GRUB_COMMANDS } from "./grub-commands.ts";
import { readText } from "./grub-files.ts";
import {
  deeper,
  Finished,
  type Frame,
  type GrubRun,
  Jump,
  MenuReplaced,
  nothingChosen,
  type RawEntry,
  type RawMenu,
} from "./grub-frame.ts";
import { bootOf } from "./grub-kernel.ts";
import { GRUB_LIMITS, type GrubLimits, GrubTally } from "./grub-limits.ts";
import type { GrubEntry, GrubFile, GrubMenu, GrubStart, GrubWorld } from "./grub-menu.ts";
import { type GrubScript, type GrubStatement, type GrubWord, parseGrubScript } from "./grub-script.ts";
import { firstContext, type GrubContext } from "./grub-variables.ts";
import { expandWords } from "./grub-words.ts";

/** The menu of the script at `start`. Never throws for what stands in a script. */
export async function runGrubScript(start: GrubStart, world: GrubWorld, limits: GrubLimits = GRUB_LIMITS): Promise<GrubMenu> {
  return await new Run(world, limits).menuOf(start);
}

class Run implements GrubRun {
  readonly world: GrubWorld;
  readonly tally: GrubTally;
  readonly #functions = new Map<string, GrubScript>();

  constructor(world: GrubWorld, limits: GrubLimits) {
    this.world = world;
    this.tally = new GrubTally(limits);
  }

  async menuOf(start: GrubStart): Promise<GrubMenu> {
    const { script } = start;
    const entries: GrubEntry[] = [];
    let menu: RawMenu = { entries: [], context: firstContext(start) };
    try {
      menu = await this.#fill(menu, (frame) => this.runFile(script, frame), script);
    } catch (error) {
      this.tally.noteLimit(error);
    }
    const standards: number[] = [];
    // A script that went too far was stopped; its entries are counted anew, all of them together.
    this.tally.restart();
    await this.#runEntries(menu, [], entries, standards);
    return this.tally.menuOf(entries, entries[standards[0] ?? -1]);
  }

  /** Runs what makes a menu; the menu that is there in the end. */
  async #fill(
    menu: RawMenu,
    make: (frame: Frame) => Promise<void>,
    source: GrubFile,
    parameters: readonly string[] = [],
    depth = 0,
  ): Promise<RawMenu> {
    const frame: Frame = { context: menu.context, menu, parameters, source, depth, chosen: nothingChosen(), status: 0 };
    try {
      await make(frame);
    } catch (error) {
      if (error instanceof MenuReplaced) return error.menu;
      if (!(error instanceof Finished) && !(error instanceof Jump)) throw error;
    }
    return menu;
  }

  // Entries

  /** `standards` takes the place of the entry that this menu starts by itself. */
  async #runEntries(menu: RawMenu, submenus: readonly string[], into: GrubEntry[], standards: number[]): Promise<void> {
    const [wanted, ...inner] = defaultOf(menu).split(">");
    const standard = entryNamed(menu.entries, wanted ?? "");
    for (const entry of menu.entries) {
      const first = into.length;
      const below: number[] = [];
      try {
        await this.#runEntry(entry, menu.context, submenus, into, below, inner.join(">"));
      } catch (error) {
        this.tally.noteLimit(error);
      }
      if (entry === standard && into.length > first) standards.push(below[0] ?? first);
    }
  }

  async #runEntry(
    entry: RawEntry,
    around: GrubContext,
    submenus: readonly string[],
    into: GrubEntry[],
    standards: number[],
    innerDefault: string,
  ): Promise<void> {
    const { title, id, source } = entry;
    const { limits } = this.tally;
    if (into.length >= limits.entries) this.tally.stop(`more than ${limits.entries} entries`);
    if (entry.boot !== undefined) {
      into.push({ title, id, submenus, source, boot: entry.boot });
      return;
    }
    const context = entry.submenu ? around.opened() : around.copy();
    context.set("chosen", id ?? title, true);
    if (entry.submenu) context.set("default", innerDefault);
    const menu: RawMenu = { entries: [], context };
    const chosen = nothingChosen();
    const depth = submenus.length + 1;
    if (depth > limits.depth) this.tally.stop(`more than ${limits.depth} menus in each other`);
    const after = await this.#fill(
      menu,
      async (frame) => await this.runScript(entry.body, { ...frame, chosen }),
      source,
      entry.parameters,
      depth,
    );
    if (after.entries.length > 0) await this.#runEntries(after, [...submenus, title], into, standards);
    else if (!entry.submenu) into.push({ title, id, submenus, source, boot: bootOf(chosen) });
  }

  // Scripts

  async runFile(file: GrubFile, frame: Frame): Promise<void> {
    const text = await readText(file, this);
    if (text === undefined) {
      this.tally.note(`${file.path}: no such file`);
      frame.status = 1;
      return;
    }
    const { script, errors } = parseGrubScript(text);
    for (const { line, found } of errors) this.tally.note(`${file.path}:${line}: ${found}`);
    const inner = deeper(frame, { source: file, status: 0 }, this.tally);
    await this.runScript(script, inner);
    frame.status = inner.status;
  }

  async runScript(script: GrubScript, frame: Frame): Promise<void> {
    for (const statement of script) await this.#statement(statement, frame);
  }

  async #statement(statement: GrubStatement, frame: Frame): Promise<void> {
    this.tally.countCommands(1);
    switch (statement.kind) {
      case "command":
        frame.status = await this.#command(statement.words, statement.block, frame);
        return;
      case "if": {
        for (const { condition, body } of statement.arms) {
          await this.runScript(condition, frame);
          if (frame.status === 0) return await this.runScript(body, frame);
        }
        frame.status = 0;
        return await this.runScript(statement.otherwise, frame);
      }
      case "for": {
        const values = await expandWords(statement.words, frame, this);
        for (const value of values) {
          frame.context.set(statement.name, value);
          if (await this.#turn(statement.body, frame)) return;
        }
        return;
      }
      case "while":
        for (;;) {
          this.tally.countCommands(1, `a loop that took more than ${this.tally.limits.commands} commands`);
          await this.runScript(statement.condition, frame);
          if ((frame.status === 0) === statement.until) break;
          if (await this.#turn(statement.body, frame)) break;
        }
        frame.status = 0;
        return;
      case "function":
        this.#functions.set(statement.name, statement.body);
        frame.status = 0;
    }
  }

  /** One turn of a loop; true where the loop ends with it. */
  async #turn(body: GrubScript, frame: Frame): Promise<boolean> {
    try {
      await this.runScript(body, frame);
      return false;
    } catch (error) {
      if (!(error instanceof Jump) || error.kind === "return") throw error;
      error.count -= 1;
      if (error.count > 0) throw error;
      return error.kind === "break";
    }
  }

  // Commands

  async #command(words: readonly GrubWord[], block: GrubScript | undefined, frame: Frame): Promise<number> {
    const [name, ...args] = await expandWords(words, frame, this);
    if (name === undefined) return frame.status;
    if (name === "!") {
      const status = await this.#named(args[0] ?? "true", args.slice(1), block, frame);
      return status === 0 ? 1 : 0;
    }
    return await this.#named(name, args, block, frame);
  }

  async #named(name: string, args: readonly string[], block: GrubScript | undefined, frame: Frame): Promise<number> {
    const body = this.#functions.get(name);
    if (body !== undefined) return await this.#call(body, args, frame);
    const command = GRUB_COMMANDS.get(name);
    if (command !== undefined) return await command({ name, args, block, frame, run: this });
    const assignment = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(name);
    if (assignment !== null && args.length === 0) {
      frame.context.set(assignment[1]!, assignment[2]!);
      return 0;
    }
    this.tally.note(`${frame.source.path}: the command ${name} is not followed`);
    return 0; // as in GRUB: an `if` takes a command that is not there for one that succeeded
  }

  async #call(body: GrubScript, args: readonly string[], frame: Frame): Promise<number> {
    const inner = deeper(frame, { parameters: args, status: 0 }, this.tally);
    try {
      await this.runScript(body, inner);
    } catch (error) {
      if (!(error instanceof Jump) || error.kind !== "return") throw error;
      return error.count;
    }
    return inner.status;
  }
}

function defaultOf({ context }: RawMenu): string {
  const name = context.get("default");
  return name === "saved" ? context.get("saved_entry") : name;
}

/** By number, id or title, as the variable `default` names one; the first where it names none. */
function entryNamed(entries: readonly RawEntry[], name: string): RawEntry | undefined {
  return (
    entries.find(({ id }) => id !== undefined && id === name) ??
    entries.find(({ title }) => title === name) ??
    entries[/^[0-9]{1,6}$/.test(name) ? Number(name) : 0] ??
    entries[0]
  );
}
