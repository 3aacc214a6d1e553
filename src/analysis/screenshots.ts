/** The pictures of a session that a page can hold: PNG, small enough, and really what their name says. */
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { SESSION_FILES } from "../contract/session.ts";

export interface Screenshot {
  readonly name: string;
  readonly bytes: number;
  /** Undefined where the page cannot hold it; `leftOut` says why. */
  readonly png?: { readonly content: Buffer; readonly width: number; readonly height: number };
  readonly leftOut?: string;
}

const SCREENSHOT_BYTES_MAX = 1024 * 1024;
const SCREENSHOTS_BYTES_MAX = 4 * 1024 * 1024;
const SCREENSHOTS_MAX = 24;

/** In the order of their names. Files that cannot be read are left out with the reason; links are not followed. */
export async function readScreenshots(directory: string): Promise<readonly Screenshot[]> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(SESSION_FILES.screenshotPrefix) && /\.(?:png|ppm)$/.test(name));
  const screenshots: Screenshot[] = [];
  let room = SCREENSHOTS_BYTES_MAX;
  for (const name of names.sort().slice(0, SCREENSHOTS_MAX)) {
    const screenshot = await readScreenshot(join(directory, name), name, Math.min(room, SCREENSHOT_BYTES_MAX));
    if (screenshot === undefined) continue;
    room -= screenshot.png?.content.length ?? 0;
    screenshots.push(screenshot);
  }
  return screenshots;
}

async function readScreenshot(path: string, name: string, bytesMax: number): Promise<Screenshot | undefined> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts?.isFile() !== true) return undefined;
  const bytes = facts.size;
  if (name.endsWith(".ppm")) return { name, bytes, leftOut: "browsers show no PPM" };
  if (bytes > bytesMax) return { name, bytes, leftOut: "too large for this page" };
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const content = Buffer.alloc(bytes);
    const { bytesRead } = await file.read(content, 0, bytes, 0);
    const size = pngSize(content.subarray(0, bytesRead));
    return size === undefined ? { name, bytes, leftOut: "not a PNG picture" } : { name, bytes, png: { content, ...size } };
  } catch {
    return { name, bytes, leftOut: "it cannot be read" };
  } finally {
    await file?.close();
  }
}

const PNG_SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");
const PIXELS_MAX = 65_535;

/**
 * Width and height in pixels; undefined where these bytes do not begin as a PNG picture does. PNG (Third Edition), 5.2 and 11.2.1, big-endian:
 *    0  8  signature     8  4  bytes in IHDR, 13     12  4  "IHDR"     16  4  width     20  4  height
 */
export function pngSize(bytes: Buffer): { readonly width: number; readonly height: number } | undefined {
  if (bytes.length < 33 || !bytes.subarray(0, 8).equals(PNG_SIGNATURE)) return undefined;
  if (bytes.readUInt32BE(8) !== 13 || bytes.toString("latin1", 12, 16) !== "IHDR") return undefined;
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  return width > 0 && height > 0 && width <= PIXELS_MAX && height <= PIXELS_MAX ? { width, height } : undefined;
}
