/** The guest's screen, read through QMP: pictures for the session, pixels to see whether anything moves, text where it is a text mode. */
import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodePpm, differingBox, type Pixmap } from "../formats/ppm.ts";
import { decodeVgaText, VGA_TEXT_ADDRESS, VGA_TEXT_BYTES } from "../formats/vga-text.ts";
import type { QmpClient } from "../host/qmp.ts";

const COLUMNS = 80;
/** QEMU draws a cell 9 pixels wide (8 in the modes of EFI's own text console) and as high as the font. */
const TEXT_SIZES: Readonly<Record<string, number>> = { "720x400": 25, "640x400": 25, "720x350": 25, "640x350": 25 };
/** Nothing bigger than a character cell of a large console font: a blinking cursor is no movement. */
const CURSOR_BOX = { width: 16, height: 32 } as const;

/** Two may look at the screen at the same moment: whoever waits for movement, and whoever keeps the last picture. */
const privateFile = (scratch: string, name: string): string => join(scratch, `${randomBytes(4).toString("hex")}-${name}`);

/** Undefined where the machine has no screen. */
export async function readScreen(qmp: QmpClient, scratch: string): Promise<Pixmap | undefined> {
  const path = privateFile(scratch, "screen.ppm");
  try {
    await qmp.execute("screendump", { filename: path });
    return decodePpm(await readFile(path), path);
  } catch {
    return undefined;
  } finally {
    await rm(path, { force: true });
  }
}

/** Writes a picture; PNG where this QEMU can, else PPM. Returns the file's name, or undefined where there is no screen. */
export async function saveScreenshot(qmp: QmpClient, directory: string, name: string): Promise<string | undefined> {
  for (const format of ["png", "ppm"] as const) {
    const file = `${name}.${format}`;
    try {
      await qmp.execute("screendump", { filename: join(directory, file), format });
      return file;
    } catch {
      await rm(join(directory, file), { force: true });
    }
  }
  return undefined;
}

/** True when more than a cursor has changed. */
export function screenMoved(before: Pixmap, after: Pixmap): boolean {
  const box = differingBox(before, after);
  return box !== null && (box.width > CURSOR_BOX.width || box.height > CURSOR_BOX.height);
}

/** How a person would name what is on: `text 80x25`, `1024x768`. */
export function describeScreen({ width, height }: Pixmap): string {
  const rows = textRows({ width, height });
  return rows === undefined ? `${width}x${height}` : `text ${COLUMNS}x${rows}`;
}

const textRows = ({ width, height }: Pick<Pixmap, "width" | "height">): number | undefined => TEXT_SIZES[`${width}x${height}`];

/**
 * All rows of the text window, seen or scrolled away, for a guest that may be running: which of them are visible stands in a
 * register that cannot be read without disturbing it. Empty in a graphics mode.
 */
export async function readTextWindow(qmp: QmpClient, scratch: string, screen: Pixmap): Promise<readonly string[]> {
  if (textRows(screen) === undefined) return [];
  const memory = await readTextMemory(qmp, scratch);
  return decodeVgaText(memory, COLUMNS, Math.floor(VGA_TEXT_BYTES / 2 / COLUMNS), 0);
}

/** The rows on the screen, of a guest that stands still. Empty in a graphics mode. */
export async function readTextScreen(qmp: QmpClient, scratch: string, screen: Pixmap): Promise<readonly string[]> {
  const rows = textRows(screen);
  if (rows === undefined) return [];
  const memory = await readTextMemory(qmp, scratch);
  return decodeVgaText(memory, COLUMNS, rows, await startCell(qmp));
}

async function readTextMemory(qmp: QmpClient, scratch: string): Promise<Uint8Array> {
  const path = privateFile(scratch, "text.bin");
  try {
    await qmp.execute("pmemsave", { val: VGA_TEXT_ADDRESS, size: VGA_TEXT_BYTES, filename: path });
    return await readFile(path);
  } catch {
    return new Uint8Array();
  } finally {
    await rm(path, { force: true });
  }
}

/** CRTC registers 0x0c and 0x0d: where the visible page begins. 0 where they cannot be read. */
async function startCell(qmp: QmpClient): Promise<number> {
  try {
    return ((await crtcRegister(qmp, 0x0c)) << 8) | (await crtcRegister(qmp, 0x0d));
  } catch {
    return 0; // QEMU has ended meanwhile
  }
}

/** The CRT controller's registers are behind an index port; the index is put back as it was. 0 where the answer is no number. */
async function crtcRegister(qmp: QmpClient, index: number): Promise<number> {
  const before = await readPort(qmp, 0x3d4);
  await qmp.humanMonitor(`o /b 0x3d4 0x${index.toString(16)}`);
  const value = await readPort(qmp, 0x3d5);
  await qmp.humanMonitor(`o /b 0x3d4 0x${before.toString(16)}`);
  return value;
}

async function readPort(qmp: QmpClient, port: number): Promise<number> {
  const answer = await qmp.humanMonitor(`i /b 0x${port.toString(16)}`);
  return Number(/= (0x[0-9a-f]+)/.exec(answer)?.[1] ?? 0);
}
