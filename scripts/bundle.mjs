/**
 * `npm run build`, after the compiler: writes `dist/bundled/`, the program and its packages in a few files. What runs on a stick is made of these,
 * because they start in less than half of the processor's time. They say what they were made from, so that older ones are not taken for this program.
 */
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { BUNDLE_SOURCE, compiledDigest } from "../dist/live/stages/own-program.js";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
rmSync(`${dist}bundled`, { recursive: true, force: true });
const bundle = await rolldown({
  input: { hiperiso: `${dist}cli/hiperiso.js` },
  platform: "node",
  logLevel: "warn",
  // jsonc-parser's form for Node asks for its parts by names that a bundle no longer has.
  resolve: { mainFields: ["module", "main"] },
});
await bundle.write({ dir: `${dist}bundled`, format: "esm", entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" });
await bundle.close();
writeFileSync(`${dist}${BUNDLE_SOURCE}`, `${JSON.stringify({ compiled: await compiledDigest() })}\n`);
