import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openOnDesktop } from "../../src/host/desktop.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-desktop-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const PAGE = "/a session's $(folder)/report.html";
const never = new AbortController().signal;

async function opener(script: string): Promise<Record<string, string>> {
  const path = join(directory, "xdg-open");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { PATH: directory, DISPLAY: ":0", OUT: join(directory, "out") };
}

describe.skipIf(process.platform === "darwin")("a file for the desktop", () => {
  test("is handed to xdg-open as one word", async () => {
    const env = await opener('printf "%s|" "$@" >"$OUT"');
    expect(await openOnDesktop(PAGE, env, never)).toBeUndefined();
    expect(await readFile(env["OUT"]!, "utf8")).toBe(`${PAGE}|`);
  });

  test("is taken when the opener stays, as a browser does", async () => {
    const env = await opener("echo $$ >$OUT; exec /bin/sleep 60");
    expect(await openOnDesktop(PAGE, env, never)).toBeUndefined();
    process.kill(Number(await readFile(env["OUT"]!, "utf8")));
  });

  test("is refused with the reason: no display, no program to show it, no opener that runs", async () => {
    expect(await openOnDesktop(PAGE, { PATH: directory }, never)).toBe("there is no display here");
    expect(await openOnDesktop(PAGE, await opener("exit 3"), never)).toBe("xdg-open ended with status 3");
    await writeFile(join(directory, "xdg-open"), "#!/nonexistent/shell\n");
    expect(await openOnDesktop(PAGE, { PATH: directory, WAYLAND_DISPLAY: "wayland-0" }, never)).toMatch(/^xdg-open did not start: /);
  });

  test("a cancelled job waits for no opener", async () => {
    const env = await opener("echo $$ >$OUT; exec /bin/sleep 60");
    await expect(openOnDesktop(PAGE, env, AbortSignal.abort())).rejects.toThrow(/abort/i);
  });
});
