import { describe, expect, test } from "vitest";
import { emptyConfig } from "../../../src/config/hiperiso-json.ts";
import { encodeFrame, frameOf } from "../../../src/formats/terminal-frame.ts";
import { render } from "../../../src/stick/picker/render.ts";
import { openPicker, step } from "../../../src/stick/picker/state.ts";
import { SmallTerminal } from "../../formats/small-terminal.ts";
import { facts, image, LOOKS, look, play, screen, session, TRAPS, widest } from "./stick-facts.ts";

const given = facts({
  images: [
    image("/ISOs/debian-live-12.iso", { title: "Debian 12 live", tip: "with the desktop that we use" }),
    image("/ISOs/linux/ubuntu-24.04-desktop-amd64.iso", { sizeBytes: 6n << 30n, state: "copied", sha256: undefined }),
    image("/ISOs/memtest.img", { sizeBytes: 6n << 20n }),
    image("/ISOs/old.iso", { state: "missing" }),
  ],
  sessions: [
    session("/ISOs/debian-live-12.iso"),
    session("/ISOs/linux/ubuntu-24.04-desktop-amd64.iso", {
      result: "failure",
      stage: "kernel",
      domain: "hardware",
      startUtc: "2026-11-20T08:00:00Z",
    }),
    session("/ISOs/debian-live-12.iso", { state: "cut off", result: undefined, startUtc: "2026-11-19T08:00:00Z" }),
  ],
  config: { ...emptyConfig, isoOverrides: [{ pattern: "debian*", values: { guestRam: 4096, tpm: true } }] },
});
const seen = step(openPicker(given), {
  type: "look",
  path: "/ISOs/debian-live-12.iso",
  look: look(true, ["Live system", "Live system (fail-safe)"]),
}).state;

describe("the picker on a screen of 80 × 25", () => {
  test("shows the images, their sizes and verdicts, what is known of the marked one, and the keys", () => {
    expect(`\n${screen(seen).join("\n")}\n`).toMatchInlineSnapshot(`
      "
       hiperiso: pick an image of HIPERISO                              12.0 GiB free 
      search: _
      » Debian 12 live                                           700 MiB  success     
        ubuntu-24.04-desktop-amd64.iso                           6.0 GiB  failure
        memtest.img                                              6.0 MiB
        old.iso                                                  700 MiB  gone










      ────────────────────────────────────────────────────────────────────────────────
      with the desktop that we use
      /ISOs/debian-live-12.iso
      700 MiB, changed 2026-02-03; SHA-256 begins with abababababababab, as added
      ISO 9660; boots by UEFI (CD, USB) and BIOS (CD, USB)
      2 boot entries
      last boot: success at login, 42 s, 2026-11-21 10:11; 2 boots in all
      settings: 4096 MB, 2 CPUs, trace standard, tpm yes
      Enter boot  → settings, details  Tab sessions  letters search  Esc leave
      "
    `);
  });

  test("one image's page", () => {
    expect(`\n${screen(play(seen, "<right><down><down><down><down><right>").state).join("\n")}\n`).toMatchInlineSnapshot(`
      "
       Debian 12 live                                                                 
        Boot, recorded
        Boot, recorded, emulated (KVM is not tried)
        Details
        Sessions (2)
      » trace level       detailed  for this once                                     
        guest ram         4096 MB  iso_overrides
        guest cpus        2
        display           none
        vga               std
        fallback          no
        auto install      none
        persistence       none
        dud               none
        injection         none
        conf replace      none
        secure boot       no
        tpm               yes  iso_overrides
        cpu features      none
        boot mode         normal
        net dump          no
        firmware          as the image wants


      Enter choose  ←→ change  Del as configured  Esc back
      "
    `);
  });

  test("the sessions, with their verdicts", () => {
    const text = screen(play(seen, "<tab>").state);
    expect(text.slice(1, 4)).toMatchInlineSnapshot(`
      [
        "2026-11-21 10:11  Debian 12 live                          success at login, 42 s",
        "2026-11-20 08:00  ubuntu-24.04-~op-amd64.iso  failure at kernel (hardware), 42 s",
        "2026-11-19 08:00  Debian 12 live                                         cut off",
      ]
    `);
  });

  test("all details of an image can be read page by page, to the last line and back", () => {
    const small = { columns: 60, rows: 8 };
    const pages = ["", "<page down>", "<page down><page down>", "<end>"].map((pressed) =>
      screen(play(seen, `<right><down><down><enter>${pressed}`, small).state, small).slice(1, 7),
    );
    expect(pages[0]?.[0]).toBe("/ISOs/debian-live-12.iso");
    expect(pages[1]?.[0]).not.toBe(pages[0]?.[0]);
    expect(pages[2]?.[0]).not.toBe(pages[1]?.[0]);
    expect(pages[3]?.join("\n")).toMatch(/fail-safe/);
    const back = screen(play(seen, "<right><down><down><enter><end><down><down><up><home>", small).state, small);
    expect(back[1]).toBe("/ISOs/debian-live-12.iso");
    const up = play(seen, "<right><down><down><enter><end><down><down><up>", small).state;
    expect(screen(up, small)[2]).toBe(pages[3]?.[0]);
  });

  test("what is wrong with the stick is told in a line of its own", () => {
    const notes = ["/hiperiso/hiperiso.json:3:7: expected a value"];
    expect(screen({ ...seen, facts: { ...given, notes } })).toContain(notes[0]);
    expect(screen(openPicker(facts({ images: [], notes })))).toContain(notes[0]);
    expect(screen(openPicker({ ...given, notes: ["one", "two", "three"] }))).toContain("two (and 1 more)");
  });
});

