import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GRUB_LIMITS } from "../../src/formats/grub-limits.ts";
import { CFG, disk, menuOf, wordsOf } from "./grub-world.ts";

const titles = (menu: Awaited<ReturnType<typeof menuOf>>) => menu.entries.map(({ submenus, title }) => [...submenus, title].join(" > "));

describe("words of a script", () => {
  it.each([
    ["set a='x y'", "$a", ["x", "y"]],
    ["set a='x y'", '"$a"', ["x y"]],
    ["set a='x y'", "b\x24{a}c", ["bx", "yc"]],
    ["set a=' x '", "b\x24{a}c", ["bxc"]],
    ["a=1", "$a$a", ["11"]],
    ["set a=1 b=2", "$b$a", ["1"]],
    ["if frobnicate; then set a=1; else set a=2; fi", "$a", ["1"]],
    ["", "$none", []],
    ["", '"$none"', [""]],
    ["set a=1; unset a", "x$a", ["x"]],
    ["set a='*'", "\"$a\" '*' \\*", ["*", "*", "*"]],
    ["if true; then set a=1; fi", "$a", ["1"]],
    ["if false; then set a=1; elif true; then set a=2; else set a=3; fi", "$a", ["2"]],
    ["if false; then set a=1; else set a=3; fi", "$a", ["3"]],
    ["if ! false; then set a=1; fi", "$a", ["1"]],
    ["for i in 1 2 3; do set a=$a$i; done", "$a", ["123"]],
    ["for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; set a=$a$i; done", "$a", ["13"]],
    ["for i in 1 2 3; do for j in a b; do set a=$a$i$j; break 2; done; done", "$a", ["1a"]],
    ["while [ x$a != xaaa ]; do set a=a$a; done", "$a", ["aaa"]],
    ["until [ x$a = xaaa ]; do set a=a$a; done", "$a", ["aaa"]],
    ["function f { set a=$1-$#; shift; set b=$1; return 3; set b=no; }\nf x y z; set c=$?", "$a $b $c", ["x-3", "y", "3"]],
    ['function f { setparams q r; set a="$*"; }; f 1', '"$a"', ["q r"]],
    ['function f { for i in "$@"; do set a="$a<$i>"; done; }\nf "x y" z', '"$a"', ["<x y><z>"]],
    ["eval set a=b", "$a", ["b"]],
    ["regexp --set 1:a --set=2:b '(.*)-([0-9]+)' vmlinuz-61", "$a $b", ["vmlinuz", "61"]],
    ["if regexp '^x' y; then set a=1; else set a=2; fi", "$a", ["2"]],
    ["set a=$grub_platform", "$a $grub_cpu $prefix $root", ["pc", "i386", "(cd0)/boot/grub", "cd0"]],
    ["probe --set=a -u $root", "$a", ["2026-01-01-00-00-00-00"]],
    ["probe --set=a --label (cd0)", "$a", ["CD"]],
    ['load_env -f /env; set a="$x"', '"$a"', ["1 2\\3"]],
    ["if loadfont /f.pf2; then set a=font; fi; if loadfont none; then set a=no; fi", "$a", ["font"]],
  ])("%s: %s", async (before, words, expected) => {
    const env = "# GRUB Environment Block\nx=1 2\\\\3\ny=4\n#########";
    expect(await wordsOf(before, words, { "/env": env, "/f.pf2": "f" })).toEqual(expected);
  });

  it("a pattern becomes the files that fit; one that fits none stays", async () => {
    const files = { "/boot/vmlinuz-2": "", "/boot/vmlinuz-1": "", "/boot/initrd": "", "/a/x.iso": "" };
    expect(await wordsOf("", "/boot/vml*-? /*/x.iso (cd*)/boot/i* /none/* '/boot/*'", files)).toEqual([
      "/boot/vmlinuz-1",
      "/boot/vmlinuz-2",
      "/a/x.iso",
      "(cd0)/boot/initrd",
      "/none/*",
      "/boot/*",
    ]);
  });
});

