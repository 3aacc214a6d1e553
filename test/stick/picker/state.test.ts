import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyConfig } from "../../../src/config/hiperiso-json.ts";
import { currentImage, openPicker, step, topPage, wantedLook } from "../../../src/stick/picker/state.ts";
import { facts, image, look, play, screen, session, TRAPS } from "./stick-facts.ts";

const many = facts({ images: Array.from({ length: 100 }, (_, index) => image(`/ISOs/image-${String(index).padStart(3, "0")}.iso`)) });
const marked = (pressed: string, given = many): string | undefined => currentImage(play(given, pressed).state)?.path;

describe("the list of images", () => {
  test("arrows, pages, home and end move the mark, and stop at both ends", () => {
    expect(marked("")).toBe("/ISOs/image-000.iso");
    expect(marked("<up>")).toBe("/ISOs/image-000.iso");
    expect(marked("<down><down><up>")).toBe("/ISOs/image-001.iso");
    expect(marked("<end>")).toBe("/ISOs/image-099.iso");
    expect(marked("<end><down>")).toBe("/ISOs/image-099.iso");
    expect(marked("<end><home>")).toBe("/ISOs/image-000.iso");
    const [page = ""] = [marked("<page down>")];
    expect(Number(page.slice(12, 15))).toBeGreaterThan(5);
    expect(marked("<page down><page up>")).toBe("/ISOs/image-000.iso");
  });

  test("Enter boots the marked one, with nothing said that the person did not say", () => {
    expect(play(many, "<down><enter>").choice).toEqual({ type: "boot", path: "/ISOs/image-001.iso", settings: {} });
    expect(play({ ...many, said: { fallback: true } }, "<enter>").choice).toEqual({
      type: "boot",
      path: "/ISOs/image-000.iso",
      settings: { fallback: true },
    });
  });

  test("the image that is asked for is marked at first", () => {
    expect(currentImage(openPicker(many, "/ISOs/image-050.iso"))?.path).toBe("/ISOs/image-050.iso");
    expect(currentImage(openPicker(many, "/ISOs/gone.iso"))?.path).toBe("/ISOs/image-000.iso");
  });

  test("an empty stick can be looked at and left", () => {
    const { state } = play(facts({ images: [] }), "<down><enter><right>abc<escape>");
    expect(currentImage(state)).toBeUndefined();
    expect(screen(state).join("\n")).toContain("There are no images on this stick.");
    expect(play(state, "<escape><down><enter>").choice).toEqual({ type: "leave", way: "poweroff" });
  });
});

describe("the search", () => {
  const found = (search: string) => play(facts(), search).state.found.map(({ path }) => path);

  test("finds every word in title or path, whatever the case and the accents", () => {
    expect(found("DEB")).toEqual(["/ISOs/debian.iso"]);
    expect(found("ubung")).toEqual(["/ISOs/Übung.iso"]);
    expect(found("übung")).toEqual(["/ISOs/Übung.iso"]);
    expect(found("iso linux/")).toEqual(["/ISOs/linux/ubuntu.iso"]);
    expect(found("  ")).toHaveLength(3);
    expect(found("debian ubuntu")).toEqual([]);
  });

  test("begins with the first letter, keeps the marked image while it matches, and Esc ends it", () => {
    expect(marked("<down><down>u", facts())).toBe("/ISOs/Übung.iso");
    expect(marked("ubun", facts())).toBe("/ISOs/linux/ubuntu.iso");
    expect(marked("ubunx", facts())).toBeUndefined();
    expect(marked("ubunx<backspace>", facts())).toBe("/ISOs/linux/ubuntu.iso");
    expect(play(facts(), "ubunx<escape>").state).toMatchObject({ search: "", pages: [] });
    expect(play(facts(), "one two<ctrl-w>").state.search).toBe("one ");
    expect(play(facts(), "one two<ctrl-u>").state.search).toBe("");
    expect(play(facts(), "ubunx<enter>").choice).toBeUndefined();
  });

  test("every name full of traps is found by what can be typed of it", () => {
    const given = facts({ images: TRAPS.map((name) => image(`/ISOs/${name}`)) });
    for (const name of TRAPS) {
      const typed = (/^[^\p{C}]{1,40}/u.exec(name)?.[0] ?? "").replaceAll("<", "");
      expect(currentImage(play(given, typed).state)?.title).toBe(name);
    }
  });
});