describe("the picker on other screens", () => {
  const sizes = [1, 2, 3, 4, 5, 6, 10, 14, 24, 60].flatMap((rows) =>
    [1, 2, 5, 10, 20, 34, 40, 60, 80, 132, 300].map((columns) => ({ columns, rows })),
  );
  const pages = ["", "<right>", "<right><down><down><enter>", "<tab>", "<escape>", "x", "<right><down><down><down><down><down>7"];

  test("of every size show the marked row, and nothing beyond their edge", () => {
    const traps = openPicker(facts({ images: TRAPS.map((name) => image(`/ISOs/${name}`)), sessions: [session(`/ISOs/${TRAPS[0]}`)] }));
    for (const size of sizes) {
      for (const pressed of pages) {
        const { state } = play(traps, pressed, size);
        const rows = screen(state, size);
        expect(rows.length).toBeLessThanOrEqual(size.rows);
        expect(widest(rows)).toBeLessThanOrEqual(size.columns);
        if (["", "<right>", "<escape>"].includes(pressed)) expect(rows.filter((row) => row.startsWith("»"))).toHaveLength(1);
      }
    }
  });

  test("every image of a long list can be marked and is seen then, on a screen of two rows too", () => {
    const images = Array.from({ length: 30 }, (_, index) => image(`/ISOs/${index}.iso`));
    for (const rows of [1, 2, 5, 25]) {
      for (let index = 0; index < images.length; index += 1) {
        const size = { columns: 40, rows };
        const [row] = screen(play(facts({ images }), "<down>".repeat(index), size).state, size).filter((one) => one.startsWith("»"));
        expect(row).toMatch(new RegExp(`^» ${index}\\.iso`));
      }
    }
  });

  test("names full of traps are shown and not obeyed, on a terminal that takes only what a picker may send", () => {
    const size = { columns: 100, rows: 30 };
    const traps = openPicker(facts({ title: "\x1b]0;x\x07", images: TRAPS.map((name) => image(`/ISOs/${name}`)) }));
    for (const looks of [LOOKS, { colours: 0, unicode: false } as const, { colours: 256, unicode: true } as const]) {
      for (let index = 0; index < TRAPS.length; index += 1) {
        const { state } = play(traps, "<down>".repeat(index), size);
        const terminal = new SmallTerminal(size).write(encodeFrame(frameOf(render(state, size, looks), size, looks), size));
        expect(terminal.text().join("\n")).toContain("esc\\x1b[2Jape.iso");
      }
    }
  });

  test("without Unicode all is ASCII, and the marked row has its sign", () => {
    const rows = screen(seen, { columns: 80, rows: 25 }, { colours: 0, unicode: false });
    expect(rows.join("\n")).toMatch(/^[\n -~]*$/);
    expect(rows[2]).toMatch(/^> Debian/);
  });
});