describe("conditions", () => {
  it.each([
    ["a = a", true],
    ["a == b", false],
    ["a != b", true],
    ["a '<' b", true],
    ["-n x", true],
    ["-n ''", false],
    ["-z ''", true],
    ["x", true],
    ["''", false],
    ["", false],
    ["-f /vmlinuz", true],
    ["-f /boot", false],
    ["-d /boot/grub", true],
    ["-e (cd0)/vmlinuz", true],
    ["-e (hd9)/vmlinuz", false],
    ["-s /vmlinuz", true],
    ["! -e /none", true],
    ["3 -lt 10", true],
    ["0x10 -eq 16", true],
    ["hd2 -plt hd10", true],
    ["a = a -a b = c", false],
    ["a = a -o b = c", true],
    ["'(' a = b -o b = b ')' -a c = c", true],
    ["-f = -f", true],
  ])("[ %s ]: %s", async (test, expected) => {
    expect(await wordsOf(`if [ ${test} ]; then set a=yes; else set a=no; fi`, "$a")).toEqual([expected ? "yes" : "no"]);
  });
});

describe("menus", () => {
  it("an entry is run when it is chosen, with the variables that stand then", async () => {
    const menu = await menuOf("set k=/one\nmenuentry a { linux $k }\nset k=/two\n", { "/one": "k", "/two": "k" });
    expect(menu.entries[0]?.boot).toMatchObject({ kind: "linux", kernel: { path: "/two" } });
  });

  it("an entry gets its words as $1, $2; its id is found by any of the two ways to write it", async () => {
    const menu = await menuOf(
      "menuentry_id_option=--id\nmenuentry A B --class x $menuentry_id_option a { linux /k $1 $2 }\nmenuentry C --id=c --users '' --unrestricted { linux /k }",
    );
    expect(menu.entries.map(({ id, title }) => [id, title])).toEqual([
      ["a", "A"],
      ["c", "C"],
    ]);
    expect(menu.entries[0]?.boot).toMatchObject({ words: ["A", "B"] });
  });

  it("submenus give their titles; only exported variables reach them", async () => {
    const menu = await menuOf(
      "set a=1\nset b=2\nexport b\nmenuentry top { linux /k $a$b }\nsubmenu S { set c=3\n menuentry inner { linux /k x$a$b$c }\n submenu T { menuentry deep { linux /k } } }",
    );
    expect(titles(menu)).toEqual(["top", "S > inner", "S > T > deep"]);
    expect(menu.entries.map(({ boot }) => (boot.kind === "linux" ? boot.words : []))).toEqual([["12"], ["x23"], []]);
  });

  it("source adds to the menu; configfile takes its place, unless it has no entries", async () => {
    const files = {
      "/a.cfg": "menuentry a { linux /k }\nset v=1",
      "/b.cfg": "menuentry b { linux /k $v$e }",
      "/empty.cfg": "set v=2",
    };
    expect(titles(await menuOf("menuentry x { linux /k }\nsource /a.cfg\n. /a.cfg\n", files))).toEqual(["x", "a", "a"]);
    expect(titles(await menuOf("menuentry x { linux /k }\nconfigfile /empty.cfg\nconfigfile /none\n", files))).toEqual(["x"]);
    const replaced = await menuOf(
      "set v=5; set e=6; export e\nmenuentry x { linux /k }\nif true; then configfile /b.cfg; fi\nmenuentry y { linux /k }",
      files,
    );
    expect(titles(replaced)).toEqual(["b"]);
    expect(replaced.entries[0]?.boot).toMatchObject({ words: ["6"] });
    expect(replaced.entries[0]?.source.path).toBe("/b.cfg");
  });

  it("an entry that leads to another menu has its entries below it", async () => {
    const menu = await menuOf("menuentry more { configfile /a.cfg }", { "/a.cfg": "menuentry a { linux /k }" });
    expect(titles(menu)).toEqual(["more > a"]);
  });

  it.each([
    ["set default=1", "B"],
    ["set default=0", "A"],
    ["set default=b", "B"],
    ["set default=B", "B"],
    ["set default=none", "A"],
    ["", "A"],
    ["set default=saved; set saved_entry=b", "B"],
    ["set default='2>1'", "Y"],
    ["set default='s>x'", "X"],
    ["set default=2", "X"],
  ])("%s: the menu starts %s by itself", async (before, expected) => {
    const menu = await menuOf(
      `${before}\nmenuentry A { linux /k }\nmenuentry B --id b { linux /k }\nsubmenu S --id s { menuentry X --id x { linux /k }\nmenuentry Y { linux /k } }`,
    );
    expect(menu.standard?.title).toBe(expected);
  });

  it("kernel and initrds: the disk of each, and what is no kernel in words", async () => {
    const esp = disk("hd0,gpt2", { "/EFI/x.efi": "e", "/k2": "k" }, { label: "ESP", uuid: "1234-ABCD", fileSystem: "fat16" });
    const menu = await menuOf(
      [
        "menuentry a { linux /k a=b 'c d'; initrd /i /j }",
        "menuentry b { search --set=root --fs-uuid 1234-abcd; linux /k2; initrd (cd0)/i }",
        "menuentry c { chainloader /EFI/x.efi }",
        "menuentry d { halt }",
        "menuentry e { linux (hd7,1)/k }",
        "menuentry f { echo nothing }",
        "menuentry g { linuxefi /k; initrdefi /i; boot; linux /other }",
        "menuentry h { loopback loop /x.iso; linux (loop)/k }",
        "menuentry i { multiboot2 /xen.gz; module2 /k }",
      ].join("\n"),
      { "/k": "k", "/i": "i", "/j": "j" },
      { others: [esp] },
    );
    const told = menu.entries.map(({ boot }) =>
      boot.kind === "other"
        ? boot.does
        : `${boot.kernel.disk?.name}:${boot.kernel.path} ${boot.initrds.map((file) => `${file.disk?.name}:${file.path}`).join(" ")} ${boot.words.join("|")}`,
    );
    expect(told).toEqual([
      "cd0:/k cd0:/i cd0:/j a=b|c d",
      "hd0,gpt2:/k2 cd0:/i ",
      "starts another boot loader, /EFI/x.efi",
      "turns the computer off",
      "undefined:(hd7,1)/k  ",
      "starts no kernel",
      "cd0:/k cd0:/i ",
      "looks into another image, /x.iso",
      "starts something else than Linux (module2 /k)",
    ]);
  });

  it.each([
    ["search --no-floppy --set=root --file /mark", "hd0,gpt2"],
    ["search --file --set=root /mark --hint hd0,gpt1", "hd0,gpt2"],
    ["search --set=root -f /mark", "hd0,gpt2"],
    ["search -l --set=root ESP", "hd0,gpt2"],
    ["search --label ESP --set", "hd0,gpt2"],
    ["search --set root --label ESP", "hd0,gpt2"],
    ["search.file /mark root", "hd0,gpt2"],
    ["search.fs_label ESP root", "hd0,gpt2"],
    ["search --file --set=/mark", "hd0,gpt2"],
    ["search --set=root --label NONE", "cd0"],
    ["if search --file /mark; then set root=found; fi", "found"],
  ])("%s: root becomes %s", async (line, expected) => {
    const esp = disk("hd0,gpt2", { "/mark": "" }, { label: "ESP" });
    const menu = await menuOf(`${line}\nmenuentry x { linux (cd0)/k $root }`, { "/k": "k" }, { others: [esp] });
    expect(menu.entries[0]?.boot).toMatchObject({ words: [expected] });
  });

  it("entries of the Boot Loader Specification, newest first, by Fedora's blscfg", async () => {
    const entry = (version: string) =>
      `title Fedora (${version})\nversion ${version}\nlinux /vmlinuz-${version}\ninitrd /initramfs-${version}.img $extra\noptions root=UUID=1 $kernelopts quiet\ngrub_users $grub_users\n`;
    const menu = await menuOf("set kernelopts='ro rhgb'\nblscfg", {
      "/loader/entries/a-6.9.conf": entry("6.9"),
      "/loader/entries/a-6.10.conf": entry("6.10"),
      "/loader/entries/x.txt": "",
    });
    expect(titles(menu)).toEqual(["Fedora (6.10)", "Fedora (6.9)"]);
    expect(menu.entries[0]).toMatchObject({
      id: "a-6.10",
      boot: { words: ["root=UUID=1", "ro", "rhgb", "quiet"], initrds: [{ path: "/initramfs-6.10.img" }] },
    });
  });

  it("commands that it does not know are told, and nothing else happens", async () => {
    const menu = await menuOf("frobnicate x\ninsmod all_video\nmenuentry a { linux /k }\nsyslinux_configfile /x.cfg\n");
    expect(titles(menu)).toEqual(["a"]);
    expect(menu.notes).toEqual([`${CFG}: the command frobnicate is not followed`, `${CFG}: syslinux_configfile /x.cfg is not followed`]);
  });
});

