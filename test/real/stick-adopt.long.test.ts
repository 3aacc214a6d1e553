/**
 * A stick laid out as Ventoy lays one out, adopted, and booted. Ventoy's own loader is not here: in its place stands a GRUB that sets and exports what
 * Ventoy's documentation says it does, and loads `/ventoy/ventoy_grub.cfg` of the first partition as its key F6 does.
 */
import { execFileSync } from "node:child_process";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openFileStore } from "../../src/disk/block-store.ts";
import { ventoyStick } from "../stick/adopt/ventoy-fixture.ts";
import { demoImage, onlySession, run, workplace } from "./harness.ts";
import { done, MENU, OVER, RECORDING, runtimeWords, type Step, stickBoot } from "./stick-guest.ts";

const SLOW_S = 1500;
const NAME = "it's a $demo [1] ü.iso";

/** As a menu of Ventoy, with the entry of the person's own `ventoy_grub.cfg` behind F6. */
const VENTOY_MENU = `
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
regexp --set=1:vtoydev '^([^,]+)' "$root"
set vtoy_path="($root)/ventoy"
set vtoy_iso_part="($vtoydev,1)"
set vtoy_efi_part="($vtoydev,2)"
set VENTOY_VERSION=1.1.04
set gfxmode=1024x768
set gfxpayload=keep
export gfxmode gfxpayload vtoydev vtoy_path vtoy_iso_part vtoy_efi_part VENTOY_VERSION
menuentry 'an image of Ventoy' { true; }
menuentry 'F6' --hotkey=x { set ventoy_new_context=1; configfile "$vtoy_iso_part/ventoy/ventoy_grub.cfg"; unset ventoy_new_context; }
`;

/** Modules as in Ventoy's own image, as far as they are needed: it loads none from a disk. */
const MODULES =
  "part_gpt part_msdos fat exfat normal configfile linux loopback iso9660 udf search regexp test echo true probe cat ls serial terminal all_video gfxterm png font halt reboot sleep password_pbkdf2 efifwsetup".split(
    " ",
  );

async function loader(folder: string): Promise<Uint8Array> {
  const [config, out] = [join(folder, "early.cfg"), join(folder, "BOOTX64.EFI")];
  await writeFile(config, 'configfile "($root)/grub/grub.cfg"\n');
  execFileSync("grub-mkimage", ["-O", "x86_64-efi", "-c", config, "-p", "/grub", "-o", out, ...MODULES]);
  return await readFile(out);
}

/** The path of an adopted stick with the demo. */
async function adopted(folder: string, scheme: "gpt" | "mbr"): Promise<string> {
  const image = join(folder, "ventoy.img");
  await writeFile(image, "");
  await truncate(image, 512 << 20);
  {
    await using medium = await openFileStore(image);
    await ventoyStick({
      medium,
      scheme,
      bootFiles: { "/EFI/BOOT/BOOTX64.EFI": await loader(folder), "/grub/grub.cfg": VENTOY_MENU },
      files: {
        [`/My images/${NAME}`]: await readFile(await demoImage()),
        "/ventoy/ventoy_grub.cfg": "menuentry 'of the person' { true; }\n",
        "/ventoy/ventoy.json": JSON.stringify({
          control: [
            { VTOY_MENU_TIMEOUT: "3600" },
            { VTOY_DEFAULT_SEARCH_ROOT: "/My images" },
            { VTOY_DEFAULT_IMAGE: `/My images/${NAME}` },
          ],
          menu_alias: [{ image: "/My images/it's a $demo [1] **.iso", alias: "The demo of Ventoy" }],
        }),
      },
    });
  }
  const { config } = JSON.parse(await done(["stick", "adopt", image, ...runtimeWords(), "--json"]));
  // The guest in the guest has to be small.
  const small = JSON.parse(config.text.replace(/^\/\/.*\n/, ""));
  small.control = { ...small.control, default_ram: 384, default_cpus: 1 };
  const file = join(folder, "hiperiso.json");
  await writeFile(file, JSON.stringify(small));
  await done(["stick", "config", image, file]);
  return image;
}

/** From Ventoy's menu by F6 to the last entry of the person's menu, which is ours, and the menu behind it. */
const TO_OUR_MENU: readonly Step[] = [
  { expect: "an image of Ventoy", within: SLOW_S },
  { send: "x" },
  { expect: "of the person", within: SLOW_S },
  { send: "\u000e" },
  { send: "\r" },
  ...MENU,
  { screenshot: "menu" },
];

it("with a GPT boots by way of Ventoy's menu and ours, records, and has its session pulled", async () => {
  await using place = await workplace();
  const image = await adopted(place.root, "gpt");
  const steps = [
    ...TO_OUR_MENU,
    { send: "\r" },
    { expect: "Boot recorded, emulated", within: SLOW_S },
    { send: "m" },
    ...RECORDING,
    ...OVER,
  ];
  const { status, stderr } = await run(await stickBoot(image, { folder: place.root, logs: place.logs, steps }));
  expect(status, stderr).toBe(0);
  // The alias of ventoy.json, whose pattern has an asterisk for each byte of the ü.
  expect(onlySession(place.logs).serial).toContain("The demo of Ventoy");
  const home = join(place.root, "home");
  await done(["stick", "pull", image, "--to", home]);
  const { session } = onlySession(home);
  expect(session).toMatchObject({ status: "complete", result: "success", iso_path: `/My images/${NAME}`, analysis: { reached_login: 1 } });
  const removed = JSON.parse(await done(["stick", "adopt", image, "--remove", "--json"]));
  expect(removed).toMatchObject({ restored: ["/ventoy/ventoy_grub.cfg"], kept: expect.arrayContaining(["/hiperiso/logs"]) });
  await done(["disk", "check", image]);
});

it("with an MBR is found by its signature, and picks on the computer", async () => {
  await using place = await workplace();
  const image = await adopted(place.root, "mbr");
  const steps = [
    ...TO_OUR_MENU,
    { send: "p" },
    { expect: "pick an image", within: SLOW_S },
    { expect: "The demo of Ventoy", within: SLOW_S },
    { screenshot: "picker" },
    { shutdown: "\u0003", within: SLOW_S },
  ];
  const { status, stderr } = await run(await stickBoot(image, { folder: place.root, logs: place.logs, steps }));
  expect(status, stderr).toBe(0);
});
