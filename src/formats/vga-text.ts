/**
 * The VGA's text screen as it lies in memory at physical 0xb8000: a cell is two bytes, the character in code page 437
 * and its attributes, row by row (IBM VGA Technical Reference, "Alphanumeric Modes"). The CRT controller's start
 * address, in cells, says where the visible page begins; Linux scrolls by moving it, and the 32 KiB wrap around.
 */
export const VGA_TEXT_ADDRESS = 0xb8000;
export const VGA_TEXT_BYTES = 0x8000;

const CELL_BYTES = 2;
/** Code page 437, 0x80 to 0xff. */
const HIGH =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
/** 0x00 to 0x1f are pictures too; 0 is shown as a blank. */
const LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";

/** Rows without their trailing blanks. `memory` is the whole text window; missing bytes read as blanks. */
export function decodeVgaText(memory: Uint8Array, columns: number, rows: number, startCell: number): readonly string[] {
  return Array.from({ length: rows }, (_, row) => {
    let line = "";
    for (let column = 0; column < columns; column++) {
      const at = ((startCell + row * columns + column) * CELL_BYTES) % VGA_TEXT_BYTES;
      line += codePage437(memory[at] ?? 0x20);
    }
    return line.trimEnd();
  });
}

function codePage437(byte: number): string {
  if (byte < 0x20) return LOW[byte] ?? " ";
  if (byte < 0x7f) return String.fromCharCode(byte);
  return byte === 0x7f ? "⌂" : (HIGH[byte - 0x80] ?? " ");
}
