/** A boot whose trace is kept twice: by the recorder, and as the text that QEMU itself wrote. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findTool } from "../../src/host/tools.ts";

/**
 * A program by QEMU's name that runs QEMU, but with a FIFO of its own for the trace: `tee` copies it into `qemu-trace.txt` on its way to the
 * recorder's. It ends when both have. `PATH` of the environment begins with it.
 */
export async function qemuThatKeepsItsText(root: string): Promise<{ readonly env: NodeJS.ProcessEnv; readonly text: string }> {
  const qemu = await findTool("qemu-system-x86_64", process.env);
  const folder = join(root, "bin");
  const text = join(root, "qemu-trace.txt");
  mkdirSync(folder);
  const program = join(folder, "qemu-system-x86_64");
  writeFileSync(
    program,
    `#!/bin/bash
args=()
fifo=
for word in "$@"; do
  case $word in
    events=*,file=*) fifo=\${word##*,file=}; word=\${word%%,file=*},file=$fifo.own ;;
  esac
  args+=("$word")
done
if [ -z "$fifo" ]; then exec ${qemu} "$@"; fi
mkfifo "$fifo.own"
tee ${text} < "$fifo.own" > "$fifo" 3>&- &
${qemu} "\${args[@]}"
status=$?
exec 3>&-
wait
exit $status
`,
  );
  chmodSync(program, 0o755);
  return { env: { PATH: `${folder}${delimiter}${process.env["PATH"] ?? ""}` }, text };
}
