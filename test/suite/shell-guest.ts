/** A guest whose console is a real shell of this computer: what is typed is echoed as a terminal would, and what the shell prints comes back. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import { HiperisoError } from "../../src/contract/error.ts";
import type { ScriptFile } from "../../src/contract/session.ts";
import type { PassedStage } from "../../src/contract/verdict.ts";
import { type Driven, GuestDriver } from "../../src/session/drive.ts";
import { scriptDrive } from "../../src/suite/run-script.ts";
import type { Script } from "../../src/suite/script.ts";

const encode = (text: string) => new TextEncoder().encode(text);

export interface Ran extends Driven {
  /** As kept last. */
  readonly file: ScriptFile;
  /** How often it was kept. */
  readonly kept: number;
  readonly typed: string;
  /** What the machine was told, in order. */
  readonly told: readonly string[];
  readonly expected: readonly string[];
}

export interface GuestBehaviour {
  /** Prints this at once. */
  readonly prints?: string;
  /** A shell that reads what is sent; none unless given. */
  readonly shell?: readonly string[];
  /** Told of each command to the machine, and of what was typed. */
  readonly react?: (what: string, guest: ShellGuest) => void;
  readonly stepMs?: number;
}

export class ShellGuest implements AsyncDisposable {
  readonly driver: GuestDriver;
  readonly told: string[] = [];
  readonly expected: string[] = [];
  typed = "";
  file: ScriptFile | undefined;
  kept = 0;
  readonly #shell: ChildProcess | undefined;
  readonly #behaviour: GuestBehaviour;

  constructor(behaviour: GuestBehaviour) {
    this.#behaviour = behaviour;
    const { shell, stepMs = 20_000 } = behaviour;
    if (shell !== undefined) {
      // Output and errors come in their order, as on a terminal.
      this.#shell = spawn("/bin/sh", ["-c", 'exec "$0" "$@" 2>&1', ...shell], {
        stdio: ["pipe", "pipe", "pipe"],
        env: { PATH: process.env["PATH"], PS1: "# " },
      });
      this.#shell.stdout?.on("data", (bytes: Buffer) => this.print(bytes.toString()));
    }
    const execute = async (command: string, args: Readonly<Record<string, unknown>> = {}) => {
      const keys = args["keys"] as readonly { data: string }[] | undefined;
      this.tell(keys === undefined ? command : `${command} ${keys.map(({ data }) => data).join("-")}`);
      return {};
    };
    this.driver = new GuestDriver({
      guest: {
        qmp: { execute } as never,
        type: async (text) => {
          const words = Buffer.from(text).toString();
          this.typed += words;
          this.print(words.replaceAll("\r", "\r\n"));
          (this.#shell?.stdin as Duplex | undefined)?.write(words.replaceAll("\r", "\n"));
          this.#behaviour.react?.(words, this);
        },
      },
      elapsedMs: () => performance.now(),
      stepMs,
      screenshot: async (name) => {
        this.tell(`screenshot ${name}`);
        return name === "script-none" ? undefined : `screen-${name}.png`;
      },
      keep: async (file) => {
        this.file = structuredClone(file);
        this.kept += 1;
        if (this.kept === 2) throw new HiperisoError({ what: "write a file", found: "a full disk, once" });
      },
      watch: {
        expectReset: () => void this.expected.push("reset"),
        expectOff: () => void this.expected.push("off"),
        expectFatal: () => void this.expected.push("fatal"),
      },
    });
  }

  tell(what: string): void {
    this.told.push(what);
    this.#behaviour.react?.(what, this);
  }

  print(text: string): void {
    this.driver.noteSerial(encode(text.replaceAll(/(?<!\r)\n/g, "\r\n")), []);
  }

  reach(stage: PassedStage): void {
    this.driver.noteConsole([{ type: "stage", stage, line: 1, timeMs: 0, text: "" }]);
  }

  reset(): void {
    this.driver.noteQmp({ event: "RESET", data: { guest: true } });
  }

  powerOff(): void {
    this.driver.noteQmp({ event: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } });
  }

  async run(script: Script): Promise<Ran> {
    const running = scriptDrive(script)(this.driver);
    if (this.#behaviour.prints !== undefined) this.print(this.#behaviour.prints);
    const driven = await running;
    return { ...driven, file: this.file!, kept: this.kept, typed: this.typed, told: this.told, expected: this.expected };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.driver.end();
    this.#shell?.kill("SIGKILL");
  }
}