describe("an image's page", () => {
  const toSetting = (index: number) => `<right>${"<down>".repeat(4 + index)}`;

  test("boots it emulated, for this once", () => {
    expect(play(facts(), "<right><down><enter>").choice).toEqual({ type: "boot", path: "/ISOs/debian.iso", settings: { fallback: true } });
    expect(play(facts(), "<right><enter>").choice).toEqual({ type: "boot", path: "/ISOs/debian.iso", settings: {} });
  });

  test("changes settings: a choice goes round, memory doubles, a number is typed, and each can be put back", () => {
    const boot = "<home><enter>";
    const settings = (pressed: string) => play(facts(), `${pressed}${boot}`).choice;
    expect(settings(`${toSetting(0)}<right>`)).toMatchObject({ settings: { traceLevel: "detailed" } });
    expect(settings(`${toSetting(0)}<left>`)).toMatchObject({ settings: { traceLevel: "none" } });
    expect(settings(`${toSetting(0)}<left><left>`)).toMatchObject({ settings: { traceLevel: "full" } });
    expect(settings(`${toSetting(1)}<right>`)).toMatchObject({ settings: { guestRam: 4096 } });
    expect(settings(`${toSetting(1)}<left>`)).toMatchObject({ settings: { guestRam: 1024 } });
    expect(settings(`${toSetting(1)}<enter><ctrl-u>777<enter>`)).toMatchObject({ settings: { guestRam: 777 } });
    expect(settings(`${toSetting(1)}512<enter>`)).toMatchObject({ settings: { guestRam: 512 } });
    expect(settings(`${toSetting(2)}<right>`)).toMatchObject({ settings: { guestCpus: 3 } });
    expect(settings(`${toSetting(5)}<enter>`)).toMatchObject({ settings: { fallback: true } });
    expect(settings(`${toSetting(1)}<right><delete>`)).toEqual({ type: "boot", path: "/ISOs/debian.iso", settings: {} });
  });

  test("a number out of its range is refused with what would be taken, and the line stays", () => {
    const { state, choice } = play(facts(), `${toSetting(1)}<enter><ctrl-u>1<enter>`);
    expect(choice).toBeUndefined();
    expect(topPage(state)).toMatchObject({ type: "line", text: "1" });
    expect(screen(state).join("\n")).toMatch(/expected a whole number from 16/);
    expect(topPage(play(state, "<escape>").state)).toMatchObject({ type: "image" });
  });

  test("files are chosen from a list where the stick has some, and typed where not", () => {
    const given = facts({ files: { persistence: ["/persistence/a.dat", "/persistence/b b.dat"] } });
    const chosen = play(given, `${toSetting(7)}<enter><down><down><enter><home><enter>`).choice;
    expect(chosen).toMatchObject({ settings: { persistence: "/persistence/b b.dat" } });
    const typed = play(given, `${toSetting(6)}<enter>/x y.cfg<enter><home><enter>`).choice;
    expect(typed).toMatchObject({ settings: { autoInstall: "/x y.cfg" } });
  });

  test("what is configured is shown with who said it, and what is changed is for one image alone", () => {
    const config = { ...emptyConfig, control: { guestRam: 1000 }, isoOverrides: [{ pattern: "debian*", values: { guestCpus: 4 } }] };
    const { state } = play(facts({ config }), `${toSetting(0)}<right>`);
    const text = screen(state).join("\n");
    expect(text).toMatch(/guest ram +1000 MB +control/);
    expect(text).toMatch(/guest cpus +4 +iso_overrides/);
    expect(text).toMatch(/trace level +detailed +for this once/);
    expect(screen(play(state, "<escape><down><right>").state).join("\n")).toMatch(/trace level +standard\n/);
  });
});

