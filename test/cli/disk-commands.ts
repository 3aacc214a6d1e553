/** `hiperiso disk` run in this process, its streams kept. */
import { Writable } from "node:stream";
import { Command } from "@commander-js/extra-typings";
import { command } from "../../src/cli/disk.ts";
import { catCommand } from "../../src/cli/disk-files.ts";
import { runProgram } from "../../src/cli/program.ts";
import { keptStreams } from "./streams.ts";

export async function disk(...words: string[]) {
  const streams = keptStreams({ env: { PATH: process.env["PATH"] } });
  const commands = [{ name: "disk", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["disk", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

/** The bytes that `disk cat` writes. */
export async function cat(...words: string[]) {
  const pieces: Buffer[] = [];
  const sink = new Writable({
    write: (piece: Buffer, _, done) => {
      pieces.push(Buffer.from(piece));
      setImmediate(done);
    },
  });
  const streams = keptStreams();
  const commands = [
    {
      name: "disk",
      summary: "",
      load: async () => ({ command: (cli: Parameters<typeof command>[0]) => new Command("disk").addCommand(catCommand(cli, sink)) }),
    },
  ];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["disk", "cat", ...words], streams, new AbortController().signal);
  return { status, bytes: Buffer.concat(pieces), stderr: streams.stderr() };
}
