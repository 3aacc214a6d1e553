import { describe, expect, test } from "vitest";
import { emptyConfig } from "../../../src/config/hiperiso-json.ts";
import { HiperisoError } from "../../../src/contract/error.ts";
import { hashPassword } from "../../../src/stick/menu/grub-password.ts";
import { ask } from "../../../src/stick/picker/ask.ts";
import { pick } from "../../../src/stick/picker/pick.ts";
import { FakeConsole, settled } from "../console/fake-console.ts";
import { facts, image, look } from "./stick-facts.ts";

const never = new AbortController().signal;

describe("the picker on consoles", () => {
  test("is driven from one console while the other shows the same", async () => {
    const [screen, serial] = [new FakeConsole(), new FakeConsole({ columns: 60, rows: 20 }, { looks: { colours: 0, unicode: false } })];
    const choice = pick({ facts: facts(), look: async () => look(true) }, [screen, serial], never);
    await settled();
    expect(serial.text()).toContain("> debian.iso");
    await serial.press("ubun");
    expect(screen.text()).toContain("» ubuntu.iso");
    await screen.press("<enter>");
    expect(await choice).toEqual({ type: "boot", path: "/ISOs/linux/ubuntu.iso", settings: {} });
  });

  test("looks into the marked image alone, one at a time, and shows what was found or why nothing was", async () => {
    const asked: string[] = [];
    const answer: ((found: Awaited<ReturnType<typeof look>> | Error) => void)[] = [];
    const console = new FakeConsole();
    const lookInto = (path: string) =>
      new Promise<ReturnType<typeof look>>((resolve, reject) => {
        asked.push(path);
        answer.push((found) => (found instanceof Error ? reject(found) : resolve(found)));
      });
    const choice = pick({ facts: facts(), look: lookInto }, [console], never);
    await console.press("<down><down>");
    expect(asked).toEqual(["/ISOs/debian.iso"]);
    expect(console.text()).toContain("looking inside");
    answer[0]?.(look(true));
    await settled();
    expect(asked).toEqual(["/ISOs/debian.iso", "/ISOs/Übung.iso"]);
    answer[1]?.(new HiperisoError({ what: "read the image", where: "/ISOs/Übung.iso", found: "an I/O error" }));
    await settled();
    expect(console.text()).toMatch(/cannot be read: .*an I\/O error/);
    await console.press("<ctrl-c>");
    await choice;
  });

  test("begins at the default image of the configuration, where nobody says another", async () => {
    const config = { ...emptyConfig, menu: { ...emptyConfig.menu, defaultImage: "ubuntu*" } };
    const console = new FakeConsole();
    const choice = pick({ facts: facts({ config }), look: async () => look(true) }, [console], never);
    await console.press("<enter>");
    expect(await choice).toMatchObject({ path: "/ISOs/linux/ubuntu.iso" });
  });

  test("a password opens an image as text, as GRUB's hash, and by the menu's own", async () => {
    const salt = new Uint8Array(16).fill(7);
    const passwords = { password: "of the menu", imagePasswords: [{ pattern: "*.iso", password: hashPassword("sesame", salt) }] };
    const config = { ...emptyConfig, menu: { ...emptyConfig.menu, ...passwords } };
    const given = facts({ config, images: [image("/ISOs/x.iso", { isLocked: true })] });
    for (const [typed, opens] of [["sesame", true], ["of the menu", true], ["sesam", false], ["Sesame", false]] as const) {
      const console = new FakeConsole();
      const over = new AbortController();
      const choice = pick({ facts: given, look: async () => look(true) }, [console], over.signal);
      await console.press(`<enter>${typed}<enter>`);
      if (opens) expect(await choice).toMatchObject({ type: "boot", path: "/ISOs/x.iso" });
      else {
        while (!console.text().includes("not its password")) await settled();
        over.abort(new Error("over"));
        await expect(choice).rejects.toThrow("over");
      }
    } // biome-ignore format: a table
  });

  test("gives up with the signal's reason", async () => {
    const over = new AbortController();
    const choice = pick({ facts: facts(), look: async () => look(true) }, [new FakeConsole()], over.signal);
    over.abort(new Error("power button"));
    await expect(choice).rejects.toThrow("power button");
    await expect(pick({ facts: facts(), look: async () => look(true) }, [], over.signal)).rejects.toThrow("power button");
  });
});

describe("a question on consoles", () => {
  const question = {
    title: "The boot is over",
    text: [[{ text: "success at login" }]],
    answers: [
      { value: "off", title: "Power off", key: "o" },
      { value: "menu", title: "Back to the menu", key: "m" },
    ],
    standard: 0,
  };

  test("is answered by its letter, or by arrows and Enter", async () => {
    for (const [pressed, value] of [["m", "menu"], ["O", "off"], ["<down><enter>", "menu"], ["<down><up><enter>", "off"], ["x<enter>", "off"]] as const) {
      const console = new FakeConsole();
      const answer = ask(question, [console], never);
      await settled();
      expect(console.text()).toContain("success at login");
      await console.press(pressed);
      expect(await answer).toBe(value);
    } // biome-ignore format: a table
  });

  test("answers itself when the time is over, which is told; a key stops the time", async () => {
    const console = new FakeConsole();
    const answer = ask({ ...question, standard: 1, timeoutS: 1 }, [console], never);
    await settled();
    expect(console.text()).toContain("Back to the menu  (1 s)");
    expect(await answer).toBe("menu");
    const other = new FakeConsole();
    const waiting = ask({ ...question, timeoutS: 1 }, [other], never);
    await other.press("<down>");
    expect(other.text()).not.toContain(" s)");
    await other.press("m");
    expect(await waiting).toBe("menu");
  });

  test("shows its answers on the smallest of screens", async () => {
    for (const rows of [1, 2, 3, 4, 25]) {
      const console = new FakeConsole({ columns: 30, rows });
      const answer = ask(question, [console], never);
      await console.press("<down>");
      expect(console.text()).toContain("» m  Back to the menu");
      await console.press("<enter>");
      expect(await answer).toBe("menu");
    }
  });
});