describe("before a boot", () => {
  test("named entries are a question: one of them, or as it is configured", () => {
    const entries = [
      { name: "install by a.cfg", settings: { autoInstall: "/a.cfg" } },
      { name: "install by b.cfg", settings: { autoInstall: "/b.cfg" } },
    ];
    const given = facts({ images: [image("/ISOs/x.iso", { entries })] });
    expect(play(given, "<enter>").choice).toBeUndefined();
    expect(screen(play(given, "<enter>").state).join("\n")).toContain("install by b.cfg");
    expect(play(given, "<enter><down><down><enter>").choice).toMatchObject({ settings: { autoInstall: "/b.cfg" } });
    expect(play(given, "<enter><enter>").choice).toMatchObject({ settings: {} });
    expect(play(given, "<right><down><enter><down><enter>").choice).toMatchObject({ settings: { autoInstall: "/a.cfg", fallback: true } });
  });

  test("what cannot boot is said, and booted only by a second Enter", () => {
    const path = "/ISOs/debian.iso";
    const { state } = step(openPicker(facts()), { type: "look", path, look: look(false) });
    expect(screen(state).join("\n")).toMatch(/cannot boot: no boot catalogue/);
    const asked = play(state, "<enter>");
    expect(asked.choice).toBeUndefined();
    expect(screen(asked.state).join("\n")).toContain("no boot catalogue");
    expect(play(asked.state, "<escape>").state.pages).toEqual([]);
    expect(play(asked.state, "<enter>").choice).toMatchObject({ path });
    const emulated = play(state, "<right><down><enter><enter>").choice;
    expect(emulated).toMatchObject({ path, settings: { fallback: true } });
  });

  test("an image that is gone is not booted", () => {
    const given = facts({ images: [image("/ISOs/x.iso", { state: "missing" })] });
    const { state, choice } = play(given, "<enter>");
    expect(choice).toBeUndefined();
    expect(screen(state).join("\n")).toContain("x.iso is gone from the stick.");
    expect(wantedLook(state)).toBeUndefined();
  });

  test("a locked image wants its password, once", () => {
    const path = "/ISOs/x.iso";
    const given = facts({ images: [image(path, { isLocked: true })] });
    const typed = play(given, "<enter>sesame");
    expect(screen(typed.state).join("\n")).toContain("******_");
    expect(screen(typed.state).join("\n")).not.toContain("sesame");
    const tried = play(typed.state, "<enter>");
    expect([tried.choice, tried.password]).toEqual([undefined, "sesame"]);
    const wrong = step(tried.state, { type: "password", path, fits: false });
    expect(screen(wrong.state).join("\n")).toContain("not its password");
    expect(wrong.choice).toBeUndefined();
    const right = step(tried.state, { type: "password", path, fits: true });
    expect(right.choice).toEqual({ type: "boot", path, settings: {} });
    expect(play(right.state, "<enter>").choice).toMatchObject({ path });
    // An answer that comes when the person has gone back boots nothing.
    expect(step(play(tried.state, "<escape>").state, { type: "password", path, fits: true }).choice).toBeUndefined();
  });
});

test("Ctrl-C leaves by the last way from everywhere", () => {
  for (const pressed of ["", "<right>", "<right><down><down><enter>", "<tab>", "<escape>"])
    expect(play(facts(), `${pressed}<ctrl-c>`).choice).toEqual({ type: "leave", way: "poweroff" });
});

test("ten thousand images and sessions are searched and drawn as the few that are seen", () => {
  const images = Array.from({ length: 10_000 }, (_, index) => image(`/ISOs/folder-${index % 100}/image-${index}.iso`));
  const sessions = images.map(({ path }, index) => session(path, { result: index % 2 === 0 ? "success" : "failure" }));
  const { state } = play(facts({ images, sessions }), "<end>9876<backspace>");
  expect(state.found.map(({ title }) => title)).toContain("image-9870.iso");
  expect(screen(play(state, "<end>").state).join("\n")).toMatch(/image-9879\.iso.*failure/);
});

test("any keys on any screen give a picker that can be drawn and left", () => {
  const names = [
    "up",
    "down",
    "left",
    "right",
    "enter",
    "escape",
    "tab",
    "page down",
    "page up",
    "end",
    "home",
    "backspace",
    "delete",
    "f2",
    "f3",
    "f10",
    "ctrl-u",
    "ctrl-w",
  ];
  const key = fc.oneof(
    fc.constantFrom(...names).map((name) => `<${name}>`),
    fc.constantFrom("a", "1", " ", "é", "/"),
  );
  const given = facts({
    images: [
      ...facts().images,
      image("/ISOs/gone.iso", { state: "missing" }),
      image("/ISOs/locked.iso", { isLocked: true }),
      image("/ISOs/two.iso", { entries: [{ name: "one", settings: {} }] }),
    ],
    files: { persistence: ["/a.dat", "/b.dat"], injection: ["/c.tar.gz"] },
  });
  fc.assert(
    fc.property(
      fc.array(key, { maxLength: 60 }),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 40 }),
      (pressed, columns, rows) => {
        const { state, choice } = play(given, pressed.join(""), { columns, rows });
        expect(screen(state, { columns, rows }).length).toBeLessThanOrEqual(rows);
        if (choice?.type === "boot") expect(choice.path).not.toBe("/ISOs/gone.iso");
        expect(play(state, "<ctrl-c>").choice).toEqual({ type: "leave", way: "poweroff" });
      },
    ),
  );
});