describe("hostile menus end, and what was found until then stays", () => {
  const entry = "menuentry a { linux /k }\n";
  it.each([
    ["sources itself", `${entry}source ${CFG}`, /more than 16 files/],
    ["is its own configfile", `${entry}configfile ${CFG}`, /more than 16 files/],
    ["loops for ever", `${entry}while true; do true; done`, /loop that took more than/],
    ["loops for ever without a command", `${entry}until false; do\ndone`, /loop that took more than|no command/],
    ["calls itself", `${entry}function f { f }\nf`, /more than 16 files, functions/],
    ["calls itself twice", `${entry}function f { f; f }\nf`, /more than 16 files, functions/],
    ["doubles a word", `${entry}set a=xxxxxxxx\nwhile true; do set a=$a$a; done`, /letters/],
    ["doubles its words", `${entry}set a='x y'\nwhile true; do set a="$a $a"; for i in $a; do true; done; done`, /letters|commands/],
    ["evaluates itself", `${entry}set e='eval "$e"'\neval "$e"`, /more than 16/],
    ["makes entries for ever", `while true; do\n${entry}done`, /more than 500 entries/],
    ["has itself below each entry", `${entry}menuentry b { configfile ${CFG} }`, /more than 500 entries|menus in each other|files to read/],
    ["has submenus for ever", `function f { submenu x { f\n ${entry} } }\nf\n${entry}`, /menus in each other|more than 16/],
    ["searches by a slow pattern", `${entry}while true; do regexp '(a*)*(a*)*b' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done`, /not followed/],
    ["jumps out of nothing", `${entry}break\nmenuentry b { linux /k }`, undefined],
  ])("one that %s", async (_name, script, note) => {
    const menu = await menuOf(script, { "/k": "k" });
    expect(menu.entries.length).toBeGreaterThanOrEqual(1);
    expect(menu.entries.length).toBeLessThanOrEqual(GRUB_LIMITS.entries);
    if (note !== undefined) expect(menu.notes.join("\n")).toMatch(note);
  });

  it("deep functions with deep blocks do not reach the end of the stack", async () => {
    const deep = `${"if true; then\n".repeat(28)}g\n${"fi\n".repeat(28)}`;
    const functions = Array.from(
      { length: 16 },
      (_, index) => `function f${index} {\n${deep.replace("g\n", index === 15 ? "true\n" : `f${index + 1}\n`)}}`,
    );
    expect(titles(await menuOf(`menuentry a { linux /k }\n${functions.join("\n")}\nf0\n`))).toEqual(["a"]);
  });

  const words = fc.constantFrom(
    ...[
      "if",
      "then",
      "fi",
      "else",
      "for i in a b; do",
      "done",
      "while",
      "do",
      "function f {",
      "}",
      "menuentry a {",
      "submenu b {",
      "linux /k $a",
    ],
    ...[
      "set a=$a$i",
      "source /b.cfg",
      `configfile ${CFG}`,
      "f",
      "true",
      "false",
      "[ a = $a ]",
      "break",
      "continue 2",
      "return 1",
      "shift",
      "\n",
      "; ",
    ],
    ...[
      "initrd /k",
      "export a",
      "search --set=root --file /k",
      "regexp --set=a '(.)' $a",
      "eval $a",
      "boot",
      "blscfg",
      "load_env",
      "$a",
      "test -f /k",
    ],
  );
  it("any order of what stands in scripts comes to a menu", async () => {
    const limits = { ...GRUB_LIMITS, commands: 500, letters: 10_000 };
    await fc.assert(
      fc.asyncProperty(fc.array(words, { maxLength: 40 }), fc.array(words, { maxLength: 20 }), async (one, other) => {
        const menu = await menuOf(one.join(" "), { "/k": "k", "/b.cfg": other.join("\n") }, { limits });
        expect(menu.entries.length).toBeLessThanOrEqual(500);
      }),
      { numRuns: 200 },
    );
  });
});
